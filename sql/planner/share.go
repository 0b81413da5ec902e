package planner

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
)

// share makes one node of the nodes of a plan that compute the same, such as a
// WITH query read twice, or the outer rows for which a subquery is evaluated.
// Its operators run once, with several readers.
func (b *binder) share(root *plan.Node) *plan.Node {
	scans := map[uint64]bool{}
	twice := false
	root.Visit(func(n *plan.Node) {
		if n.Op == plan.Scan {
			twice = twice || scans[n.Relation]
			scans[n.Relation] = true
		}
	})
	if !twice {
		return root
	}
	s := &sharing{b: b, byKey: map[string]*plan.Node{}, id: map[*plan.Node]int{}}
	return s.node(root)
}

type sharing struct {
	b     *binder
	byKey map[string]*plan.Node
	id    map[*plan.Node]int // of the nodes that stay
}

func (s *sharing) node(n *plan.Node) *plan.Node {
	for i, in := range n.Inputs {
		n.Inputs[i] = s.node(in)
	}
	key, ok := s.key(n)
	if ok {
		if same := s.byKey[key]; same != nil {
			return same
		}
		s.byKey[key] = n
	}
	s.id[n] = len(s.id)
	return n
}

// key is equal for nodes that compute the same. What is volatile is computed for
// each place.
func (s *sharing) key(n *plan.Node) (string, bool) {
	fixed := func(xs ...*expr.Expr) bool {
		for _, x := range xs {
			if x != nil && expr.VolatilityOf(s.b.env, x) == expr.Volatile {
				return false
			}
		}
		return true
	}
	if !fixed(n.Filter, n.Residual) || !fixed(n.Exprs...) || n.Op == plan.Values {
		return "", false
	}
	c := *n
	c.Inputs, c.Out = nil, make([]plan.Column, len(n.Out))
	for i, o := range n.Out {
		c.Out[i].Type = o.Type
	}
	data, err := json.Marshal(&c)
	if err != nil {
		return "", false
	}
	var b strings.Builder
	for _, in := range n.Inputs {
		b.WriteString(strconv.Itoa(s.id[in]) + ",")
	}
	b.Write(data)
	return b.String(), true
}

// numberNodes gives the nodes their IDs, inputs first.
func numberNodes(root *plan.Node) {
	done := map[*plan.Node]bool{}
	id := 0
	var walk func(n *plan.Node)
	walk = func(n *plan.Node) {
		if done[n] {
			return
		}
		done[n] = true
		for _, in := range n.Inputs {
			walk(in)
		}
		id++
		n.ID = id
	}
	walk(root)
}
