package engine

import (
	"context"
	"strings"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// runUtility runs what is neither a query nor a write.
func (s *Session) runUtility(ctx context.Context, st *Statement) (*Rows, error) {
	switch a := st.AST.(type) {
	case *ast.Begin:
		return s.runBegin(a), nil
	case *ast.Commit:
		return s.runCommit(ctx, a)
	case *ast.Rollback:
		return s.runRollback(a), nil
	case *ast.SetTransaction:
		return s.runSetTransaction(a)
	case *ast.Set:
		return s.runSet(a)
	case *ast.Reset:
		return s.runReset(a)
	case *ast.Show:
		return s.runShow(ctx, a)
	case *ast.Explain:
		return s.runExplain(ctx, st, a)
	case *ast.ExplainWatermark:
		return s.runExplainWatermark(ctx, a)
	case *ast.Discard:
		return s.runDiscard(a)
	case *ast.Deallocate:
		return s.runDeallocate(a)
	case *ast.NoEffect:
		return &Rows{tag: a.Tag}, nil
	}
	return s.runDDL(ctx, st)
}

// runDDL carries out CREATE, DROP, ALTER, CHECKPOINT and ADVANCE CLOCK. They
// take effect at once, in a transaction block too; behind writes that wait for
// COMMIT they are refused.
func (s *Session) runDDL(ctx context.Context, st *Statement) (*Rows, error) {
	if s.tx.readOnly {
		return nil, sqlerr.New("25006", "cannot execute %s in a read-only transaction", strings.ToUpper(firstWord(st.Text)))
	}
	if s.tx.block && len(s.tx.writes) > 0 {
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "%s is not supported behind the writes of a transaction block", strings.ToUpper(firstWord(st.Text))).
			WithHint("Rows are written at COMMIT, but this statement takes effect at once. Commit first.")
	}
	if err := s.flush(ctx); err != nil {
		return nil, err
	}
	if s.tx.pinned != nil { // what comes next shall see the change
		s.tx.pinned.release()
		s.tx.pinned = nil
	}
	r := &Rows{}
	v, _ := s.settings.get("streamsql.background_ddl")
	tag, err := s.eng.ddl(ctx, st.AST, ddlContext{Path: s.path(), Text: st.Text, Background: v == "on",
		Context: s.exprContext(s.eng.currentCatalog()), Notify: func(n Notice) { r.notices = append(r.notices, n) }})
	if err != nil {
		return nil, err
	}
	s.tx.ddl = s.tx.block
	r.tag = tag
	return r, nil
}

func firstWord(text string) string {
	if f := strings.Fields(text); len(f) > 0 {
		return f[0]
	}
	return ""
}

func (s *Session) runSet(a *ast.Set) (*Rows, error) {
	r := &Rows{tag: "SET"}
	if a.Local && !s.tx.block {
		r.notice("WARNING", sqlerr.New("25P01", "SET LOCAL can only be used in transaction blocks"))
		return r, nil
	}
	if a.Local {
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "SET LOCAL is not supported").At(a.Offset()).
			WithHint("Use SET, and RESET at the end.")
	}
	if len(a.Values) == 0 {
		if err := s.resetSetting(a.Name); err != nil {
			return nil, sqlerr.From(err).At(a.Offset())
		}
		return r, nil
	}
	words := make([]string, len(a.Values))
	for i, v := range a.Values {
		words[i] = v.Text
		if strings.EqualFold(a.Name, "search_path") && v.Kind == ast.StringLiteral && !plainName(v.Text) && len(a.Values) > 1 {
			words[i] = `"` + strings.ReplaceAll(v.Text, `"`, `""`) + `"`
		}
	}
	v, err := s.settings.set(a.Name, strings.Join(words, ", "))
	if err != nil {
		return nil, err
	}
	switch strings.ToLower(a.Name) {
	case "streamsql.clock":
		if err := s.eng.setClock(v == "manual"); err != nil {
			return nil, err
		}
	case "application_name":
		s.activity.app.Store(&v)
	}
	return r, nil
}

func plainName(s string) bool {
	for i, c := range s {
		if !(c >= 'a' && c <= 'z' || c == '_' || c == '$' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return s != ""
}

func (s *Session) resetSetting(name string) error {
	if err := s.settings.unset(name); err != nil {
		return err
	}
	if strings.EqualFold(name, "streamsql.clock") {
		return s.eng.setClock(false)
	}
	return nil
}

func (s *Session) runReset(a *ast.Reset) (*Rows, error) {
	if a.Name == "all" {
		s.settings.now = s.settings.reset
		return &Rows{tag: "RESET"}, nil
	}
	if err := s.resetSetting(a.Name); err != nil {
		return nil, err
	}
	return &Rows{tag: "RESET"}, nil
}

func (s *Session) runDiscard(a *ast.Discard) (*Rows, error) {
	tag := "DISCARD " + strings.ToUpper(a.What)
	if a.What != "all" {
		return &Rows{tag: tag}, nil
	}
	if s.tx.block {
		return nil, sqlerr.New("25001", "DISCARD ALL cannot run inside a transaction block")
	}
	s.settings.now = s.settings.reset
	if s.Hooks.DeallocateAll != nil {
		s.Hooks.DeallocateAll()
	}
	return &Rows{tag: tag}, nil
}

func (s *Session) runDeallocate(a *ast.Deallocate) (*Rows, error) {
	if a.All {
		if s.Hooks.DeallocateAll != nil {
			s.Hooks.DeallocateAll()
		}
		return &Rows{tag: "DEALLOCATE ALL"}, nil
	}
	if s.Hooks.Deallocate == nil || !s.Hooks.Deallocate(a.Name) {
		return nil, sqlerr.New("26000", `prepared statement "%s" does not exist`, a.Name)
	}
	return &Rows{tag: "DEALLOCATE"}, nil
}
