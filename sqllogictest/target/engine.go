package target

import (
	"context"
	"strconv"
	"strings"

	"github.com/streamsql/streamsql/engine"
	"github.com/streamsql/streamsql/sql/types"
	"github.com/streamsql/streamsql/sqllogictest"
)

// Engine is an engine in this process.
type Engine struct{ *engine.Engine }

var _ sqllogictest.DB = Engine{}

// Connect implements sqllogictest.DB.
func (e Engine) Connect(context.Context) (sqllogictest.Conn, error) {
	s, err := e.NewSession("slt", "slt", nil)
	if err != nil {
		return nil, err
	}
	return session{s}, nil
}

type session struct{ *engine.Session }

// Exec implements sqllogictest.Conn.
func (s session) Exec(ctx context.Context, sql string) (*sqllogictest.Result, error) {
	a, err := s.Session.Exec(ctx, sql)
	if err != nil {
		return nil, err
	}
	r := &sqllogictest.Result{Rows: a.Rows, Count: tagCount(a.Tag)}
	for _, c := range a.Columns {
		r.Types = append(r.Types, c.Type)
	}
	if a.Columns != nil && r.Types == nil {
		r.Types = []types.Type{}
	}
	return r, nil
}

// tagCount is the number at the end of a command tag.
func tagCount(tag string) int {
	n, _ := strconv.Atoi(tag[strings.LastIndexByte(tag, ' ')+1:])
	return n
}
