package engine

import (
	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

func (x *ddlRun) replayDead(s *ast.Replay) (string, error) {
	return "", sqlerr.New(sqlerr.FeatureNotSupported, "REPLAY DEAD LETTERS is not supported yet").At(s.Offset())
}
