package exec

import (
	"encoding/binary"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// orderedAcc is the aggregates that depend on the order of their rows or cannot
// take one back: string_agg, array_agg, and users' aggregates. Its rows are in
// the node's multiset, in the order of ORDER BY and then of all arguments, so
// that the answer does not depend on arrival; of each group that a step touches
// the answer is computed anew. The slot keeps the answer.
//
// With fold, the rows before the watermark are not kept: they are in a closed
// state behind the answer in the slot, on a copy of which the open rows are
// added.
type orderedAcc struct {
	a     *agg
	c     *call
	num   int
	enc   rowEncoding
	fold  bool
	open  []openOrdered
	args  []*delta.Vec // rows being read
	cols  []plan.Column
	last  []byte
	final []byte
}

type openOrdered struct {
	row     int32
	touched bool
	answer  []byte
	closed  []byte // the user state's durable form; none: the empty state
}

func (a *orderedAcc) words() int { return 0 }
func (a *orderedAcc) place(int)  {}

func (a *orderedAcc) apply(f *feed) error {
	for _, i := range f.sel {
		row := f.rows[i]
		o, err := a.a.open(row)
		if err != nil {
			return err
		}
		a.open[o].row, a.open[o].touched = row, true
		k := a.enc.append(a.a.prefix(row, a.num), f.b, int(i))
		a.a.key = k
		a.a.set.Add(k, f.w[i])
		if a.fold {
			a.a.foldAdd(row, f.b, int(i), f.w[i])
		}
	}
	return a.a.set.Err()
}

func (a *orderedAcc) finish() error {
	for i := range a.open {
		x := &a.open[i]
		if !x.touched {
			continue
		}
		x.touched = false
		if int64(a.a.t.Words(x.row)[0]) <= 0 && len(a.a.keys) > 0 {
			continue // the group is going
		}
		d, err := a.answer(x)
		if err != nil {
			return err
		}
		x.answer = appendAnswer(x.answer[:0], a.c.Type, d)
	}
	return nil
}

// answer computes the aggregate of a group.
func (a *orderedAcc) answer(x *openOrdered) (types.Datum, error) {
	if a.c.fn.Kind == expr.AggUser {
		st, err := a.state(x.closed)
		if err != nil {
			return types.Datum{}, err
		}
		err = a.each(x.row, func(n int64) error {
			for range n {
				if err := st.Add(a.args, 0); err != nil {
					return a.a.rowErr(err, a.args, a.cols)
				}
			}
			return nil
		})
		if err != nil {
			return types.Datum{}, err
		}
		return st.Result()
	}
	var out []byte
	rows := 0
	array := a.c.fn.Kind == expr.AggArray
	err := a.each(x.row, func(n int64) error {
		if array {
			d := a.args[0].Datum(0)
			for range n {
				out = types.AppendElem(out, a.c.Type.Elem, d)
			}
		} else {
			for range n {
				if rows > 0 && len(a.args) > 1 && !a.args[1].Null(0) {
					out = append(out, a.args[1].Bytes(0)...)
				}
				out = append(out, a.args[0].Bytes(0)...)
				rows++
			}
		}
		rows++
		if len(out) > maxAnswer {
			return sqlerr.New("54000", "result of %s is too long", a.c.fn.Name)
		}
		return nil
	})
	if rows == 0 {
		return types.NullDatum, err
	}
	if out == nil {
		out = []byte{}
	}
	return types.Datum{S: out}, err
}

// maxAnswer bounds a string or an array, as PostgreSQL does.
const maxAnswer = 1<<30 - 1

// state makes a user state from its durable form.
func (a *orderedAcc) state(b []byte) (expr.AggState, error) { return newState(a.c.fn, b) }

func newState(fn *expr.AggFunc, b []byte) (expr.AggState, error) {
	st, err := fn.New()
	if err == nil && len(b) > 0 {
		err = st.UnmarshalBinary(b)
	}
	return st, err
}

// each calls fn with each row of a group in order: its arguments are row 0 of
// a.args, n how often it is there.
func (a *orderedAcc) each(row int32, fn func(n int64) error) error {
	p := a.a.prefix(row, a.num)
	a.last = a.last[:0]
	first := true
	for ok := a.a.cur.Seek(p); ok; ok = a.a.cur.Next() {
		k := a.a.cur.Key()
		if len(k) < len(p) || string(k[:len(p)]) != string(p) {
			break
		}
		n := a.a.cur.Weight()
		if n < 0 {
			return errUnmatched(a.a.n)
		}
		if err := a.decode(a.enc.argsOf(k[len(p):])); err != nil {
			return err
		}
		if a.c.Distinct {
			eq := AppendRowEq(a.final[:0], a.args, 0)
			a.final = eq
			if !first && string(eq) == string(a.last) {
				continue
			}
			a.last, a.final = eq, a.last
			n = 1
		}
		first = false
		if err := fn(n); err != nil {
			return err
		}
	}
	return a.a.set.Err()
}

func (a *orderedAcc) decode(b []byte) error {
	if a.args == nil {
		for _, c := range a.c.Args {
			a.args = append(a.args, delta.NewVec(a.a.in[c].Type, 1))
			a.cols = append(a.cols, a.a.in[c])
		}
	}
	for _, v := range a.args {
		resetVec(v)
	}
	_, err := DecodeRow(b, nil, a.args)
	return err
}

// resetVec empties a column that nothing else refers to.
func resetVec(v *delta.Vec) {
	v.N, v.Nulls, v.I, v.F, v.Buf = 0, nil, v.I[:0], v.F[:0], v.Buf[:0]
	if v.Off != nil {
		v.Off = v.Off[:1]
	}
}

func (a *orderedAcc) results(gs *entrySet, out *delta.Vec) error {
	for _, s := range gs.slot {
		ans, _ := cutPart(s)
		if len(ans) == 0 && a.c.fn.Kind == expr.AggUser {
			// No row ever came: the empty state has an answer too.
			if err := emptyAnswer(a.c.fn, out); err != nil {
				return err
			}
			continue
		}
		answerTo(out, ans)
	}
	return nil
}

func emptyAnswer(fn *expr.AggFunc, out *delta.Vec) error {
	st, err := fn.New()
	if err != nil {
		return err
	}
	d, err := st.Result()
	if err != nil {
		return err
	}
	out.AppendDatum(d)
	return nil
}

// cutPart takes a part with its length before it from b.
func cutPart(b []byte) (part, rest []byte) {
	n, w := binary.Uvarint(b)
	if w <= 0 || uint64(len(b)-w) < n {
		return nil, nil
	}
	return b[w : w+int(n)], b[w+int(n):]
}

func (a *orderedAcc) load(b []byte) error {
	if n := len(a.open); n < cap(a.open) {
		a.open = a.open[:n+1]
	} else {
		a.open = append(a.open, openOrdered{})
	}
	x := &a.open[len(a.open)-1]
	ans, rest := cutPart(b)
	x.row, x.touched = -1, false
	x.answer = append(x.answer[:0], ans...)
	x.closed = append(x.closed[:0], rest...)
	return nil
}

func (a *orderedAcc) save(i int, dst []byte) ([]byte, error) {
	x := &a.open[i]
	if len(x.answer)+len(x.closed) == 0 {
		return dst, nil
	}
	dst = binary.AppendUvarint(dst, uint64(len(x.answer)))
	return append(append(dst, x.answer...), x.closed...), nil
}

func (a *orderedAcc) reset() { a.open = a.open[:0] }

// userAcc is a user's aggregate without ORDER BY that can take rows back, or
// never has to: rows are added to its state as they come. The slot keeps the
// answer and the state's durable form.
type userAcc struct {
	a    *agg
	c    *call
	open []openUser
}

type openUser struct {
	st      expr.AggState
	answer  []byte
	durable []byte
	touched bool
}

func (a *userAcc) words() int { return 0 }
func (a *userAcc) place(int)  {}

func (a *userAcc) apply(f *feed) error {
	for _, i := range f.sel {
		o, err := a.a.open(f.rows[i])
		if err != nil {
			return err
		}
		x := &a.open[o]
		if x.st == nil {
			if x.st, err = newState(a.c.fn, x.durable); err != nil {
				return err
			}
		}
		x.touched = true
		n := f.w[i]
		for ; n > 0 && err == nil; n-- {
			err = x.st.Add(f.args, int(i))
		}
		for ; n < 0 && err == nil; n++ {
			err = x.st.Retract(f.args, int(i))
		}
		if err != nil {
			return rowError(&expr.EvalError{Row: int(i), Err: err}, a.a.n, f.b, a.a.in)
		}
	}
	return nil
}

func (a *userAcc) finish() error {
	for i := range a.open {
		x := &a.open[i]
		if !x.touched {
			continue
		}
		x.touched = false
		d, err := x.st.Result()
		if err != nil {
			return err
		}
		x.answer = appendAnswer(x.answer[:0], a.c.Type, d)
		if x.durable, err = x.st.MarshalBinary(); err != nil {
			return err
		}
	}
	return nil
}

func (a *userAcc) results(gs *entrySet, out *delta.Vec) error {
	for _, s := range gs.slot {
		ans, _ := cutPart(s)
		if len(ans) == 0 {
			if err := emptyAnswer(a.c.fn, out); err != nil {
				return err
			}
			continue
		}
		answerTo(out, ans)
	}
	return nil
}

func (a *userAcc) load(b []byte) error {
	ans, rest := cutPart(b)
	a.open = append(a.open, openUser{answer: append([]byte(nil), ans...), durable: append([]byte(nil), rest...)})
	return nil
}

func (a *userAcc) save(i int, dst []byte) ([]byte, error) {
	x := &a.open[i]
	if len(x.answer)+len(x.durable) == 0 {
		return dst, nil
	}
	dst = binary.AppendUvarint(dst, uint64(len(x.answer)))
	return append(append(dst, x.answer...), x.durable...), nil
}

func (a *userAcc) reset() { clear(a.open); a.open = a.open[:0] }
