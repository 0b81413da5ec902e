package expr

import (
	"strings"
	"time"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

const never CastContext = 255

// castRules is pg_cast of PostgreSQL 15: per source type, the targets by the
// weakest context that allows the cast. Text I/O and arrays come beside it.
var castRules = func() map[[2]types.ID]CastContext {
	m := map[[2]types.ID]CastContext{}
	add := func(c CastContext, from types.ID, to ...types.ID) {
		for _, t := range to {
			m[[2]types.ID{from, t}] = c
		}
	}
	const (
		b, i2, i4, i8   = types.Bool, types.Int2, types.Int4, types.Int8
		f4, f8, num     = types.Float4, types.Float8, types.Numeric
		txt, vc, bp, nm = types.Text, types.Varchar, types.Bpchar, types.Name
		oid, rc, rt     = types.OID, types.Regclass, types.Regtype
	)
	add(Implicit, i2, i4, i8, f4, f8, num, oid, rc, rt)
	add(Implicit, i4, i8, f4, f8, num, oid, rc, rt)
	add(Assignment, i4, i2)
	add(Explicit, i4, b, types.Char)
	add(Implicit, i8, f4, f8, num, oid, rc, rt)
	add(Assignment, i8, i2, i4)
	add(Implicit, f4, f8)
	add(Assignment, f4, i2, i4, i8, num)
	add(Assignment, f8, i2, i4, i8, f4, num)
	add(Implicit, num, f4, f8)
	add(Assignment, num, i2, i4, i8)
	add(Explicit, b, i4)
	add(Assignment, b, txt, vc, bp)
	add(Implicit, oid, rc, rt)
	add(Assignment, oid, i4, i8)
	add(Implicit, rc, oid)
	add(Assignment, rc, i4, i8)
	add(Implicit, rt, oid)
	add(Assignment, rt, i4, i8)
	add(Implicit, txt, vc, bp, nm, rc)
	add(Assignment, txt, types.Char)
	add(Implicit, vc, txt, bp, nm, rc)
	add(Assignment, vc, types.Char)
	add(Implicit, bp, txt, vc, nm)
	add(Assignment, bp, types.Char)
	add(Implicit, nm, txt)
	add(Assignment, nm, vc, bp)
	add(Implicit, types.Char, txt)
	add(Assignment, types.Char, vc, bp)
	add(Explicit, types.Char, i4)
	add(Implicit, types.Date, types.Timestamp, types.Timestamptz)
	add(Implicit, types.Time, types.Interval)
	add(Implicit, types.Timestamp, types.Timestamptz)
	add(Assignment, types.Timestamp, types.Date, types.Time)
	add(Assignment, types.Timestamptz, types.Timestamp, types.Date, types.Time)
	add(Assignment, types.Interval, types.Time)
	add(Assignment, types.JSON, types.JSONB)
	add(Assignment, types.JSONB, types.JSON)
	add(Explicit, types.JSONB, b, i2, i4, i8, f4, f8, num)
	return m
}()

// castNeeds returns the weakest context in which from can be cast to to, or never.
func castNeeds(from, to types.Type) CastContext {
	switch {
	case from.ID == to.ID && from.Elem == to.Elem, from.ID == types.Unknown:
		return Implicit
	case from.ID == types.Array && to.ID == types.Array:
		return castNeeds(types.Of(from.Elem), types.Of(to.Elem))
	case to.ID == types.Void, from.ID == types.Void, to.ID == types.Unknown, to.ID == types.Record:
		return never
	}
	if c, ok := castRules[[2]types.ID{from.ID, to.ID}]; ok {
		return c
	}
	switch {
	case isString(to):
		return Assignment // by the output function
	case isString(from):
		return Explicit // by the input function
	}
	return never
}

// CanCast tells whether a value of type from may become one of type to in c.
func (e *Env) CanCast(from, to types.Type, c CastContext) bool {
	n := castNeeds(from, to)
	return n != never && n <= c
}

func implicit(from, to types.Type) bool { return castNeeds(from, to) == Implicit }

// Cast brings x to the type to. Literals of unknown type become constants at
// once: what does not read is an error with the literal's position. Otherwise
// 42846 when there is no such cast in c.
func (e *Env) Cast(x *Expr, to types.Type, c CastContext) (*Expr, error) {
	if x.Type == to {
		return x, nil
	}
	if x.Type.ID == types.Unknown {
		return e.castUnknown(x, to, c)
	}
	if !e.CanCast(x.Type, to, c) {
		return nil, sqlerr.New("42846", "cannot cast type %s to %s", types.Bare(x.Type), types.Bare(to)).At(x.Pos)
	}
	out := &Expr{Kind: Cast, Type: to, Args: []*Expr{x}, Explicit: c == Explicit, Pos: x.Pos}
	if types.Bare(x.Type) == types.Bare(to) && to.Mod == 0 {
		// Leaving a modifier out changes no value; a column must keep its type.
		if x.Kind == Const {
			y := *x
			y.Type = to
			return &y, nil
		}
	}
	return out, nil
}

// castUnknown types a literal, a NULL or a parameter.
func (e *Env) castUnknown(x *Expr, to types.Type, c CastContext) (*Expr, error) {
	switch {
	case x.Kind == Param:
		y := *x
		y.Type = types.Bare(to)
		if to.Mod != 0 {
			return e.Cast(&y, to, c)
		}
		return &y, nil
	case x.Kind != Const:
		return &Expr{Kind: Cast, Type: to, Args: []*Expr{retype(x, types.Of(types.Text))}, Explicit: true, Pos: x.Pos}, nil
	case x.Value.Null:
		return &Expr{Kind: Const, Type: to, Value: types.NullDatum, Pos: x.Pos}, nil
	}
	text := &Expr{Kind: Const, Type: types.Of(types.Text), Value: x.Value, Pos: x.Pos}
	s := string(x.Value.S)
	if needsContext(to, s) {
		return &Expr{Kind: Cast, Type: to, Args: []*Expr{text}, Explicit: true, Pos: x.Pos}, nil
	}
	d, err := types.ParseText(types.Bare(to), s)
	if err == nil && e.zone != nil && (to.ID == types.Timestamptz || to.Elem == types.Timestamptz) {
		d, err = parseZoned(types.Bare(to), s, d, e.zone)
	}
	if err == nil && to.Mod != 0 {
		d, err = applyMod(d, to, c == Explicit)
	}
	if err != nil {
		return nil, sqlerr.From(copyErr(err)).At(x.Pos)
	}
	return &Expr{Kind: Const, Type: to, Value: d, Pos: x.Pos}, nil
}

// parseZoned moves what was read as UTC to a zone, unless the text names its own.
func parseZoned(t types.Type, s string, d types.Datum, z *time.Location) (types.Datum, error) {
	if t.ID != types.Array {
		if !types.Infinite(d.I) && !hasZone(s) {
			d.I = fromLocal(d.I, z)
		}
		return d, nil
	}
	texts, err := types.ParseText(types.ArrayOf(types.Text), s)
	if err != nil {
		return d, err
	}
	out := []byte{}
	words := types.Elems(texts.S, types.Text)
	for i, el := range types.Elems(d.S, t.Elem) {
		if !el.Null && i < len(words) {
			if el, err = parseZoned(types.Of(t.Elem), string(words[i].S), el, z); err != nil {
				return d, err
			}
		}
		out = types.AppendElem(out, t.Elem, el)
	}
	return types.Datum{S: out}, nil
}

// copyErr keeps shared error values from being given a position.
func copyErr(err error) error {
	if se, ok := err.(*sqlerr.Error); ok {
		c := *se
		return &c
	}
	return err
}

func retype(x *Expr, t types.Type) *Expr {
	y := *x
	y.Type = t
	return &y
}

// needsContext tells whether reading s as a value of t depends on the clock or
// on the catalog.
func needsContext(t types.Type, s string) bool {
	switch t.ID {
	case types.Regclass, types.Regtype:
		return true
	case types.Date, types.Timestamp, types.Timestamptz, types.Time:
		switch strings.ToLower(strings.TrimSpace(s)) {
		case "now", "today", "tomorrow", "yesterday":
			return true
		}
	}
	return false
}

// Common is PostgreSQL's select_common_type: the type to which all of xs are
// cast. what names the construct in the error 42804.
func (e *Env) Common(xs []*Expr, what string) (types.Type, error) {
	ts := make([]types.Type, len(xs))
	for i, x := range xs {
		ts[i] = x.Type
	}
	t, bad := commonType(ts)
	if bad >= 0 {
		return t, sqlerr.New(sqlerr.DatatypeMismatch, "%s types %s and %s cannot be matched", what, types.Bare(t), types.Bare(ts[bad])).At(xs[bad].Pos)
	}
	return t, nil
}

// commonType returns the common type, or the type so far and the index of the
// first that does not match it.
func commonType(ts []types.Type) (types.Type, int) {
	same := true
	for _, t := range ts {
		same = same && t == ts[0]
	}
	if same && len(ts) > 0 && ts[0].ID != types.Unknown {
		return ts[0], -1
	}
	cur := types.Of(types.Unknown)
	for i, t := range ts {
		t = types.Bare(t)
		switch {
		case t.ID == types.Unknown || t == cur:
		case cur.ID == types.Unknown:
			cur = t
		case category(t) != category(cur):
			return cur, i
		case !preferred(cur) && implicit(cur, t) && !implicit(t, cur):
			cur = t
		}
	}
	if cur.ID == types.Unknown {
		cur = types.Of(types.Text)
	}
	for i, t := range ts {
		if !implicit(t, cur) {
			return cur, i
		}
	}
	return cur, -1
}
