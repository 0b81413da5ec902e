package parser

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	tidb "github.com/pingcap/tidb/pkg/parser"
	tast "github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/format"
	"github.com/pingcap/tidb/pkg/parser/mysql"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// value is a literal of the encoded text. It is TiDB's value driver: TiDB's own
// ones compute, and lose digits.
type value struct {
	tast.TexprNode
	v any // nil, bool, int64 or string
}

func init() {
	tast.NewValueExpr = func(v any, _, _ string) tast.ValueExpr {
		if e, ok := v.(*value); ok {
			return e
		}
		return &value{v: v}
	}
	tast.NewParamMarkerExpr = func(int) tast.ParamMarkerExpr { return &paramMarker{} }
	text := func(s string) (any, error) { return s, nil }
	tast.NewDecimal, tast.NewHexLiteral, tast.NewBitLiteral = text, text, text
}

// Restore implements ast.Node.
func (n *value) Restore(ctx *format.RestoreCtx) error {
	switch v := n.v.(type) {
	case bool:
		ctx.WriteKeyWord(strconv.FormatBool(v))
	case int64:
		ctx.WritePlain(strconv.FormatInt(v, 10))
	case string:
		ctx.WriteString(v)
	default:
		ctx.WriteKeyWord("NULL")
	}
	return nil
}

// Accept implements ast.Node.
func (n *value) Accept(v tast.Visitor) (tast.Node, bool) {
	m, _ := v.Enter(n)
	return v.Leave(m)
}

// Format implements ast.ExprNode.
func (n *value) Format(w io.Writer) { _, _ = fmt.Fprint(w, n.v) }

// GetValue implements ast.ValueExpr.
func (n *value) GetValue() any { return n.v }

// SetValue implements ast.ValueExpr.
func (n *value) SetValue(v any) { n.v = v }

// GetString implements ast.ValueExpr.
func (n *value) GetString() string {
	s, _ := n.v.(string)
	return s
}

// GetDatumString implements ast.ValueExpr.
func (n *value) GetDatumString() string { return n.GetString() }

// GetProjectionOffset implements ast.ValueExpr.
func (n *value) GetProjectionOffset() int { return -1 }

// SetProjectionOffset implements ast.ValueExpr.
func (n *value) SetProjectionOffset(int) {}

// paramMarker completes the driver; the encoding has no "?".
type paramMarker struct{ value }

// SetOrder implements ast.ParamMarkerExpr.
func (n *paramMarker) SetOrder(int) {}

// maxPooled is the length of the longest text whose parser is kept.
const maxPooled = 1 << 20

var pool = sync.Pool{New: func() any {
	p := tidb.New()
	p.SetSQLMode(mysql.ModeNoBackslashEscapes)
	return p
}}

// slot is a part of the statement that TiDB is to parse: a query, or an
// expression outside of one.
type slot struct {
	f     *frag
	query func(*ast.Query) // nil: an expression
	expr  func(ast.Expr)
}

func (p *parser) slotExpr(f *frag, set func(ast.Expr)) {
	p.slots = append(p.slots, slot{f: f, expr: set})
}

func (p *parser) slotQuery(f *frag, set func(*ast.Query)) {
	p.slots = append(p.slots, slot{f: f, query: set})
}

// finish parses the slots of the statement: each query alone, the expressions
// together as the columns of a SELECT.
func (p *parser) finish() {
	var exprs []*frag
	var sets []func(ast.Expr)
	for _, s := range p.slots {
		if s.query == nil {
			exprs, sets = append(exprs, s.f), append(sets, s.expr)
			continue
		}
		r, n, done := p.parse(s.f)
		s.query(r.query(n))
		done()
	}
	if len(exprs) == 0 {
		return
	}
	r, n, done := p.parse(&frag{pre: "SELECT ", sep: ",", kids: exprs, pos: -1})
	sel, ok := n.(*tast.SelectStmt)
	if !ok || len(sel.Fields.Fields) != len(sets) {
		r.bad(n)
	}
	for i, f := range sel.Fields.Fields {
		sets[i](r.expr(f.Expr))
	}
	done()
}

// parse encodes a fragment and gives it to TiDB. The tree is read before done:
// a parser at its next text still writes into nodes of the text before.
func (p *parser) parse(f *frag) (r *raiser, n tast.Node, done func()) {
	r = &raiser{sides: p.sides}
	r.put(f)
	text := r.b.String()
	t := pool.Get().(*tidb.Parser)
	stmts, _, err := t.ParseSQL(text)
	if err != nil || len(stmts) != 1 {
		panic(sqlerr.New(sqlerr.Internal, "the parser's encoding was refused: %v", err).
			At(r.near(text, err)))
	}
	return r, stmts[0], func() {
		if len(text) <= maxPooled {
			pool.Put(t)
		}
	}
}

// near returns the user's offset for an error of TiDB's, which quotes the rest
// of the text from the token that it could not take.
func (e *encoded) near(text string, err error) int {
	if err == nil {
		return -1
	}
	_, rest, _ := strings.Cut(err.Error(), `near "`)
	rest = strings.TrimRight(rest, `" `)
	at := len(text) - len(rest)
	if i := strings.LastIndex(rest, "(total length "); i >= 0 {
		if n, err := strconv.Atoi(strings.TrimRight(rest[i+len("(total length "):], ")")); err == nil {
			at = len(text) - n
		}
	}
	pos := -1
	for _, m := range e.marks {
		if m.out <= at && m.pos >= 0 {
			pos = m.pos
		}
	}
	return pos
}
