package engine

import (
	"context"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// maxBuffered bounds the rows that a transaction holds back.
const maxBuffered = 1_000_000

// transaction is a session's open transaction: a block from BEGIN on, or, on the
// wire, what runs until Sync. Its writes are held back and carried out at its
// end, all or none; its reads pin one epoch. What cannot be told before its end
// is refused with 0A000.
type transaction struct {
	block    bool // after BEGIN
	failed   bool
	readOnly bool
	now      int64 // when the block began
	writes   []*boundWrite
	rows     int64           // in writes
	held     int64           // bytes of the rows in writes
	touched  map[uint64]bool // tables that writes change otherwise than by adding known rows
	pinned   *sharedPin
	ddl      bool // the block ran DDL, which stays
}

// drop forgets everything.
func (t *transaction) drop() {
	if t.pinned != nil {
		t.pinned.release()
	}
	*t = transaction{}
}

// TxStatus is I (idle), T (in a transaction block) or E (in a failed one).
func (s *Session) TxStatus() byte {
	switch {
	case s.tx.block && s.tx.failed:
		return 'E'
	case s.tx.block:
		return 'T'
	}
	return 'I'
}

// Fail says that an error was reported: the transaction is lost.
func (s *Session) Fail() {
	block := s.tx.block
	s.tx.drop()
	s.tx.block, s.tx.failed = block, block
}

// Sync ends an implicit transaction: what it held back is written.
func (s *Session) Sync(ctx context.Context) error {
	s.activity.end()
	if s.tx.block {
		return nil
	}
	return s.commit(ctx)
}

// commit carries out what the transaction held back, and ends it.
func (s *Session) commit(ctx context.Context) error {
	ws := s.tx.writes
	s.tx.drop()
	if len(ws) == 0 {
		return nil
	}
	ctx, cancel := s.limit(ctx)
	defer cancel()
	_, err := s.eng.write(ctx, ws)
	return err
}

// flush carries out what an implicit transaction held back, so that what comes
// next sees it. This ends the transaction's unity: the statements before are
// committed.
func (s *Session) flush(ctx context.Context) error {
	if s.tx.block {
		return nil
	}
	return s.commit(ctx)
}

func (s *Session) runBegin(a *ast.Begin) *Rows {
	r := &Rows{tag: "BEGIN"}
	if s.tx.block {
		r.notice("WARNING", sqlerr.New("25001", "there is already a transaction in progress"))
		return r
	}
	s.tx.block, s.tx.now = true, s.eng.now()
	v, _ := s.settings.get("default_transaction_read_only")
	s.tx.readOnly = v == "on"
	if a.Modes.ReadOnly != nil {
		s.tx.readOnly = *a.Modes.ReadOnly
	}
	return r
}

func (s *Session) runCommit(ctx context.Context, a *ast.Commit) (*Rows, error) {
	r := &Rows{tag: "COMMIT"}
	switch {
	case !s.tx.block:
		if err := s.commit(ctx); err != nil {
			return nil, err
		}
		r.notice("WARNING", sqlerr.New("25P01", "there is no transaction in progress"))
	case s.tx.failed:
		s.tx.drop()
		r.tag = "ROLLBACK"
	default:
		if err := s.commit(ctx); err != nil {
			return nil, err
		}
	}
	if a.Chain {
		s.tx.block, s.tx.now = true, s.eng.now()
	}
	return r, nil
}

func (s *Session) runRollback(a *ast.Rollback) *Rows {
	r := &Rows{tag: "ROLLBACK"}
	if !s.tx.block {
		r.notice("WARNING", sqlerr.New("25P01", "there is no transaction in progress"))
	}
	if s.tx.ddl {
		r.notice("WARNING", sqlerr.New(sqlerr.FeatureNotSupported, "the transaction's CREATE, DROP and ALTER statements are not undone").
			WithHint("They take effect at once."))
	}
	s.tx.drop()
	if a.Chain {
		s.tx.block, s.tx.now = true, s.eng.now()
	}
	return r
}

func (s *Session) runSetTransaction(a *ast.SetTransaction) (*Rows, error) {
	r := &Rows{tag: "SET"}
	if a.Session {
		if a.Modes.ReadOnly != nil {
			if _, err := s.settings.set("default_transaction_read_only", onOff(*a.Modes.ReadOnly)); err != nil {
				return nil, err
			}
		}
		if a.Modes.Isolation != "" {
			if _, err := s.settings.set("default_transaction_isolation", a.Modes.Isolation); err != nil {
				return nil, err
			}
		}
		return r, nil
	}
	if !s.tx.block {
		r.notice("WARNING", sqlerr.New("25P01", "SET TRANSACTION can only be used in transaction blocks"))
		return r, nil
	}
	if a.Modes.ReadOnly != nil {
		if !*a.Modes.ReadOnly && s.tx.readOnly && s.tx.pinned != nil {
			return nil, sqlerr.New("25001", "transaction read-write mode must be set before any query")
		}
		s.tx.readOnly = *a.Modes.ReadOnly
	}
	return r, nil
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// sharedPin is a pin that a block and its running queries hold together.
type sharedPin struct {
	*pin
	ids  map[uint64]bool
	refs int
}

func (p *sharedPin) hold() *sharedPin { p.refs++; return p }

// release lets go; the last one does it. It is called by the session's goroutine
// alone.
func (p *sharedPin) release() {
	if p.refs--; p.refs == 0 {
		p.pin.release()
	}
}

// pinFor pins the relations of a query: in a block, everything that can be read,
// at the block's first query.
func (s *Session) pinFor(ctx context.Context, ids []uint64) (*sharedPin, error) {
	if !s.tx.block {
		p, err := s.eng.pin(ctx, ids)
		if err != nil {
			return nil, err
		}
		return &sharedPin{pin: p, refs: 1}, nil
	}
	for _, id := range ids {
		if s.tx.touched[id] {
			return nil, s.pending(id, "read")
		}
	}
	if s.tx.pinned == nil {
		all, err := s.readable(ctx, ids)
		if err != nil {
			return nil, err
		}
		p, err := s.eng.pin(ctx, all)
		if err != nil {
			return nil, err
		}
		s.tx.pinned = &sharedPin{pin: p, ids: map[uint64]bool{}, refs: 1}
		for _, id := range all {
			s.tx.pinned.ids[id] = true
		}
	}
	for _, id := range ids {
		if !s.tx.pinned.ids[id] {
			name := ""
			if o := s.eng.currentCatalog().ByID(id); o != nil {
				name = o.Name
			}
			return nil, sqlerr.New(sqlerr.ObjectNotInState, `relation "%s" cannot be read at the moment that this transaction reads`, name).
				WithHint("It came after the transaction's first query. End the transaction and try again.")
		}
	}
	return s.tx.pinned.hold(), nil
}

// readable returns the stored relations whose rows can be pinned, and ids.
func (s *Session) readable(ctx context.Context, ids []uint64) ([]uint64, error) {
	jobs, err := s.eng.jobs(ctx)
	if err != nil {
		return nil, err
	}
	filling := map[uint64]bool{}
	for _, j := range jobs {
		if j.State == Backfilling || j.State == Created {
			filling[j.ID] = true
		}
	}
	out := append([]uint64{}, ids...)
	seen := map[uint64]bool{}
	for _, id := range ids {
		seen[id] = true
	}
	for _, o := range s.eng.currentCatalog().All() {
		if o.Stored() && !filling[o.ID] && !seen[o.ID] {
			out = append(out, o.ID)
		}
	}
	return out, nil
}

// pending is the error of a statement that needs what the transaction holds back.
func (s *Session) pending(table uint64, verb string) error {
	name := ""
	if o := s.eng.currentCatalog().ByID(table); o != nil {
		name = o.Name
	}
	return sqlerr.New(sqlerr.FeatureNotSupported, `table "%s" cannot be %s: this transaction has changed it`, name, verb).
		WithHint("Rows are written at COMMIT. Commit first.")
}
