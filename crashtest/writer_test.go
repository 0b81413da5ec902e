package crashtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// The tables of the writers, and views over them.
const tables = `
CREATE TABLE accounts (id bigint PRIMARY KEY, owner int NOT NULL, amount bigint NOT NULL);
CREATE TABLE journal (id bigint, account bigint, amount bigint);
CREATE MATERIALIZED VIEW totals AS
  SELECT owner, count(*) AS n, sum(amount) AS total, min(id) AS lowest FROM accounts GROUP BY owner;
CREATE MATERIALIZED VIEW entries AS
  SELECT j.account, count(*) AS n, sum(j.amount) AS total, max(a.amount) AS amount
  FROM journal j LEFT JOIN accounts a ON a.id = j.account GROUP BY j.account;`

// writer is a client with ids of its own. It knows what it was told: the rows
// that are there for sure, and of its last statement, when the connection broke
// before the answer came, that it is either carried out or not.
type writer struct {
	owner int
	rnd   *rand.Rand
	next  int64

	accounts map[int64]int64 // id to amount
	journal  map[int64]entry
	pending  func(ctx context.Context, conn *pgconn.PgConn) error // settles the last statement

	acked, settled int
}

// entry is a row of journal; its account may be gone since.
type entry struct{ account, amount int64 }

func newWriter(owner int, seed uint64) *writer {
	return &writer{
		owner: owner, rnd: rand.New(rand.NewPCG(seed, uint64(owner))), next: int64(owner) * 1_000_000,
		accounts: map[int64]int64{}, journal: map[int64]entry{},
	}
}

// run writes until the connection breaks or ctx ends. A server's answer that is
// an error is a failure of the test.
func (w *writer) run(ctx context.Context, conn *pgconn.PgConn) error {
	if w.pending != nil {
		if err := w.pending(ctx, conn); err != nil {
			return err
		}
		w.pending = nil
		w.settled++
	}
	for ctx.Err() == nil {
		if err := w.step(ctx, conn); err != nil {
			return err
		}
	}
	return nil
}

// any returns one of the writer's accounts.
func (w *writer) any() (int64, bool) {
	ids := make([]int64, 0, len(w.accounts))
	for id := range w.accounts {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return 0, false
	}
	// The map's order is no part of the seed.
	low := ids[0]
	for _, id := range ids {
		low = min(low, id)
	}
	if w.rnd.IntN(2) == 0 {
		return low, true
	}
	return ids[w.rnd.IntN(len(ids))], true
}

func (w *writer) step(ctx context.Context, conn *pgconn.PgConn) error {
	kind := w.rnd.IntN(10)
	id, ok := w.any()
	amount := w.rnd.Int64N(1_000_000)
	switch {
	case kind < 4 || !ok: // some new accounts at once: all or none
		n := 1 + w.rnd.Int64N(3)
		sql, from := "INSERT INTO accounts VALUES ", w.next
		for i := range n {
			if i > 0 {
				sql += ", "
			}
			sql += fmt.Sprintf("(%d, %d, %d)", from+i, w.owner, amount+i)
		}
		w.next += n
		return w.write(ctx, conn, sql, fmt.Sprintf("INSERT 0 %d", n), func() {
			for i := range n {
				w.accounts[from+i] = amount + i
			}
		}, func(ctx context.Context, conn *pgconn.PgConn) (bool, error) {
			there := 0
			for i := range n {
				v, ok, err := account(ctx, conn, from+i)
				if err != nil {
					return false, err
				}
				if ok {
					there++
					if v != amount+i {
						return false, fmt.Errorf("account %d has %d, inserted was %d", from+i, v, amount+i)
					}
				}
			}
			if there != 0 && there != int(n) {
				return false, fmt.Errorf("of one INSERT of %d rows from id %d on, %d are there", n, from, there)
			}
			return there > 0, nil
		})
	case kind < 6:
		j := w.next
		w.next++
		return w.write(ctx, conn, fmt.Sprintf("INSERT INTO journal VALUES (%d, %d, %d)", j, id, amount), "INSERT 0 1", func() { w.journal[j] = entry{id, amount} },
			func(ctx context.Context, conn *pgconn.PgConn) (bool, error) {
				r, err := rows(ctx, conn, fmt.Sprintf("SELECT count(*) FROM journal WHERE id = %d", j), "")
				if err != nil {
					return false, err
				}
				if r[0][0] != "0" && r[0][0] != "1" {
					return false, fmt.Errorf("journal has entry %d %s times", j, r[0][0])
				}
				return r[0][0] == "1", nil
			})
	case kind < 9:
		old := w.accounts[id]
		if amount == old {
			amount++
		}
		return w.write(ctx, conn, fmt.Sprintf("UPDATE accounts SET amount = %d WHERE id = %d", amount, id), "UPDATE 1", func() { w.accounts[id] = amount },
			func(ctx context.Context, conn *pgconn.PgConn) (bool, error) {
				v, ok, err := account(ctx, conn, id)
				if err == nil && (!ok || v != old && v != amount) {
					err = fmt.Errorf("account %d has %d (%v), before the update %d and after it %d", id, v, ok, old, amount)
				}
				return v == amount, err
			})
	default:
		old := w.accounts[id]
		return w.write(ctx, conn, fmt.Sprintf("DELETE FROM accounts WHERE id = %d", id), "DELETE 1", func() { delete(w.accounts, id) },
			func(ctx context.Context, conn *pgconn.PgConn) (bool, error) {
				v, ok, err := account(ctx, conn, id)
				if err == nil && ok && v != old {
					err = fmt.Errorf("account %d has %d, before the delete %d", id, v, old)
				}
				return !ok, err
			})
	}
}

func account(ctx context.Context, conn *pgconn.PgConn, id int64) (amount int64, ok bool, err error) {
	r, err := rows(ctx, conn, fmt.Sprintf("SELECT amount FROM accounts WHERE id = %d", id), "")
	if err != nil || len(r) == 0 {
		return 0, false, err
	}
	if len(r) > 1 {
		return 0, false, fmt.Errorf("account %d is there %d times", id, len(r))
	}
	amount, err = strconv.ParseInt(r[0][0], 10, 64)
	return amount, true, err
}

// write runs a statement. When it is acknowledged, done takes it down; when the
// connection breaks before that, find asks at the next connection what became of it.
func (w *writer) write(ctx context.Context, conn *pgconn.PgConn, sql, tag string, done func(), find func(context.Context, *pgconn.PgConn) (bool, error)) error {
	// The statement is not cancelled with ctx: its answer is awaited.
	results, err := conn.Exec(context.WithoutCancel(ctx), sql).ReadAll()
	var refused *pgconn.PgError
	switch {
	case err == nil && results[0].CommandTag.String() != tag:
		return fmt.Errorf("%s: the answer is %s, want %s", sql, results[0].CommandTag, tag)
	case err == nil:
		done()
		w.acked++
		return nil
	case errors.As(err, &refused) && refused.Code != "57P01": // of a server that stops
		return fmt.Errorf("%s: %w", sql, err)
	}
	w.pending = func(ctx context.Context, conn *pgconn.PgConn) error {
		happened, err := find(ctx, conn)
		if err == nil && happened {
			done()
		}
		return err
	}
	return errBroken
}

var errBroken = errors.New("the connection broke")

// writers runs all writers until their connections break or ctx ends.
// It tells when the server first answered; 0: never.
func writers(ctx context.Context, s *server, ws []*writer) (answered time.Duration, err error) {
	errs := make([]error, len(ws))
	start, first := time.Now(), atomic.Int64{}
	var wg sync.WaitGroup
	for i, w := range ws {
		wg.Go(func() {
			conn, err := s.connect(ctx)
			if err != nil {
				return // killed before it answered, or over
			}
			first.CompareAndSwap(0, int64(time.Since(start)))
			defer conn.Close(context.Background())
			if err := w.run(ctx, conn); err != nil && !errors.Is(err, errBroken) && !conn.IsClosed() {
				errs[i] = fmt.Errorf("writer %d: %w", w.owner, err)
			}
		})
	}
	wg.Wait()
	return time.Duration(first.Load()), errors.Join(errs...)
}

// verify compares the tables and the views over them with what the writers know.
func verify(ctx context.Context, conn *pgconn.PgConn, ws []*writer) error {
	for _, w := range ws {
		if w.pending != nil {
			if err := w.pending(ctx, conn); err != nil {
				return err
			}
			w.pending = nil
			w.settled++
		}
	}
	want := map[string]map[string]bool{"accounts": {}, "journal": {}, "totals": {}, "entries": {}}
	for _, w := range ws {
		n, total, lowest := 0, int64(0), int64(0)
		for id, amount := range w.accounts {
			want["accounts"][fmt.Sprint(id, w.owner, amount)] = true
			if n == 0 || id < lowest {
				lowest = id
			}
			n++
			total += amount
		}
		if n > 0 {
			want["totals"][fmt.Sprint(w.owner, n, total, lowest)] = true
		}
		counts, sums := map[int64]int{}, map[int64]int64{}
		for id, e := range w.journal {
			want["journal"][fmt.Sprint(id, e.account, e.amount)] = true
			counts[e.account]++
			sums[e.account] += e.amount
		}
		for account, n := range counts {
			amount, ok := w.accounts[account]
			if !ok {
				amount = -1
			}
			want["entries"][fmt.Sprint(account, n, sums[account], amount)] = true
		}
	}
	for table, columns := range map[string]string{
		"accounts": "id, owner, amount", "journal": "id, account, amount", "totals": "owner, n, total, lowest", "entries": "account, n, total, coalesce(amount, -1)",
	} {
		got, err := rows(ctx, conn, "SELECT "+columns+" FROM "+table, "NULL")
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, r := range got {
			args := make([]any, len(r))
			for i, cell := range r {
				n, err := strconv.ParseInt(cell, 10, 64)
				if err != nil {
					return fmt.Errorf("%s: %q", table, r)
				}
				args[i] = n
			}
			key := fmt.Sprint(args...)
			if seen[key] {
				return fmt.Errorf("%s has %v twice", table, r)
			}
			seen[key] = true
			if !want[table][key] {
				return fmt.Errorf("%s has %v, which nobody wrote", table, r)
			}
		}
		for key := range want[table] {
			if !seen[key] {
				return fmt.Errorf("%s lost %s", table, key)
			}
		}
	}
	return nil
}
