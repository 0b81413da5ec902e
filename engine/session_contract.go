package engine

import (
	"context"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/types"
)

// ---- what sessions give to everyone ----

// Column describes a result column.
type Column struct {
	Name  string
	Type  types.Type
	Table uint64 // 0: not a table's own column
	Attr  int16
}

// Session is one client's.
type Session struct{}

// NewSession opens a session. params are startup parameters or settings.
func (e *Engine) NewSession(user, database string, params map[string]string) (*Session, error) {
	panic("contract")
}

// Statement is one parsed statement.
type Statement struct {
	Text   string
	Offset int
	AST    ast.Statement
}

// Prepared is a statement with its types resolved.
type Prepared struct{}

// Rows is a running statement.
type Rows struct{}

func (s *Session) Parse(sql string) ([]*Statement, error) { panic("contract") }
func (s *Session) Prepare(ctx context.Context, st *Statement, params []types.Type) (*Prepared, error) {
	panic("contract")
}
func (s *Session) Close()                { panic("contract") }
func (p *Prepared) Params() []types.Type { panic("contract") }
func (p *Prepared) Columns() []Column    { panic("contract") }
func (p *Prepared) Execute(ctx context.Context, args []types.Datum) (*Rows, error) {
	panic("contract")
}
func (r *Rows) Next(ctx context.Context) (bool, error) { panic("contract") }
func (r *Rows) Row() []types.Datum                     { panic("contract") }
func (r *Rows) Tag() string                            { panic("contract") }
func (r *Rows) Notices() []Notice                      { panic("contract") }
func (r *Rows) Close()                                 { panic("contract") }
