package wire

import (
	"strconv"
	"strings"

	"github.com/jackc/pgproto3/v2"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// portal is a bound statement, perhaps a running one.
type portal struct {
	*prepared
	args    []types.Datum
	formats []int16
	rows    Rows // nil before the first Execute and after the last
	started bool // rows were sent by an earlier Execute
	done    bool
}

// prepare answers Parse.
func (s *session) prepare(m *pgproto3.Parse) error {
	if m.Name == "" {
		s.stmts.Delete("")
	}
	stmts, err := s.split(m.Query)
	if err != nil {
		return err
	}
	if len(stmts) > 1 {
		return sqlerr.New(sqlerr.Syntax, "cannot insert multiple commands into a prepared statement")
	}
	if err := checkUTF8([]byte(m.Name)); err != nil {
		return err
	}
	p := &prepared{whole: m.Query}
	if len(stmts) == 1 {
		p.text, p.offset = stmts[0].Text(), stmts[0].Offset()
		s.offset = p.offset
		if p.Prepared, err = s.sess.Prepare(s.cmd, stmts[0], m.ParameterOIDs); err != nil {
			return err
		}
	}
	if err := s.stmts.put(m.Name, p); err != nil {
		return err
	}
	return s.w.send(&pgproto3.ParseComplete{})
}

// bind answers Bind.
func (s *session) bind(m *pgproto3.Bind) error {
	p, err := s.stmts.get(m.PreparedStatement)
	if err != nil {
		return err
	}
	s.whole, s.offset = p.whole, p.offset
	var want []types.Type
	if p.Prepared != nil {
		want = p.Params()
	}
	if n := len(m.ParameterFormatCodes); n > 1 && n != len(m.Parameters) {
		return sqlerr.New(protocolViolation, "bind message has %d parameter formats but %d parameters", n, len(m.Parameters))
	}
	if len(m.Parameters) != len(want) {
		return sqlerr.New(protocolViolation, "bind message supplies %d parameters, but prepared statement %q requires %d",
			len(m.Parameters), m.PreparedStatement, len(want))
	}
	if _, taken := s.portals[m.DestinationPortal]; taken && m.DestinationPortal != "" {
		return sqlerr.New("42P03", "cursor %q already exists", m.DestinationPortal)
	}
	for _, codes := range [][]int16{m.ParameterFormatCodes, m.ResultFormatCodes} {
		for _, c := range codes {
			if c != 0 && c != 1 {
				return sqlerr.New(sqlerr.InvalidParameter, "unsupported format code: %d", c)
			}
		}
	}
	po := &portal{prepared: p, formats: m.ResultFormatCodes}
	if p.Prepared != nil {
		cols := p.Columns()
		if n := len(po.formats); cols != nil && n > 1 && n != len(cols) {
			return sqlerr.New(protocolViolation, "bind message has %d result formats but query has %d columns", n, len(cols))
		}
	}
	for i, b := range m.Parameters {
		d, err := s.arg(want[i], b, formatOf(m.ParameterFormatCodes, i))
		if err != nil {
			if e := sqlerr.From(err); e.Code == invalidBinary {
				return sqlerr.New(e.Code, "incorrect binary data format in bind parameter %d", i+1)
			}
			return err
		}
		po.args = append(po.args, d)
	}
	s.closePortal(m.DestinationPortal)
	s.portals[m.DestinationPortal] = po
	return s.w.send(&pgproto3.BindComplete{})
}

// arg reads the value of a parameter.
func (s *session) arg(t types.Type, b []byte, format int16) (types.Datum, error) {
	switch {
	case b == nil:
		return types.NullDatum, nil
	case format == 1:
		return DecodeBinary(t, b)
	}
	return textDatum(t, b, s.parse)
}

// describe answers Describe.
func (s *session) describe(m *pgproto3.Describe) error {
	if m.ObjectType == 'P' {
		po, ok := s.portals[m.Name]
		if !ok {
			return noPortal(m.Name)
		}
		return s.describeColumns(po.prepared, po.formats)
	}
	p, err := s.stmts.get(m.Name)
	if err != nil {
		return err
	}
	desc := &pgproto3.ParameterDescription{}
	if p.Prepared != nil {
		for _, t := range p.Params() {
			desc.ParameterOIDs = append(desc.ParameterOIDs, t.OID())
		}
	}
	if err := s.w.send(desc); err != nil {
		return err
	}
	return s.describeColumns(p, nil)
}

func (s *session) describeColumns(p *prepared, formats []int16) error {
	if p.Prepared != nil {
		if cols := p.Columns(); cols != nil {
			return s.w.send(rowDescription(cols, formats))
		}
	}
	return s.w.send(&pgproto3.NoData{})
}

// execute answers Execute.
func (s *session) execute(m *pgproto3.Execute) error {
	po, ok := s.portals[m.Portal]
	if !ok {
		return noPortal(m.Portal)
	}
	s.whole, s.offset = po.whole, po.offset
	if po.Prepared == nil {
		return s.w.send(&pgproto3.EmptyQueryResponse{})
	}
	cols := po.Columns()
	if po.done {
		if cols == nil {
			return sqlerr.New(sqlerr.ObjectNotInState, "portal %q cannot be run", m.Portal)
		}
		return s.w.send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 0")})
	}
	before := s.status()
	if po.rows == nil {
		rows, err := po.Execute(s.cmd, po.args)
		if err != nil {
			return err
		}
		po.rows = rows
	}
	n, done, err := s.sendRows(po.rows, cols, po.formats, int(int32(m.MaxRows)))
	if err != nil {
		return err
	}
	if !done {
		po.started = true
		return s.w.send(&pgproto3.PortalSuspended{})
	}
	tag := po.rows.Tag()
	if po.started && strings.HasPrefix(tag, "SELECT ") { // PostgreSQL counts what this Execute gave
		tag = "SELECT " + strconv.Itoa(n)
	}
	po.done = true
	po.close()
	if before != 'I' && s.status() == 'I' {
		s.closePortals() // the transaction that they belonged to is over
	}
	return s.w.send(&pgproto3.CommandComplete{CommandTag: []byte(tag)})
}

// closeNamed answers Close, also when there is no such thing.
func (s *session) closeNamed(m *pgproto3.Close) error {
	if m.ObjectType == 'S' {
		s.stmts.Delete(m.Name)
	} else {
		s.closePortal(m.Name)
	}
	return s.w.send(&pgproto3.CloseComplete{})
}

func noPortal(name string) error { return sqlerr.New("34000", "portal %q does not exist", name) }

func (p *portal) close() {
	if rows := p.rows; rows != nil {
		p.rows = nil
		rows.Close()
	}
}

func (s *session) closePortal(name string) {
	if p := s.portals[name]; p != nil {
		delete(s.portals, name)
		p.close()
	}
}

func (s *session) closePortals() {
	for name := range s.portals {
		s.closePortal(name)
	}
}
