package expr

import (
	"strings"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

func isOperator(name string) bool {
	c := name[0]
	return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80)
}

func typeList(args []*Expr) string {
	names := make([]string, len(args))
	for i, a := range args {
		names[i] = types.Bare(a.Type).String()
	}
	return strings.Join(names, ", ")
}

func undefined(name string, args []*Expr, pos int) error {
	if !isOperator(name) {
		return sqlerr.New(sqlerr.UndefinedFunction, "function %s(%s) does not exist", name, typeList(args)).At(pos).
			WithHint("No function matches the given name and argument types. You might need to add explicit type casts.")
	}
	return sqlerr.New(sqlerr.UndefinedFunction, "operator does not exist: %s", operatorText(name, args)).At(pos).
		WithHint("No operator matches the given name and argument types. You might need to add explicit type casts.")
}

func operatorText(name string, args []*Expr) string {
	if len(args) == 1 {
		return name + " " + typeList(args)
	}
	return types.Bare(args[0].Type).String() + " " + name + " " + types.Bare(args[1].Type).String()
}

func notUnique(name string, args []*Expr, pos int) error {
	if !isOperator(name) {
		return sqlerr.New("42725", "function %s(%s) is not unique", name, typeList(args)).At(pos).
			WithHint("Could not choose a best candidate function. You might need to add explicit type casts.")
	}
	return sqlerr.New("42725", "operator is not unique: %s", operatorText(name, args)).At(pos).
		WithHint("Could not choose a best candidate operator. You might need to add explicit type casts.")
}

func argTypes(args []*Expr) []types.Type {
	ts := make([]types.Type, len(args))
	for i, a := range args {
		ts[i] = a.Type
	}
	return ts
}

// castArgs brings the arguments to the candidate's types and returns the type
// of AnyElement.
func (e *Env) castArgs(c candidate, args []*Expr) ([]*Expr, types.Type, error) {
	elem, _ := c.element(argTypes(args))
	out := make([]*Expr, len(args))
	for i, a := range args {
		t := concrete(c.args[i], a.Type, elem)
		if types.Bare(a.Type) == types.Bare(t) {
			out[i] = a // a modifier is of no matter to a function
			continue
		}
		var err error
		if out[i], err = e.Cast(a, types.Bare(t), Implicit); err != nil {
			return nil, elem, err
		}
	}
	return out, elem, nil
}

// Call resolves a call of the function or operator name and returns it with its
// arguments cast. 42883 when there is none, 42725 when there are several.
func (e *Env) Call(name string, args []*Expr, pos int) (*Expr, error) {
	if x, ok, err := e.special(name, args, pos); ok || err != nil {
		return x, err
	}
	f, args, elem, err := e.resolve(name, args, pos)
	if err != nil {
		return nil, err
	}
	ret := f.Ret
	switch {
	case ret.ID == Any:
		ret = types.Bare(args[0].Type)
	case ret.ID >= AnyElement:
		ret = concrete(ret, ret, elem)
	}
	return &Expr{Kind: Call, Type: ret, Fn: f.Key(), Args: args, Pos: pos}, nil
}

func (e *Env) resolve(name string, args []*Expr, pos int) (*Func, []*Expr, types.Type, error) {
	fs := byName[name]
	if own := e.Funcs[name]; own != nil { // they hide built-in ones of the same arguments
		seen := map[string]bool{}
		fs = nil
		for _, list := range [][]*Func{own, byName[name]} {
			for _, f := range list {
				if k := f.Key(); !seen[k] {
					seen[k] = true
					fs = append(fs, f)
				}
			}
		}
	}
	var cs []candidate
	for i, f := range fs {
		if c, ok := candidate1(f.Args, f.Variadic, i, len(args)); ok {
			cs = append(cs, c)
		}
	}
	c, found, ambiguous := choose(name, isOperator(name), cs, argTypes(args))
	switch {
	case !found:
		return nil, nil, types.Type{}, undefined(name, args, pos)
	case ambiguous:
		return nil, nil, types.Type{}, notUnique(name, args, pos)
	}
	out, elem, err := e.castArgs(c, args)
	return fs[c.index], out, elem, err
}

// special resolves what follows rules of its own.
func (e *Env) special(name string, args []*Expr, pos int) (*Expr, bool, error) {
	if e.Funcs[name] != nil {
		return nil, false, nil
	}
	switch name {
	case "coalesce", "greatest", "least", "array":
		what := strings.ToUpper(name)
		if len(args) == 0 {
			return nil, false, undefined(name, args, pos)
		}
		t, err := e.Common(args, what)
		if err != nil {
			return nil, true, err
		}
		out := make([]*Expr, len(args))
		for i, a := range args {
			if out[i], err = e.Cast(a, t, Implicit); err != nil {
				return nil, true, err
			}
		}
		switch name {
		case "coalesce":
			if len(out) == 1 {
				return out[0], true, nil
			}
			return &Expr{Kind: Coal, Type: t, Args: out, Pos: pos}, true, nil
		case "array":
			if t.ID == types.Array {
				return nil, true, sqlerr.New(sqlerr.FeatureNotSupported, "arrays of more than one dimension are not supported").At(pos)
			}
			return &Expr{Kind: Call, Type: types.ArrayOf(t.ID), Fn: "array(anyelement...)", Args: out, Pos: pos}, true, nil
		}
		return &Expr{Kind: Call, Type: types.Bare(t), Fn: name + "(anyelement...)", Args: out, Pos: pos}, true, nil
	case "nullif":
		if len(args) != 2 {
			return nil, false, nil
		}
		eq, cast, _, err := e.resolve("=", args, pos)
		if err != nil {
			return nil, true, err
		}
		t := cast[0].Type
		return &Expr{Kind: Call, Type: t, Fn: "nullif" + strings.TrimPrefix(eq.Key(), "="), Args: cast, Pos: pos}, true, nil
	}
	if op, _, ok := quantified(name); ok && len(args) == 2 {
		return e.quantifiedCall(name, op, args, pos)
	}
	if len(args) == 1 && byName[name] == nil {
		// A type's name works as a function, as in float8(x).
		if t, ok := TypeNamed(name); ok && t.ID < Any && !strings.Contains(name, " ") && e.CanCast(args[0].Type, t, Explicit) {
			x, err := e.Cast(args[0], t, Explicit)
			return x, true, err
		}
	}
	return nil, false, nil
}

// quantified takes any(op) and all(op) apart.
func quantified(name string) (op string, all, ok bool) {
	if !strings.HasSuffix(name, ")") {
		return "", false, false
	}
	if op, ok = strings.CutPrefix(name, "any("); ok {
		return op[:len(op)-1], false, true
	}
	if op, ok = strings.CutPrefix(name, "all("); ok {
		return op[:len(op)-1], true, true
	}
	return "", false, false
}

// quantifiedCall resolves x op ANY (array): op is that of x and an element.
func (e *Env) quantifiedCall(name, op string, args []*Expr, pos int) (*Expr, bool, error) {
	x, arr := args[0], args[1]
	elem := &Expr{Kind: Col, Type: types.Of(arr.Type.Elem), Pos: arr.Pos}
	switch {
	case arr.Type.ID == types.Unknown:
		elem.Type = types.Of(types.Unknown)
		if x.Type.ID == types.Unknown {
			x = retype(x, types.Of(types.Text))
		}
	case arr.Type.ID != types.Array:
		return nil, true, sqlerr.New(sqlerr.WrongObjectType, "op ANY/ALL (array) requires array on right side").At(pos)
	}
	probe := *elem
	if probe.Type.ID == types.Unknown {
		probe = Expr{Kind: Const, Type: probe.Type, Value: types.NullDatum, Pos: arr.Pos}
	}
	f, cast, _, err := e.resolve(op, []*Expr{x, &probe}, pos)
	if err != nil {
		return nil, true, err
	}
	if f.Ret.ID != types.Bool {
		return nil, true, sqlerr.New(sqlerr.WrongObjectType, "op ANY/ALL (array) requires operator to yield boolean").At(pos)
	}
	right, err := e.Cast(arr, types.ArrayOf(cast[1].Type.ID), Implicit)
	if err != nil {
		return nil, true, err
	}
	key := f.Key()
	return &Expr{Kind: Call, Type: types.Of(types.Bool), Fn: name + strings.TrimPrefix(key, op), Args: []*Expr{cast[0], right}, Pos: pos}, true, nil
}

// Func returns the function of a plan's key; the user's come first.
func (e *Env) Func(key string) (*Func, bool) {
	if i := strings.IndexByte(key, '('); i > 0 {
		for _, f := range e.Funcs[key[:i]] {
			if f.Key() == key {
				return f, true
			}
		}
	}
	if f, ok := byKey[key]; ok {
		return f, true
	}
	// any(=)(bigint,bigint) is made of =(bigint,bigint).
	for _, p := range []string{"any(", "all("} {
		rest, ok := strings.CutPrefix(key, p)
		if !ok {
			continue
		}
		i := strings.IndexByte(rest, ')')
		if i < 0 {
			return nil, false
		}
		if f, ok := e.Func(rest[:i] + rest[i+1:]); ok {
			return quantifiedFunc(f, key, p == "all("), true
		}
	}
	if rest, ok := strings.CutPrefix(key, "nullif("); ok {
		if f, ok := e.Func("=(" + rest); ok {
			return nullifFunc(f), true
		}
	}
	return nil, false
}

// Aggregate resolves a call of an aggregate: the overload, and the arguments
// cast. All results are nil when no aggregate has that name.
func (e *Env) Aggregate(name string, args []*Expr, pos int) (*AggFunc, []*Expr, error) {
	if !e.IsAggregate(name) {
		return nil, nil, nil
	}
	var fs []*AggFunc
	fs = append(append(fs, e.Aggs[name]...), aggsByName[name]...)
	var cs []candidate
	for i, f := range fs {
		if c, ok := candidate1(f.Args, f.Variadic, i, len(args)); ok {
			cs = append(cs, c)
		}
	}
	c, found, ambiguous := choose(name, false, cs, argTypes(args))
	switch {
	case !found:
		return nil, nil, undefined(name, args, pos)
	case ambiguous:
		return nil, nil, notUnique(name, args, pos)
	}
	out, elem, err := e.castArgs(c, args)
	if err != nil {
		return nil, nil, err
	}
	f := *fs[c.index]
	switch {
	case f.Ret.ID == Any:
		f.Ret = types.Bare(out[0].Type)
	case f.Ret.ID >= AnyElement:
		f.Ret = concrete(f.Ret, f.Ret, elem)
	}
	return &f, out, nil
}

// IsAggregate tells whether an aggregate has that name.
func (e *Env) IsAggregate(name string) bool {
	return len(e.Aggs[name]) > 0 || len(aggsByName[name]) > 0
}

// Agg returns the aggregate of a plan's key; the user's come first. The result
// type of a polymorphic one is a pseudo-type: the plan's column has the real one.
func (e *Env) Agg(key string) (*AggFunc, bool) {
	if i := strings.IndexByte(key, '('); i > 0 {
		for _, f := range e.Aggs[key[:i]] {
			if f.Key() == key {
				return f, true
			}
		}
	}
	f, ok := aggsByKey[key]
	return f, ok
}
