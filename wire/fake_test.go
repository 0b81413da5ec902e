package wire

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// fake is a backend whose statements are a word and its arguments.
type fake struct {
	mu     sync.Mutex
	log    []string // what sessions were told, in order
	opened int
	closed int
	rows   int // open Rows
	infos  []SessionInfo
}

func (f *fake) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, fmt.Sprintf(format, args...))
}

// took returns the log and empties it.
func (f *fake) took() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := strings.Join(f.log, " ")
	f.log = nil
	return out
}

func (f *fake) NewSession(info SessionInfo) (Session, error) {
	if info.Database == "nowhere" {
		return nil, sqlerr.New("3D000", "database %q does not exist", info.Database)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened++
	f.infos = append(f.infos, info)
	return &fakeSession{fake: f, info: info, status: 'I', zone: "UTC"}, nil
}

type fakeSession struct {
	*fake
	info    SessionInfo
	status  byte
	zone    string
	badSync bool
	lost    bool
}

func (s *fakeSession) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
}

func (s *fakeSession) TxStatus() byte { return s.status }

func (s *fakeSession) Param(name string) (string, bool) {
	return s.zone, name == "TimeZone"
}

func (s *fakeSession) Fail() {
	s.note("fail")
	s.lost = true
	if s.status == 'T' {
		s.status = 'E'
	}
}

func (s *fakeSession) Sync(ctx context.Context) error {
	if s.badSync {
		s.badSync = false
		return sqlerr.New("40001", "the commit failed")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.status == 'I' {
		s.note("sync")
		s.lost = false
	}
	return nil
}

type fakeStatement struct {
	text   string
	offset int
}

func (s fakeStatement) Text() string { return s.text }
func (s fakeStatement) Offset() int  { return s.offset }

func (s *fakeSession) Parse(sql string) ([]Statement, error) {
	if i := strings.Index(sql, "%%"); i >= 0 {
		return nil, sqlerr.New(sqlerr.Syntax, `syntax error at or near "%%%%"`).At(i)
	}
	var out []Statement
	for at := 0; at <= len(sql); {
		part, _, _ := strings.Cut(sql[at:], ";")
		text := strings.TrimLeft(part, " \n")
		if text != "" && !strings.HasPrefix(text, "--") {
			out = append(out, fakeStatement{text, at + len(part) - len(text)})
		}
		at += len(part) + 1
	}
	return out, nil
}

type fakePrepared struct {
	s      *fakeSession
	words  []string
	text   string
	params []types.Type
	cols   []Column
}

func (p *fakePrepared) Params() []types.Type { return p.params }
func (p *fakePrepared) arg() string {
	if len(p.words) < 2 {
		return ""
	}
	return p.words[1]
}

func (p *fakePrepared) Columns() []Column { return p.cols }

func typeByName(name string) (types.Type, bool) {
	elem, isArray := strings.CutSuffix(name, "[]")
	for oid := uint32(1); oid < 5000; oid++ {
		t, ok := types.FromOID(oid)
		if ok && t.ID != types.Array && strings.ReplaceAll(t.String(), " ", "") == elem {
			if isArray {
				return types.ArrayOf(t.ID), true
			}
			return t, true
		}
	}
	return types.Type{}, false
}

func (s *fakeSession) Prepare(_ context.Context, st Statement, oids []uint32) (Prepared, error) {
	p := &fakePrepared{s: s, text: st.Text(), words: strings.Fields(st.Text() + " .")}
	p.words = p.words[:max(1, len(p.words)-1)]
	switch p.words[0] {
	case "echo": // echo type…: its parameters as its row
		for i, w := range p.words[1:] {
			t, ok := typeByName(w)
			if i < len(oids) && oids[i] != 0 {
				t, ok = types.FromOID(oids[i])
			}
			if !ok {
				return nil, sqlerr.New(sqlerr.UndefinedObject, "type %q does not exist", w)
			}
			p.params = append(p.params, t)
			p.cols = append(p.cols, Column{Name: w, Type: t, TableOID: 16384, Attr: int16(i + 1)})
		}
	case "series", "hang", "hangrow":
		p.cols = []Column{{Name: "n", Type: tInt4}}
	case "big":
		p.cols = []Column{{Name: "t", Type: tText}}
	case "numeric":
		p.cols = []Column{{Name: "x", Type: types.Type{ID: types.Numeric, Mod: 10<<16 | 3}}}
	case "insert", "begin", "commit", "rollback", "set", "notice", "fail", "panic", "badsync", "deallocate", "oddrow":
	default:
		return nil, sqlerr.New(sqlerr.UndefinedTable, "relation %q does not exist", p.words[0]).At(len(p.text) - 1)
	}
	if p.words[0] == "oddrow" {
		p.cols = make([]Column, 2)
	}
	return p, nil
}

type fakeRows struct {
	p    *fakePrepared
	n    int
	row  []types.Datum
	tag  string
	left int
	sent bool
}

func (p *fakePrepared) Execute(ctx context.Context, args []types.Datum) (Rows, error) {
	s := p.s
	s.note("%s", p.words[0])
	if s.status == 'E' && p.words[0] != "rollback" {
		return nil, sqlerr.New("25P02", "current transaction is aborted, commands ignored until end of transaction block")
	}
	r := &fakeRows{p: p, tag: strings.ToUpper(p.words[0])}
	switch p.words[0] {
	case "echo":
		r.left, r.row = 1, args
	case "numeric":
		d, _ := types.ParseText(tNumeric, "12.50")
		r.left, r.row = 1, []types.Datum{d}
	case "oddrow":
		r.left, r.row = 1, []types.Datum{{}}
	case "series", "big":
		r.left, _ = strconv.Atoi(p.arg())
	case "hangrow":
		r.left = 2
	case "insert":
		r.tag = "INSERT 0 1"
	case "begin":
		s.status = 'T'
	case "commit", "rollback":
		s.status = 'I'
	case "set":
		s.zone = p.arg()
	case "badsync":
		s.badSync = true
	case "deallocate":
		if !s.info.Statements.Delete(p.arg()) {
			return nil, sqlerr.New("26000", "prepared statement %q does not exist", p.arg())
		}
	case "panic":
		panic("a statement panics")
	case "fail":
		return nil, fmt.Errorf("wrapped: %w", sqlerr.New("22012", "division\x00 by zero").At(2).WithHint("a hint").WithDetail("a detail"))
	}
	s.mu.Lock()
	s.rows++
	s.mu.Unlock()
	return r, nil
}

func (r *fakeRows) Next(ctx context.Context) (bool, error) {
	if r.left == 0 {
		if strings.HasPrefix(r.p.words[0], "hang") {
			r.p.s.note("hanging")
			<-ctx.Done()
			return false, ctx.Err()
		}
		return false, nil
	}
	if r.p.words[0] == "hangrow" && r.n > 0 {
		time.Sleep(3 * lateFlush)
	}
	r.left--
	r.n++
	switch r.p.words[0] {
	case "series", "hangrow":
		r.row = []types.Datum{{I: int64(r.n)}}
	case "big":
		r.row = []types.Datum{{S: make([]byte, 0, 1)}}
		r.row[0].S = []byte(strings.Repeat("x", 1000))
	}
	return true, nil
}

func (r *fakeRows) Row() []types.Datum { return r.row }

func (r *fakeRows) Tag() string {
	if r.p.cols != nil {
		return "SELECT " + strconv.Itoa(r.n)
	}
	return r.tag
}

func (r *fakeRows) Notices() []Notice {
	if r.p.words[0] != "notice" || r.sent {
		return nil
	}
	r.sent = true
	return []Notice{{Severity: "WARNING", Err: sqlerr.New("25001", "there is already a transaction in progress").At(0)}}
}

func (r *fakeRows) Close() {
	if r.p == nil {
		panic("closed twice")
	}
	r.p.s.mu.Lock()
	defer r.p.s.mu.Unlock()
	r.p.s.rows--
	r.p = nil
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var e interface{ SQLState() string }
	if !errors.As(err, &e) || e.SQLState() != code {
		t.Errorf("the error is %v, want %s", err, code)
	}
}
