package expr

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// flagsArg returns the flags in argument a; "" when there is none.
func (c *Batch) flagsArg(a, i int) string {
	if a >= len(c.Args) {
		return ""
	}
	return string(c.Bytes(a, i))
}

func init() {
	const txt, i4 = types.Text, types.Int4
	match := func(name, flags string, not bool, t types.ID) {
		register(&Func{Name: name, Args: typs(t, txt), Ret: boolType, MayFail: true, Eval: func(c *Batch) error {
			var re *regexp.Regexp
			var err error
			for i := range c.Out.I[:c.N] {
				if c.Skip(i) {
					continue
				}
				if re == nil || c.Args[1].Mask != 0 {
					if re, err = c.regex(string(c.Bytes(1, i)), flags); err != nil {
						return rowError(i, err)
					}
				}
				c.Out.I[i] = b2i(re.Match(c.Bytes(0, i)) != not)
			}
			return nil
		}})
	}
	for _, t := range []types.ID{txt, types.Bpchar, types.Name} {
		match("~", "", false, t)
		match("~*", "i", false, t)
		match("!~", "", true, t)
		match("!~*", "i", true, t)
	}
	similar := func(name string, args ...types.ID) {
		textErr(name, txt, func(c *Batch, i int, dst []byte) ([]byte, error) {
			esc, has := '\\', true
			if len(c.Args) > 1 {
				e := c.Bytes(1, i)
				switch utf8.RuneCount(e) {
				case 0:
					has = false
				case 1:
					esc, _ = utf8.DecodeRune(e)
				default:
					return nil, sqlerr.New("22019", "invalid escape string").WithHint("Escape string must be empty or one character.")
				}
			}
			return append(dst, similarPattern(string(c.Bytes(0, i)), esc, has)...), nil
		}, args...)
	}
	similar("similar_to_escape", txt)
	similar("similar_to_escape", txt, txt)

	// substring(s from pattern): the first group, or the whole match.
	register(&Func{Name: "substring", Args: typs(txt, txt), Ret: types.Of(txt), MayFail: true, Eval: datums(func(c *Batch, i int) (types.Datum, error) {
		re, err := c.regex(string(c.Bytes(1, i)), "")
		if err != nil {
			return types.Datum{}, err
		}
		s := c.Bytes(0, i)
		m := re.FindSubmatchIndex(s)
		if m == nil {
			return types.NullDatum, nil
		}
		if len(m) > 2 {
			m = m[2:4]
		}
		if m[0] < 0 {
			return types.NullDatum, nil
		}
		return types.Datum{S: s[m[0]:m[1]]}, nil
	})})
	for n := 2; n <= 3; n++ {
		register(&Func{Name: "regexp_match", Args: typs(txt, txt, txt)[:n], Ret: types.ArrayOf(txt), MayFail: true, Eval: datums(func(c *Batch, i int) (types.Datum, error) {
			flags := c.flagsArg(2, i)
			if strings.Contains(flags, "g") {
				return types.Datum{}, sqlerr.New(sqlerr.InvalidParameter, "regexp_match() does not support the \"global\" option").
					WithHint("Use the regexp_matches function instead.")
			}
			re, err := c.regex(string(c.Bytes(1, i)), flags)
			if err != nil {
				return types.Datum{}, err
			}
			s := c.Bytes(0, i)
			m := re.FindSubmatchIndex(s)
			if m == nil {
				return types.NullDatum, nil
			}
			return types.Datum{S: matchArray(s, m)}, nil
		})}, &Func{Name: "regexp_like", Args: typs(txt, txt, txt)[:n], Ret: boolType, MayFail: true, Eval: bools(func(c *Batch, i int) (bool, error) {
			re, err := c.regex(string(c.Bytes(1, i)), c.flagsArg(2, i))
			return err == nil && re.Match(c.Bytes(0, i)), err
		})}, &Func{Name: "regexp_split_to_array", Args: typs(txt, txt, txt)[:n], Ret: types.ArrayOf(txt), MayFail: true, Eval: datums(func(c *Batch, i int) (types.Datum, error) {
			re, err := c.regex(string(c.Bytes(1, i)), c.flagsArg(2, i))
			if err != nil {
				return types.Datum{}, err
			}
			var out []byte
			splitRegex(re, c.Bytes(0, i), func(p []byte) bool { out = types.AppendElem(out, txt, types.Datum{S: p}); return true })
			return types.Datum{S: out}, nil
		})})
	}
	for n := 2; n <= 4; n++ {
		register(&Func{Name: "regexp_count", Args: typs(txt, txt, i4, txt)[:n], Ret: types.Of(i4), MayFail: true, Eval: ints(func(c *Batch, i int) (int64, error) {
			re, err := c.regex(string(c.Bytes(1, i)), c.flagsArg(3, i))
			if err != nil {
				return 0, err
			}
			start, err := startArg(c, 2, i)
			if err != nil || start > len(c.Bytes(0, i)) {
				return 0, err
			}
			return int64(len(matches(re, c.Bytes(0, i), start))), nil
		})})
	}
	for n := 3; n <= 4; n++ {
		textErr("regexp_replace", txt, func(c *Batch, i int, dst []byte) ([]byte, error) {
			flags, count := c.flagsArg(3, i), 1
			if strings.Contains(flags, "g") {
				count = 0
			}
			if flags != "" && flags[0] >= '0' && flags[0] <= '9' {
				return nil, sqlerr.New(sqlerr.InvalidParameter, "invalid regular expression option: \"%c\"", flags[0]).
					WithHint("If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly.")
			}
			re, err := c.regex(string(c.Bytes(1, i)), flags)
			if err != nil {
				return nil, err
			}
			return regexReplace(re, dst, c.Bytes(0, i), string(c.Bytes(2, i)), 0, count), nil
		}, typeIDs(txt, txt, txt, txt)[:n]...)
		textErr("regexp_replace", txt, func(c *Batch, i int, dst []byte) ([]byte, error) {
			count := 1
			if len(c.Args) > 4 {
				if count = int(c.Int(4, i)); count < 0 {
					return nil, sqlerr.New(sqlerr.InvalidParameter, "invalid value for parameter \"n\": %d", count)
				}
			}
			flags := c.flagsArg(5, i)
			if len(c.Args) <= 4 && strings.Contains(flags, "g") {
				count = 0
			}
			re, err := c.regex(string(c.Bytes(1, i)), flags)
			if err != nil {
				return nil, err
			}
			start, err := startArg(c, 3, i)
			if err != nil {
				return nil, err
			}
			return regexReplace(re, dst, c.Bytes(0, i), string(c.Bytes(2, i)), min(start, len(c.Bytes(0, i))), count), nil
		}, typeIDs(txt, txt, txt, i4, i4)[:n+1]...)
	}
	textErr("regexp_replace", txt, func(c *Batch, i int, dst []byte) ([]byte, error) {
		re, err := c.regex(string(c.Bytes(1, i)), c.flagsArg(5, i))
		if err != nil {
			return nil, err
		}
		start, err := startArg(c, 3, i)
		if err != nil {
			return nil, err
		}
		return regexReplace(re, dst, c.Bytes(0, i), string(c.Bytes(2, i)), min(start, len(c.Bytes(0, i))), int(max(c.Int(4, i), 0))), nil
	}, txt, txt, txt, i4, i4, txt)
	for n := 2; n <= 6; n++ {
		register(&Func{Name: "regexp_substr", Args: typs(txt, txt, i4, i4, txt, i4)[:n], Ret: types.Of(txt), MayFail: true, Eval: datums(func(c *Batch, i int) (types.Datum, error) {
			re, err := c.regex(string(c.Bytes(1, i)), c.flagsArg(4, i))
			if err != nil {
				return types.Datum{}, err
			}
			start, err := startArg(c, 2, i)
			if err != nil || start > len(c.Bytes(0, i)) {
				return types.NullDatum, err
			}
			nth, group := 1, 0
			if len(c.Args) > 3 {
				nth = int(c.Int(3, i))
			}
			if len(c.Args) > 5 {
				group = int(c.Int(5, i))
			}
			if nth < 1 || group < 0 {
				return types.Datum{}, sqlerr.New(sqlerr.InvalidParameter, "invalid value for parameter \"n\": %d", nth)
			}
			ms := matches(re, c.Bytes(0, i), start)
			if nth > len(ms) || 2*group+1 >= len(ms[nth-1]) || ms[nth-1][2*group] < 0 {
				return types.NullDatum, nil
			}
			m := ms[nth-1]
			return types.Datum{S: c.Bytes(0, i)[m[2*group]:m[2*group+1]]}, nil
		})})
	}

	for n := 2; n <= 3; n++ {
		registerSet(&setFunc{f: Func{Name: "regexp_split_to_table", Args: typs(txt, txt, txt)[:n]}, cols: typs(txt), rows: regexRows(func(re *regexp.Regexp, s []byte, _ bool, yield func(types.Datum) bool) {
			splitRegex(re, s, func(p []byte) bool { return yield(types.Datum{S: p}) })
		})}, &setFunc{f: Func{Name: "regexp_matches", Args: typs(txt, txt, txt)[:n]}, cols: []types.Type{types.ArrayOf(txt)}, rows: regexRows(func(re *regexp.Regexp, s []byte, all bool, yield func(types.Datum) bool) {
			for _, m := range re.FindAllSubmatchIndex(s, map[bool]int{true: -1, false: 1}[all]) {
				if !yield(types.Datum{S: matchArray(s, m)}) {
					return
				}
			}
		})}, &setFunc{f: Func{Name: "string_to_table", Args: typs(txt, txt, txt)[:n], NotNull: true}, cols: typs(txt), rows: func(_ *Context, args []types.Datum, _ []types.Type) Rows {
			return func(yield func([]types.Datum, error) bool) {
				if args[0].Null {
					return
				}
				splitText(args[0].S, args[1], func(p []byte) bool {
					null := len(args) > 2 && !args[2].Null && string(args[2].S) == string(p)
					return yield([]types.Datum{{S: p, Null: null}}, nil)
				})
			}
		}})
	}
}

func typeIDs(ids ...types.ID) []types.ID { return ids }

// startArg is the start parameter, in characters from 1, as a byte offset.
func startArg(c *Batch, a, i int) (int, error) {
	if a >= len(c.Args) {
		return 0, nil
	}
	n := c.Int(a, i)
	if n <= 0 {
		return 0, sqlerr.New(sqlerr.InvalidParameter, "invalid value for parameter \"start\": %d", n)
	}
	b := c.Bytes(0, i)
	if n > int64(utf8.RuneCount(b))+1 {
		return len(b) + 1, nil
	}
	return runeOffset(b, int(n-1)), nil
}

// regexRows makes the rows of a set function of (string, pattern[, flags]).
func regexRows(each func(re *regexp.Regexp, s []byte, all bool, yield func(types.Datum) bool)) func(*Context, []types.Datum, []types.Type) Rows {
	return func(_ *Context, args []types.Datum, _ []types.Type) Rows {
		flags := ""
		if len(args) > 2 {
			flags = string(args[2].S)
		}
		re, err := compileRegex(string(args[1].S), flags)
		if err != nil {
			return setError(err)
		}
		return func(yield func([]types.Datum, error) bool) {
			each(re, args[0].S, strings.Contains(flags, "g"), func(d types.Datum) bool { return yield([]types.Datum{d}, nil) })
		}
	}
}
