package exec

import (
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

func unsupported(n *plan.Node) (Operator, error) {
	return nil, sqlerr.New(sqlerr.FeatureNotSupported, "operator %q is not supported yet", string(n.Op))
}

func newOver(n *plan.Node, b *builder, worker int) (Operator, error) { return unsupported(n) }
