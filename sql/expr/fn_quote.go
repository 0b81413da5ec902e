package expr

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// formatArgs is format(): %s, %I, %L, %%, with n$ positions, - and widths.
func formatArgs(c *Batch, i int) (types.Datum, error) {
	if c.Null(0, i) {
		return types.NullDatum, nil
	}
	f := string(c.Bytes(0, i))
	var out []byte
	next := 1
	bad := func(code, msg string, args ...any) (types.Datum, error) {
		return types.Datum{}, sqlerr.New(code, msg, args...)
	}
	arg := func(n int) (string, bool, error) {
		if n >= len(c.Args) {
			return "", false, sqlerr.New(sqlerr.InvalidParameter, "too few arguments for format()")
		}
		if c.Null(n, i) {
			return "", true, nil
		}
		b, err := outText(c, n, i, nil)
		return string(b), false, err
	}
	for k := 0; k < len(f); k++ {
		if f[k] != '%' {
			out = append(out, f[k])
			continue
		}
		k++
		number := func() (int, bool) {
			start := k
			for k < len(f) && f[k] >= '0' && f[k] <= '9' {
				k++
			}
			n, err := strconv.Atoi(f[start:k])
			return n, err == nil && k > start
		}
		if k < len(f) && f[k] == '%' {
			out = append(out, '%')
			continue
		}
		pos, width, minus := 0, 0, false
		if n, ok := number(); ok {
			if k < len(f) && f[k] == '$' {
				if n == 0 {
					return bad(sqlerr.InvalidParameter, "format specifies argument 0, but arguments are numbered from 1")
				}
				pos = n
				k++
			} else {
				width = n
			}
		}
		if width == 0 {
			for k < len(f) && f[k] == '-' {
				minus = true
				k++
			}
			if k < len(f) && f[k] == '*' {
				k++
				s, null, err := arg(next)
				if err != nil {
					return types.Datum{}, err
				}
				next++
				if !null {
					width, _ = strconv.Atoi(s)
				}
				if width < 0 {
					minus, width = true, -width
				}
			} else if n, ok := number(); ok {
				width = n
			}
		}
		if k >= len(f) {
			return types.Datum{}, sqlerr.New(sqlerr.InvalidParameter, "unterminated format() type specifier").
				WithHint("For a single \"%%\" use \"%%%%\".")
		}
		if pos == 0 {
			pos = next
		}
		s, null, err := arg(pos)
		if err != nil {
			return types.Datum{}, err
		}
		next = pos + 1
		switch f[k] {
		case 's':
		case 'I':
			if null {
				return bad("22004", "null values cannot be formatted as an SQL identifier")
			}
			s = quoteIdent(s)
		case 'L':
			if null {
				s = "NULL"
			} else {
				s = quoteLiteral(s)
			}
		default:
			r, _ := utf8.DecodeRuneInString(f[k:])
			return types.Datum{}, sqlerr.New(sqlerr.InvalidParameter, "unrecognized format() type specifier \"%c\"", r).
				WithHint("For a single \"%%\" use \"%%%%\".")
		}
		if width > maxText/4 {
			return types.Datum{}, errTooLong()
		}
		fill := max(width-utf8.RuneCountInString(s), 0)
		if minus {
			out = append(append(out, s...), strings.Repeat(" ", fill)...)
		} else {
			out = append(append(out, strings.Repeat(" ", fill)...), s...)
		}
	}
	return types.Datum{S: out}, nil
}

// reserved words that quote_ident quotes though they look like names.
var reservedWords = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`all analyse analyze and any array as asc asymmetric both case cast check collate column
		constraint create current_catalog current_date current_role current_time current_timestamp current_user default
		deferrable desc distinct do else end except false fetch for foreign from grant group having in initially intersect
		into lateral leading limit localtime localtimestamp not null offset on only or order placing primary references
		returning select session_user some symmetric table then to trailing true union unique user using variadic when
		where window with authorization binary collation concurrently cross current_schema freeze full ilike inner is
		isnull join left like natural notnull outer overlaps right similar tablesample verbose between bigint bit boolean
		char character coalesce dec decimal exists extract float greatest grouping inout int integer interval least
		national nchar none normalize nullif numeric out overlay position precision real row setof smallint substring
		time timestamp treat trim values varchar xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces
		xmlparse xmlpi xmlroot xmlserialize xmltable`) {
		m[w] = true
	}
	return m
}()

func quoteIdent(s string) string {
	plain := s != "" && !(s[0] >= '0' && s[0] <= '9')
	for i := 0; i < len(s) && plain; i++ {
		c := s[i]
		plain = c >= 'a' && c <= 'z' || c == '_' || c >= '0' && c <= '9'
	}
	if plain && !reservedWords[s] {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

func quoteLiteral(s string) string {
	q := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		q = "E" + strings.ReplaceAll(q, `\`, `\\`)
	}
	return q
}
