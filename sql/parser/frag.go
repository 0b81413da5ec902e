package parser

import (
	"sort"
	"strconv"
	"strings"

	"github.com/streamsql/streamsql/sql/ast"
)

// frag is a piece of the encoded text: pre, the kids with sep between them, post.
// It is a rope because what stands before an operand is known only after it.
type frag struct {
	pre, sep, post string
	kids           []*frag
	typ            *ast.TypeName // of the second argument of a __cast
	pos            int32         // offset in the user's text of the node that starts here; -1: none
	depth          int32
	bare           bool // an integer alone: in a list of GROUP BY a position to MySQL
}

// maxDepth bounds the height of the tree: what a chain of left-associative
// operators may reach. Nesting has a lower limit, maxNest.
const maxDepth = 10000

func leaf(pos int, text string) *frag { return &frag{pre: text, pos: int32(pos)} }

// wrap puts text around kids.
func (p *parser) wrap(pos int, pre, sep, post string, kids ...*frag) *frag {
	f := &frag{pre: pre, sep: sep, post: post, kids: kids, pos: int32(pos)}
	for _, k := range kids {
		f.depth = max(f.depth, k.depth)
	}
	if f.depth++; f.depth > maxDepth {
		p.failDepth()
	}
	return f
}

// marker is a call of one of the encoding's own functions.
func (p *parser) marker(pos int, name string, kids ...*frag) *frag {
	return p.wrap(pos, "`"+name+"`(", ",", ")", kids...)
}

// str is a string literal of the encoded text.
func str(pos int, s string) *frag {
	if strings.IndexByte(s, '\'') >= 0 {
		s = strings.ReplaceAll(s, "'", "''")
	}
	return leaf(pos, "'"+s+"'")
}

// strs are string literals.
func strs(ss []string) []*frag {
	out := make([]*frag, len(ss))
	for i, s := range ss {
		out[i] = str(-1, s)
	}
	return out
}

// quoteName quotes a name for MySQL.
func quoteName(s string) string {
	if strings.IndexByte(s, '`') >= 0 {
		s = strings.ReplaceAll(s, "`", "``")
	}
	return "`" + s + "`"
}

// sideName is the name that stands for an entry of the side table.
func sideName(n int) string { return "`#" + strconv.Itoa(n) + "`" }

// mark ties an offset of the encoded text to one of the user's.
type mark struct {
	out, pos int
	typ      *ast.TypeName
}

type encoded struct {
	b     strings.Builder
	marks []mark
}

func (e *encoded) put(f *frag) {
	if f.pos >= 0 || f.typ != nil {
		e.marks = append(e.marks, mark{out: e.b.Len(), pos: int(f.pos), typ: f.typ})
	}
	e.b.WriteString(f.pre)
	for i, k := range f.kids {
		if i > 0 {
			e.b.WriteString(f.sep)
		}
		e.put(k)
	}
	e.b.WriteString(f.post)
}

// at returns the mark of the node that starts at an offset of the encoded text.
// Two nodes may start there; the inner one, written last, is what TiDB's node is.
func (e *encoded) at(out int) (mark, bool) {
	i := sort.Search(len(e.marks), func(i int) bool { return e.marks[i].out > out }) - 1
	if i < 0 || e.marks[i].out != out {
		return mark{}, false
	}
	return e.marks[i], true
}
