package wire

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgproto3/v2"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// params are the parameters that a client is told of, in PostgreSQL's order, and
// what it hears when the session has nothing else to say.
var params = []struct{ name, value string }{
	{"application_name", ""},
	{"client_encoding", "UTF8"},
	{"DateStyle", "ISO, MDY"},
	{"default_transaction_read_only", "off"},
	{"in_hot_standby", "off"},
	{"integer_datetimes", "on"},
	{"IntervalStyle", "postgres"},
	{"is_superuser", "on"},
	{"server_encoding", "UTF8"},
	{"server_version", ""},
	{"session_authorization", ""},
	{"standard_conforming_strings", "on"},
	{"TimeZone", "UTC"},
}

// start opens the session and tells the client.
func (s *session) start(st *startup) error {
	info := SessionInfo{
		PID: s.pid, User: st.params["user"], Database: st.params["database"], Params: st.params,
		Remote: s.conn.RemoteAddr(), Statements: s.stmts,
	}
	delete(st.params, "user")
	delete(st.params, "database")
	for _, p := range params {
		s.reported[p.name] = p.value
	}
	s.reported["application_name"] = st.params["application_name"]
	s.reported["server_version"] = s.srv.cfg.ServerVersion
	s.reported["session_authorization"] = info.User

	sess, err := s.srv.backend.NewSession(info)
	if err != nil {
		return fatal{sqlerr.From(err)}
	}
	s.sess = sess
	s.format, s.parse = types.FormatText, types.ParseText
	if c, ok := sess.(TextCodec); ok {
		s.format, s.parse = c.FormatText, c.ParseText
	}
	if st.minor > 0 || len(st.unknown) > 0 {
		b := append([]byte{'v'}, 0, 0, 0, 0)
		b = be.AppendUint32(b, version3)
		b = be.AppendUint32(b, uint32(len(st.unknown)))
		for _, name := range st.unknown {
			b = append(append(b, name...), 0)
		}
		be.PutUint32(b[1:], uint32(len(b)-1))
		s.w.raw(b, false)
	}
	s.w.send(&pgproto3.AuthenticationOk{})
	for _, p := range params {
		if v, ok := sess.Param(p.name); ok {
			s.reported[p.name] = v
		}
		s.w.send(&pgproto3.ParameterStatus{Name: p.name, Value: clean(s.reported[p.name])})
	}
	s.w.send(&pgproto3.BackendKeyData{ProcessID: s.pid, SecretKey: s.secret})
	s.w.send(&pgproto3.ReadyForQuery{TxStatus: s.status()})
	return s.w.flush()
}

// ready ends a command: the implicit transaction, the parameters that changed,
// ReadyForQuery.
func (s *session) ready() error {
	if err := s.sync(); err != nil {
		if err := s.report(err); err != nil {
			return err
		}
		if err := s.sync(); err != nil {
			return fatal{sqlerr.From(err)} // not even a rollback
		}
	}
	if s.status() == 'I' {
		s.closePortals()
	}
	for _, p := range params {
		if v, ok := s.sess.Param(p.name); ok && v != s.reported[p.name] {
			s.reported[p.name] = v
			s.w.send(&pgproto3.ParameterStatus{Name: p.name, Value: clean(v)})
		}
	}
	s.w.send(&pgproto3.ReadyForQuery{TxStatus: s.status()})
	s.end()
	return s.w.flush()
}

// sync ends the implicit transaction. A rollback is not to be cancelled.
func (s *session) sync() error {
	ctx := s.cmd
	if s.failed {
		ctx = s.ctx
	}
	if err := s.sess.Sync(ctx); err != nil {
		return err
	}
	s.failed = false
	return nil
}

func (s *session) status() byte {
	if b := s.sess.TxStatus(); b == 'T' || b == 'E' {
		return b
	}
	return 'I'
}

// report sends an error of the running command. The error it returns ends the session.
func (s *session) report(err error) error {
	if s.w.failed() != nil {
		return s.w.failed()
	}
	if f := (fatal{}); errors.As(err, &f) {
		return f
	}
	if s.ctx.Err() != nil {
		return s.ending()
	}
	e := sqlerr.From(err)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		if cause, ok := context.Cause(s.cmd).(*sqlerr.Error); ok {
			e = cause
		} else {
			e = sqlerr.New(sqlerr.QueryCanceled, "canceling statement: %v", err)
		}
	}
	s.failed = true
	s.closePortals()
	s.sess.Fail()
	return s.w.send(errorResponse("ERROR", e, s.position(e.Pos)))
}

// position turns a byte offset in the statement into the number of a character
// in the client's text.
func (s *session) position(pos int) int32 {
	if pos <= 0 {
		return 0
	}
	end := min(s.offset+pos-1, len(s.whole))
	return int32(utf8.RuneCountInString(s.whole[:max(end, 0)])) + 1
}

func errorResponse(severity string, e *sqlerr.Error, pos int32) *pgproto3.ErrorResponse {
	code := e.Code
	if len(code) != 5 {
		code = sqlerr.Internal
	}
	return &pgproto3.ErrorResponse{
		Severity: severity, SeverityUnlocalized: severity, Code: clean(code),
		Message: cmp.Or(clean(e.Message), "unknown error"), Detail: clean(e.Detail), Hint: clean(e.Hint), Position: pos,
	}
}

// notices sends what a statement had to say besides its rows.
func (s *session) notices(rows Rows) error {
	for _, n := range rows.Notices() {
		if n.Err == nil {
			continue
		}
		m := pgproto3.NoticeResponse(*errorResponse(n.Severity, n.Err, s.position(n.Err.Pos)))
		if err := s.w.send(&m); err != nil {
			return err
		}
	}
	return nil
}

// clean makes a text fit for a string of the protocol.
func clean(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
