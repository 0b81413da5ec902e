package parser

import (
	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

const windowingError = "42P20"

// over reads OVER w or OVER (…) behind a call.
func (p *parser) over(call *frag) *frag {
	t := p.tok()
	p.expect("over")
	var spec *frag
	if p.isSym("(") {
		spec = p.windowSpec(&ast.Window{Pos: ast.Pos(p.tok().Pos)})
	} else {
		at := p.tok()
		spec = leaf(-1, "("+p.side(&ast.Window{Pos: ast.Pos(at.Pos), Name: p.colID()})+")")
	}
	return p.wrap(t.Pos, "FIRST_VALUE(", ") OVER ", "", call, spec)
}

// windowDef reads an item of WINDOW.
func (p *parser) windowDef() *frag {
	w := &ast.Window{Pos: ast.Pos(p.tok().Pos), Name: p.colID()}
	p.expect("as")
	name := sideName(len(p.sides))
	return p.wrap(-1, name+" AS ", "", "", p.windowSpec(w))
}

// windowSpec reads (…). The name of w's entry stands where MySQL has the window
// that this one starts from.
func (p *parser) windowSpec(w *ast.Window) *frag {
	name := p.side(w)
	p.expectSym("(")
	if t := p.tok(); isColID(t) && !t.is("partition") && !t.is("range") && !t.is("rows") && !t.is("groups") {
		w.Base = p.colID()
	}
	var kids []*frag
	if p.accept("partition") {
		p.expect("by")
		var items []*frag
		p.commaList(func() { items = append(items, p.noPosition(p.expr())) })
		kids = append(kids, p.wrap(-1, " PARTITION BY ", ",", "", items...))
	}
	var items []*frag
	if p.accept("order") {
		p.expect("by")
		p.commaList(func() { items = append(items, p.orderItem()) })
	}
	if p.is("range") || p.is("rows") || p.is("groups") {
		items = append(items, p.frame())
	}
	if items != nil {
		kids = append(kids, p.wrap(-1, " ORDER BY ", ",", "", items...))
	}
	p.expectSym(")")
	return p.wrap(-1, "("+name, "", ")", kids...)
}

// boundRank orders the bounds: a frame's start may not come behind its end.
var boundRank = map[ast.BoundKind]int{
	ast.UnboundedPreceding: 0, ast.Preceding: 1, ast.CurrentRow: 2, ast.Following: 3, ast.UnboundedFollowing: 4,
}

// frame reads ROWS, RANGE or GROUPS and what follows.
func (p *parser) frame() *frag {
	t := p.advance()
	start, end := ast.BoundKind(""), ast.CurrentRow
	none := p.marker(-1, "__none")
	from, to := none, none
	between := p.accept("between")
	at := p.tok()
	start, from = p.bound(none)
	endAt := at
	if between {
		p.expect("and")
		endAt = p.tok()
		end, to = p.bound(none)
	}
	bad := func(at Token, msg string) { panic(sqlerr.New(windowingError, "%s", msg).At(at.Pos)) }
	switch {
	case start == ast.UnboundedFollowing:
		bad(at, "frame start cannot be UNBOUNDED FOLLOWING")
	case end == ast.UnboundedPreceding:
		bad(endAt, "frame end cannot be UNBOUNDED PRECEDING")
	case boundRank[start] <= boundRank[end]:
	case start == ast.CurrentRow:
		bad(endAt, "frame starting from current row cannot have preceding rows")
	case !between:
		bad(endAt, "frame starting from following row cannot end with current row")
	default:
		bad(endAt, "frame starting from following row cannot have preceding rows")
	}
	return p.marker(t.Pos, "__frame", str(-1, t.Val), str(-1, string(start)), str(-1, string(end)),
		str(-1, string(p.exclude())), from, to)
}

func (p *parser) exclude() ast.FrameExclude {
	if !p.accept("exclude") {
		return ast.ExcludeNone
	}
	switch {
	case p.accept("current", "row"):
		return ast.ExcludeCurrentRow
	case p.accept("group"):
		return ast.ExcludeGroup
	case p.accept("ties"):
		return ast.ExcludeTies
	}
	p.expect("no", "others")
	return ast.ExcludeNone
}

// bound reads one end of a frame.
func (p *parser) bound(none *frag) (ast.BoundKind, *frag) {
	switch {
	case p.accept("unbounded", "preceding"):
		return ast.UnboundedPreceding, none
	case p.accept("unbounded", "following"):
		return ast.UnboundedFollowing, none
	case p.accept("current", "row"):
		return ast.CurrentRow, none
	}
	x := p.expr()
	if p.accept("preceding") {
		return ast.Preceding, x
	}
	p.expect("following")
	return ast.Following, x
}
