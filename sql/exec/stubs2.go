package exec

import (
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/plan"
)

func newUnnest(n *plan.Node, b *builder, worker int) (Operator, error) { return unsupported(n) }

func gather(b *delta.Batch, sel []int32) *delta.Batch { return b.Gather(sel) }
