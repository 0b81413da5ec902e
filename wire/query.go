package wire

import (
	"math"
	"strings"

	"github.com/jackc/pgproto3/v2"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// simple runs a text of any number of statements. The last one is reported as
// done only after the implicit transaction has ended well.
func (s *session) simple(sql string) error {
	s.stmts.Delete("")
	stmts, err := s.split(sql)
	if err != nil {
		return err
	}
	if len(stmts) == 0 {
		return s.w.send(&pgproto3.EmptyQueryResponse{})
	}
	for i, st := range stmts {
		s.offset = st.Offset()
		tag, err := s.runOne(st)
		if err != nil {
			return err
		}
		if i == len(stmts)-1 {
			if err := s.sync(); err != nil {
				return err
			}
		}
		if err := s.w.send(&pgproto3.CommandComplete{CommandTag: []byte(tag)}); err != nil {
			return err
		}
	}
	return nil
}

// split parses a text; s.whole and s.offset then suit its errors.
func (s *session) split(sql string) ([]Statement, error) {
	s.whole, s.offset = sql, 0
	if err := checkUTF8([]byte(sql)); err != nil {
		return nil, err
	}
	if isCopy(sql) {
		return nil, errCopy
	}
	stmts, err := s.sess.Parse(sql)
	if err != nil {
		return nil, err
	}
	for _, st := range stmts {
		if isCopy(st.Text()) {
			return nil, errCopy
		}
	}
	return stmts, nil
}

func (s *session) runOne(st Statement) (string, error) {
	p, err := s.sess.Prepare(s.cmd, st, nil)
	if err != nil {
		return "", err
	}
	if len(p.Params()) > 0 {
		return "", sqlerr.New("42P02", "there is no parameter $1")
	}
	before := s.status()
	rows, err := p.Execute(s.cmd, nil)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	cols := p.Columns()
	if cols != nil {
		if err := s.w.send(rowDescription(cols, nil)); err != nil {
			return "", err
		}
	}
	if _, _, err := s.sendRows(rows, cols, nil, 0); err != nil {
		return "", err
	}
	if before != 'I' && s.status() == 'I' {
		s.closePortals()
	}
	return rows.Tag(), nil
}

// sendRows sends at most limit rows (0: all) and the notices, and tells how many
// and whether the statement is done.
func (s *session) sendRows(rows Rows, cols []Column, formats []int16, limit int) (n int, done bool, err error) {
	if cols == nil {
		limit = 0
	}
	s.w.flushLater()
	for limit <= 0 || n < limit {
		if s.cmd.Err() != nil {
			return n, false, s.cmd.Err()
		}
		more, err := rows.Next(s.cmd)
		if err != nil {
			if s.w.failed() == nil && s.notices(rows) != nil {
				return n, false, s.w.failed()
			}
			return n, false, err
		}
		if !more {
			done = true
			break
		}
		if err := s.sendRow(rows.Row(), cols, formats); err != nil {
			return n, false, err
		}
		n++
	}
	return n, done, s.notices(rows)
}

func (s *session) sendRow(row []types.Datum, cols []Column, formats []int16) error {
	if cols == nil || len(row) != len(cols) {
		return sqlerr.New(sqlerr.Internal, "a row of %d values for %d columns", len(row), len(cols))
	}
	b := append(s.row[:0], 'D', 0, 0, 0, 0)
	b = be.AppendUint16(b, uint16(len(cols)))
	for i, d := range row {
		if d.Null {
			b = be.AppendUint32(b, math.MaxUint32)
			continue
		}
		at := len(b)
		b = append(b, 0, 0, 0, 0)
		if formatOf(formats, i) == 1 {
			var err error
			if b, err = AppendBinary(b, cols[i].Type, d); err != nil {
				return err
			}
		} else {
			b = s.format(b, cols[i].Type, d)
		}
		if len(b) > maxRow {
			return sqlerr.New("54000", "a row is longer than the protocol can carry")
		}
		be.PutUint32(b[at:], uint32(len(b)-at-4))
	}
	be.PutUint32(b[1:], uint32(len(b)-1))
	if s.row = b; cap(b) > 8*writeBuffer {
		s.row = nil
	}
	return s.w.raw(b, true)
}

const maxRow = 1 << 30

// formatOf gives the format of column i: none is text for all, one is for all.
func formatOf(formats []int16, i int) int16 {
	switch {
	case len(formats) == 0:
		return 0
	case len(formats) == 1:
		return formats[0]
	}
	return formats[i]
}

func rowDescription(cols []Column, formats []int16) *pgproto3.RowDescription {
	m := &pgproto3.RowDescription{Fields: make([]pgproto3.FieldDescription, len(cols))}
	for i, c := range cols {
		m.Fields[i] = pgproto3.FieldDescription{
			Name: []byte(clean(c.Name)), TableOID: c.TableOID, TableAttributeNumber: uint16(c.Attr),
			DataTypeOID: c.Type.OID(), DataTypeSize: typeSize(c.Type), TypeModifier: typeModifier(c.Type),
			Format: formatOf(formats, i),
		}
	}
	return m
}

// typeSize is pg_type.typlen.
func typeSize(t types.Type) int16 {
	switch t.ID {
	case types.Name:
		return 64
	case types.Void:
		return 4
	case types.Unknown:
		return -2
	}
	if n, fixed := sizes[t.ID]; fixed {
		return int16(n)
	}
	return -1
}

// typeModifier is pg_attribute.atttypmod.
func typeModifier(t types.Type) int32 {
	if t.Mod == 0 {
		return -1
	}
	id := t.ID
	if id == types.Array {
		id = t.Elem
	}
	switch id {
	case types.Numeric: // precision<<16|scale, and 4
		return t.Mod + 3
	case types.Time, types.Timestamp, types.Timestamptz, types.Interval:
		return t.Mod - 1
	}
	return t.Mod + 4
}

var errCopy = sqlerr.New(sqlerr.FeatureNotSupported, "COPY is not supported")

// isCopy tells whether the first word after blanks and comments is COPY.
func isCopy(sql string) bool {
	for {
		sql = strings.TrimLeft(sql, " \t\r\n\f\v;")
		switch {
		case strings.HasPrefix(sql, "--"):
			_, sql, _ = strings.Cut(sql, "\n")
		case strings.HasPrefix(sql, "/*"):
			depth := 0
			for {
				switch {
				case sql == "":
					return false
				case strings.HasPrefix(sql, "/*"):
					depth, sql = depth+1, sql[2:]
					continue
				case strings.HasPrefix(sql, "*/"):
					depth, sql = depth-1, sql[2:]
				default:
					sql = sql[1:]
				}
				if depth == 0 {
					break
				}
			}
		default:
			return len(sql) >= 5 && strings.EqualFold(sql[:4], "copy") && strings.IndexByte(" \t\r\n\f\v\"(/-", sql[4]) >= 0
		}
	}
}
