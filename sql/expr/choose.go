package expr

import (
	"slices"

	"github.com/streamsql/streamsql/sql/types"
)

// candidate is an overload with as many parameters as there are arguments.
type candidate struct {
	args     []types.Type // may hold pseudo-types
	variadic bool
	index    int
}

// candidate1 makes an overload take n arguments; false when it cannot.
func candidate1(params []types.Type, variadic bool, index, n int) (candidate, bool) {
	if len(params) == n {
		return candidate{args: params, index: index, variadic: variadic}, true
	}
	if !variadic || n < len(params) {
		return candidate{}, false
	}
	args := slices.Clone(params)
	for len(args) < n {
		args = append(args, params[len(params)-1])
	}
	return candidate{args: args, variadic: true, index: index}, true
}

// element solves the polymorphic parameters: the type of AnyElement.
func (c candidate) element(in []types.Type) (types.Type, bool) {
	var ts []types.Type
	poly, unknownArray := false, false
	for i, a := range c.args {
		switch {
		case a.ID == AnyElement:
			poly = true
			ts = append(ts, in[i])
		case a.ID == AnyArray && in[i].ID == types.Array:
			poly = true
			ts = append(ts, types.Of(in[i].Elem))
		case a.ID == AnyArray && in[i].ID != types.Unknown:
			return types.Type{}, false
		case a.ID == AnyArray:
			poly, unknownArray = true, true
		}
	}
	if !poly {
		return types.Type{}, true
	}
	known := false
	for _, t := range ts {
		known = known || t.ID != types.Unknown
	}
	if !known && unknownArray {
		return types.Type{}, false
	}
	t, bad := commonType(ts)
	if bad >= 0 || t.ID == types.Array && slices.ContainsFunc(c.args, func(a types.Type) bool { return a.ID == AnyArray }) {
		return types.Type{}, false
	}
	return t, true
}

// concrete replaces a pseudo-type.
func concrete(param, in, elem types.Type) types.Type {
	switch param.ID {
	case Any:
		if in.ID == types.Unknown {
			return types.Of(types.Text)
		}
		return in
	case AnyElement:
		return elem
	case AnyArray:
		return types.ArrayOf(elem.ID)
	}
	return param
}

func (c candidate) accepts(name string, in []types.Type) bool {
	for i, a := range c.args {
		switch a.ID {
		case AnyElement, AnyArray:
		case Any:
			if name == "||" && in[i].ID == types.Array {
				return false // anynonarray
			}
		default:
			if !implicit(in[i], a) {
				return false
			}
		}
	}
	_, ok := c.element(in)
	return ok
}

// choose picks a candidate as PostgreSQL's func_select_candidate does. It
// returns -1 when none fits, and ambiguous when several do.
func choose(name string, operator bool, cs []candidate, in []types.Type) (pick candidate, found, ambiguous bool) {
	in = slices.Clone(in)
	for i := range in {
		in[i] = types.Bare(in[i])
	}
	exact := func(want []types.Type) (candidate, bool) {
		for _, c := range cs {
			if slices.Equal(c.args, want) {
				return c, true
			}
		}
		return candidate{}, false
	}
	if c, ok := exact(in); ok {
		return c, true, false
	}
	if operator && len(in) == 2 && (in[0].ID == types.Unknown) != (in[1].ID == types.Unknown) {
		t := in[0]
		if t.ID == types.Unknown {
			t = in[1]
		}
		if c, ok := exact([]types.Type{t, t}); ok {
			return c, true, false
		}
	}
	cs = slices.Clone(cs)
	cs = slices.DeleteFunc(cs, func(c candidate) bool { return !c.accepts(name, in) })
	if len(cs) <= 1 {
		if len(cs) == 0 {
			return candidate{}, false, false
		}
		return cs[0], true, false
	}
	// The most exact matches of known types.
	cs = best(cs, func(c candidate) int {
		n := 0
		for i, a := range c.args {
			if in[i].ID != types.Unknown && a == in[i] {
				n++
			}
		}
		return n
	})
	if len(cs) == 1 {
		return cs[0], true, false
	}
	// Exact, or a preferred type of the argument's category.
	cs = best(cs, func(c candidate) int {
		n := 0
		for i, a := range c.args {
			if in[i].ID != types.Unknown && (a == in[i] || category(a) == category(in[i]) && preferred(a)) {
				n++
			}
		}
		return n
	})
	if len(cs) == 1 {
		return cs[0], true, false
	}
	// Unknown arguments: the category that the candidates agree on, string first.
	unknown, resolved := false, true
	cats := make([]byte, len(in))
	wantPreferred := make([]bool, len(in))
	for i := range in {
		if in[i].ID != types.Unknown {
			continue
		}
		unknown = true
		cat, pref, conflict := category(cs[0].args[i]), preferred(cs[0].args[i]), false
		for _, c := range cs[1:] {
			switch k := category(c.args[i]); {
			case k == cat:
				pref = pref || preferred(c.args[i])
			case k == 'S':
				cat, pref = 'S', preferred(c.args[i])
			default:
				conflict = true
			}
		}
		if conflict && cat != 'S' {
			resolved = false
			break
		}
		cats[i], wantPreferred[i] = cat, pref
	}
	if !unknown {
		return ambiguousOr(cs)
	}
	if resolved {
		var kept []candidate
		for _, c := range cs {
			ok := true
			for i, a := range c.args {
				if in[i].ID == types.Unknown && (category(a) != cats[i] || wantPreferred[i] && !preferred(a)) {
					ok = false
				}
			}
			if ok {
				kept = append(kept, c)
			}
		}
		if len(kept) > 0 {
			cs = kept
		}
		if len(cs) == 1 {
			return cs[0], true, false
		}
	}
	// Unknown arguments are taken to be of the one known type.
	var known types.Type
	one := false
	for _, t := range in {
		switch {
		case t.ID == types.Unknown:
		case !one:
			known, one = t, true
		case t != known:
			return ambiguousOr(cs)
		}
	}
	if one {
		all := make([]types.Type, len(in))
		for i := range all {
			all[i] = known
		}
		var kept []candidate
		for _, c := range cs {
			if c.accepts(name, all) {
				kept = append(kept, c)
			}
		}
		if len(kept) == 1 {
			return kept[0], true, false
		}
	}
	return ambiguousOr(cs)
}

// ambiguousOr prefers an overload that is not variadic.
func ambiguousOr(cs []candidate) (candidate, bool, bool) {
	plain := slices.DeleteFunc(slices.Clone(cs), func(c candidate) bool { return c.variadic })
	if len(plain) == 1 {
		return plain[0], true, false
	}
	return cs[0], true, true
}

// best keeps the candidates of the highest score.
func best(cs []candidate, score func(candidate) int) []candidate {
	top := -1
	var out []candidate
	for _, c := range cs {
		switch s := score(c); {
		case s > top:
			top, out = s, append(out[:0:0], c)
		case s == top:
			out = append(out, c)
		}
	}
	return out
}
