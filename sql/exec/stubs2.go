package exec

import (
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
)

func newMap(n *plan.Node, b *builder, worker int) (Operator, error)      { return unsupported(n) }
func newJoin(n *plan.Node, b *builder, worker int) (Operator, error)     { return unsupported(n) }
func newDistinct(n *plan.Node, b *builder, worker int) (Operator, error) { return unsupported(n) }
func newExcept(n *plan.Node, b *builder, worker int) (Operator, error)   { return unsupported(n) }
func newWindow(n *plan.Node, b *builder, worker int) (Operator, error)   { return unsupported(n) }
func newUnnest(n *plan.Node, b *builder, worker int) (Operator, error)   { return unsupported(n) }

type program struct{}

func compile(env *expr.Env, x *expr.Expr) (*program, error) { return nil, nil }

func gather(b *delta.Batch, sel []int32) *delta.Batch { return b.Gather(sel) }
