package server

import (
	"context"
	"strings"

	"github.com/streamsql/streamsql/engine"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/wire"
)

// backend gives an engine's sessions to the wire.
type backend struct{ eng *engine.Engine }

// Backend returns the wire's view of an engine.
func Backend(e *engine.Engine) wire.Backend { return backend{e} }

// NewSession implements wire.Backend.
func (b backend) NewSession(info wire.SessionInfo) (wire.Session, error) {
	params := map[string]string{}
	for k, v := range info.Params {
		// Clients send what their own PostgreSQL would take; what begins with _pq_.
		// is the protocol's.
		if !strings.HasPrefix(k, "_pq_.") {
			params[k] = v
		}
	}
	s, err := b.eng.NewSession(info.User, info.Database, params)
	if err != nil {
		return nil, err
	}
	s.Implicit = true
	s.SetPID(info.PID)
	s.Hooks = engine.Hooks{Deallocate: info.Statements.Delete, DeallocateAll: info.Statements.Clear}
	return &session{s}, nil
}

// session is a wire.Session.
type session struct{ *engine.Session }

var (
	_ wire.Session   = (*session)(nil)
	_ wire.TextCodec = (*session)(nil)
)

// statement is a wire.Statement.
type statement struct{ st *engine.Statement }

func (s statement) Text() string { return s.st.Text }
func (s statement) Offset() int  { return s.st.Offset }

// Parse implements wire.Session.
func (s *session) Parse(sql string) ([]wire.Statement, error) {
	stmts, err := s.Session.Parse(sql)
	if err != nil {
		return nil, err
	}
	out := make([]wire.Statement, len(stmts))
	for i, st := range stmts {
		out[i] = statement{st}
	}
	return out, nil
}

// Prepare implements wire.Session.
func (s *session) Prepare(ctx context.Context, st wire.Statement, oids []uint32) (wire.Prepared, error) {
	params := make([]types.Type, len(oids))
	for i, oid := range oids {
		if oid == 0 || oid == types.Of(types.Unknown).OID() {
			continue
		}
		t, ok := types.FromOID(oid)
		if !ok {
			return nil, sqlerr.New(sqlerr.UndefinedObject, "type with OID %d does not exist", oid)
		}
		params[i] = t
	}
	p, err := s.Session.Prepare(ctx, st.(statement).st, params)
	if err != nil {
		return nil, err
	}
	out := prepared{p: p}
	if cols := p.Columns(); cols != nil {
		out.cols = make([]wire.Column, len(cols))
		for i, c := range cols {
			out.cols[i] = wire.Column{Name: c.Name, Type: c.Type, TableOID: uint32(c.Table), Attr: c.Attr}
		}
	}
	return out, nil
}

// Param implements wire.Session.
func (s *session) Param(name string) (string, bool) {
	switch name { // the wire's own
	case "server_version", "server_encoding", "integer_datetimes", "in_hot_standby":
		return "", false
	}
	return s.Setting(name)
}

type prepared struct {
	p    *engine.Prepared
	cols []wire.Column
}

func (p prepared) Params() []types.Type   { return p.p.Params() }
func (p prepared) Columns() []wire.Column { return p.cols }

// Execute implements wire.Prepared.
func (p prepared) Execute(ctx context.Context, args []types.Datum) (wire.Rows, error) {
	r, err := p.p.Execute(ctx, args)
	if err != nil {
		return nil, err
	}
	return rows{r}, nil
}

type rows struct{ *engine.Rows }

// Notices implements wire.Rows.
func (r rows) Notices() []wire.Notice {
	ns := r.Rows.Notices()
	if len(ns) == 0 {
		return nil
	}
	out := make([]wire.Notice, len(ns))
	for i, n := range ns {
		out[i] = wire.Notice{Severity: n.Severity, Err: n.Err}
	}
	return out
}
