package expr

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/streamsql/streamsql/sql/types"
)

// String prints x as SQL, for EXPLAIN. colName names input columns; nil: #n.
func String(x *Expr, colName func(int) string) string {
	var p printer
	if p.col = colName; p.col == nil {
		p.col = func(i int) string { return "#" + strconv.Itoa(i) }
	}
	p.expr(x)
	return p.String()
}

type printer struct {
	strings.Builder
	col func(int) string
}

func (p *printer) list(xs []*Expr, sep string) {
	for i, x := range xs {
		if i > 0 {
			p.WriteString(sep)
		}
		p.expr(x)
	}
}

func (p *printer) expr(x *Expr) {
	if x == nil {
		return
	}
	switch x.Kind {
	case Col:
		p.WriteString(p.col(x.Index))
	case Const:
		p.constant(x)
	case Param:
		fmt.Fprintf(p, "$%d", x.Index)
	case Call:
		p.call(x)
	case Cast:
		p.WriteByte('(')
		p.expr(x.Args[0])
		p.WriteString(")::" + x.Type.String())
	case And, Or:
		p.WriteByte('(')
		p.list(x.Args, map[Kind]string{And: " AND ", Or: " OR "}[x.Kind])
		p.WriteByte(')')
	case Not:
		p.WriteString("(NOT ")
		p.expr(x.Args[0])
		p.WriteByte(')')
	case Null:
		p.WriteByte('(')
		p.expr(x.Args[0])
		p.WriteString(" IS NULL)")
	case Case:
		p.WriteString("CASE")
		for i := 0; i+1 < len(x.Args); i += 2 {
			p.WriteString(" WHEN ")
			p.expr(x.Args[i])
			p.WriteString(" THEN ")
			p.expr(x.Args[i+1])
		}
		p.WriteString(" ELSE ")
		p.expr(x.Args[len(x.Args)-1])
		p.WriteString(" END")
	case Coal:
		p.WriteString("COALESCE(")
		p.list(x.Args, ", ")
		p.WriteByte(')')
	case In:
		p.WriteByte('(')
		p.expr(x.Args[0])
		p.WriteString(" IN (")
		p.list(x.Args[1:], ", ")
		p.WriteString("))")
	default:
		p.WriteString(string(x.Kind))
	}
}

func (p *printer) constant(x *Expr) {
	if x.Value.Null {
		p.WriteString("NULL")
		return
	}
	s := string(types.FormatText(nil, x.Type, x.Value))
	switch x.Type.ID {
	case types.Bool:
		p.WriteString(map[string]string{"t": "true", "f": "false"}[s])
	case types.Int2, types.Int4, types.Int8, types.Numeric, types.Float8, types.Float4:
		p.WriteString(s)
	default:
		p.WriteString("'" + strings.ReplaceAll(s, "'", "''") + "'")
		if x.Type.ID != types.Unknown && x.Type.ID != types.Text {
			p.WriteString("::" + x.Type.String())
		}
	}
}

func (p *printer) call(x *Expr) {
	name := x.Fn
	if op, all, ok := quantifiedName(name); ok {
		p.WriteByte('(')
		p.expr(x.Args[0])
		p.WriteString(" " + op + " " + map[bool]string{false: "ANY", true: "ALL"}[all] + " (")
		p.expr(x.Args[1])
		p.WriteString("))")
		return
	}
	if i := strings.IndexByte(name, '('); i > 0 {
		name = name[:i]
	}
	infix := isOperator(name) || strings.HasPrefix(name, "is ")
	switch {
	case name == "subscript":
		p.expr(x.Args[0])
		p.WriteByte('[')
		p.list(x.Args[1:], ":")
		p.WriteByte(']')
	case name == "array":
		p.WriteString("ARRAY[")
		p.list(x.Args, ", ")
		p.WriteByte(']')
	case infix && len(x.Args) == 2:
		if strings.HasPrefix(name, "is ") {
			name = strings.ToUpper(name)
		}
		p.WriteByte('(')
		p.expr(x.Args[0])
		p.WriteString(" " + name + " ")
		p.expr(x.Args[1])
		p.WriteByte(')')
	case infix && len(x.Args) == 1:
		p.WriteString("(" + name + " ")
		p.expr(x.Args[0])
		p.WriteByte(')')
	default:
		p.WriteString(name + "(")
		p.list(x.Args, ", ")
		p.WriteByte(')')
	}
}

// quantifiedName takes the key any(op)(…) apart.
func quantifiedName(key string) (op string, all, ok bool) {
	for _, p := range []string{"any(", "all("} {
		if rest, found := strings.CutPrefix(key, p); found {
			if i := strings.Index(rest, ")("); i > 0 {
				return rest[:i], p == "all(", true
			}
		}
	}
	return "", false, false
}
