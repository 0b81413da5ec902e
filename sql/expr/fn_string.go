package expr

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// maxText bounds what one call may produce.
const maxText = 1<<28 - 1

func errTooLong() error {
	return sqlerr.New("54000", "requested length too large")
}

// textFn registers a function that cannot fail and gives bytes of type ret.
func textFn(name string, ret types.ID, f func(c *Batch, i int, dst []byte) []byte, args ...types.ID) {
	register(&Func{Name: name, Args: typs(args...), Ret: types.Of(ret), Eval: bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
		return f(c, i, dst), nil
	})})
}

// textErr is textFn of a function that may fail.
func textErr(name string, ret types.ID, f func(c *Batch, i int, dst []byte) ([]byte, error), args ...types.ID) {
	register(&Func{Name: name, Args: typs(args...), Ret: types.Of(ret), MayFail: true, Eval: bytesOf(f)})
}

func intFn(name string, f func(c *Batch, i int) int64, args ...types.ID) {
	register(&Func{Name: name, Args: typs(args...), Ret: types.Of(types.Int4), Eval: ints(func(c *Batch, i int) (int64, error) { return f(c, i), nil })})
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// runeOffset returns the byte at which character n (from 0) begins.
func runeOffset(b []byte, n int) int {
	if n <= 0 {
		return 0
	}
	for i := range string(b) {
		if n == 0 {
			return i
		}
		n--
	}
	return len(b)
}

// substr is SQL's: from counts from 1 and may lie before it; n < 0 means none given.
func substr(b []byte, from, n int64, bytewise bool) []byte {
	lo, hi := from-1, int64(1)<<40
	if n >= 0 {
		hi = lo + n
	}
	lo, hi = max(lo, 0), max(hi, 0)
	if bytewise || isASCII(b) {
		lo, hi = min(lo, int64(len(b))), min(hi, int64(len(b)))
		return b[lo:max(lo, hi)]
	}
	if lo >= int64(len(b)) {
		return nil
	}
	rest := b[runeOffset(b, int(lo)):]
	return rest[:runeOffset(rest, int(min(hi-lo, int64(len(rest)))))]
}

func errNegativeLength() error {
	return sqlerr.New("22011", "negative substring length not allowed")
}

func trimSet(c *Batch, i int) string {
	if len(c.Args) > 1 {
		return string(c.Bytes(1, i))
	}
	return " "
}

func init() {
	const txt, bp, by, i4, i8 = types.Text, types.Bpchar, types.Bytea, types.Int4, types.Int8
	length := func(c *Batch, i int) int64 { return int64(utf8.RuneCount(c.Bytes(0, i))) }
	size := func(c *Batch, i int) int64 { return int64(len(c.Bytes(0, i))) }
	for _, n := range []string{"length", "char_length", "character_length"} {
		intFn(n, length, txt)
		intFn(n, func(c *Batch, i int) int64 { return int64(utf8.RuneCount(trimBlanks(c.Bytes(0, i)))) }, bp)
	}
	intFn("length", size, by)
	for _, t := range []types.ID{txt, bp, by} {
		intFn("octet_length", size, t)
		if t != bp {
			intFn("bit_length", func(c *Batch, i int) int64 { return 8 * size(c, i) }, t)
		}
	}
	register(&Func{Name: "lower", Args: typs(txt), Ret: types.Of(txt), Eval: func(c *Batch) error { return mapCase(c, 'A', 'Z', bytes.ToLower) }},
		&Func{Name: "upper", Args: typs(txt), Ret: types.Of(txt), Eval: func(c *Batch) error { return mapCase(c, 'a', 'z', bytes.ToUpper) }})
	textFn("initcap", txt, func(c *Batch, i int, dst []byte) []byte {
		word := false
		for _, r := range string(c.Bytes(0, i)) {
			if word {
				dst = utf8.AppendRune(dst, unicode.ToLower(r))
			} else {
				dst = utf8.AppendRune(dst, unicode.ToUpper(r))
			}
			word = unicode.IsLetter(r) || unicode.IsDigit(r)
		}
		return dst
	}, txt)
	for _, n := range []string{"substr", "substring"} {
		for _, t := range []types.ID{txt, by} {
			textFn(n, t, func(c *Batch, i int, dst []byte) []byte {
				return append(dst, substr(c.Bytes(0, i), c.Int(1, i), -1, t == by)...)
			}, t, i4)
			textErr(n, t, func(c *Batch, i int, dst []byte) ([]byte, error) {
				if c.Int(2, i) < 0 {
					return nil, errNegativeLength()
				}
				return append(dst, substr(c.Bytes(0, i), c.Int(1, i), c.Int(2, i), t == by)...), nil
			}, t, i4, i4)
		}
	}
	find := func(c *Batch, i int) int64 {
		b := c.Bytes(0, i)
		at := bytes.Index(b, c.Bytes(1, i))
		return int64(utf8.RuneCount(b[:max(at, 0)])) + b2i(at >= 0)
	}
	intFn("position", find, txt, txt)
	intFn("strpos", find, txt, txt)
	intFn("position", func(c *Batch, i int) int64 { return int64(bytes.Index(c.Bytes(0, i), c.Bytes(1, i))) + 1 }, by, by)
	textFn("left", txt, func(c *Batch, i int, dst []byte) []byte {
		b, n := c.Bytes(0, i), c.Int(1, i)
		if n < 0 {
			n = max(int64(utf8.RuneCount(b))+n, 0)
		}
		return append(dst, substr(b, 1, n, false)...)
	}, txt, i4)
	textFn("right", txt, func(c *Batch, i int, dst []byte) []byte {
		b, n := c.Bytes(0, i), c.Int(1, i)
		skip := -n
		if n >= 0 {
			skip = max(int64(utf8.RuneCount(b))-n, 0)
		}
		return append(dst, substr(b, skip+1, -1, false)...)
	}, txt, i4)
	for _, left := range []bool{true, false} {
		name := map[bool]string{true: "lpad", false: "rpad"}[left]
		for _, args := range [][]types.ID{{txt, i4}, {txt, i4, txt}} {
			textErr(name, txt, func(c *Batch, i int, dst []byte) ([]byte, error) {
				fill := " "
				if len(c.Args) > 2 {
					fill = string(c.Bytes(2, i))
				}
				return pad(dst, c.Bytes(0, i), c.Int(1, i), fill, left)
			}, args...)
		}
	}
	for _, args := range [][]types.ID{{txt}, {txt, txt}} {
		textFn("btrim", txt, func(c *Batch, i int, dst []byte) []byte {
			return append(dst, bytes.Trim(c.Bytes(0, i), trimSet(c, i))...)
		}, args...)
		textFn("ltrim", txt, func(c *Batch, i int, dst []byte) []byte {
			return append(dst, bytes.TrimLeft(c.Bytes(0, i), trimSet(c, i))...)
		}, args...)
		textFn("rtrim", txt, func(c *Batch, i int, dst []byte) []byte {
			return append(dst, bytes.TrimRight(c.Bytes(0, i), trimSet(c, i))...)
		}, args...)
	}
	textErr("replace", txt, func(c *Batch, i int, dst []byte) ([]byte, error) {
		s, from, to := c.Bytes(0, i), c.Bytes(1, i), c.Bytes(2, i)
		if len(from) == 0 {
			return append(dst, s...), nil
		}
		if len(to) > len(from) && len(s)/len(from)*len(to) > maxText && bytes.Count(s, from)*len(to) > maxText {
			return nil, errTooLong()
		}
		for {
			k := bytes.Index(s, from)
			if k < 0 {
				return append(dst, s...), nil
			}
			dst = append(append(dst, s[:k]...), to...)
			s = s[k+len(from):]
		}
	}, txt, txt, txt)
	textFn("translate", txt, func(c *Batch, i int, dst []byte) []byte {
		from, to := []rune(string(c.Bytes(1, i))), []rune(string(c.Bytes(2, i)))
		for _, r := range string(c.Bytes(0, i)) {
			k := 0
			for k < len(from) && from[k] != r {
				k++
			}
			switch {
			case k == len(from):
				dst = utf8.AppendRune(dst, r)
			case k < len(to):
				dst = utf8.AppendRune(dst, to[k])
			}
		}
		return dst
	}, txt, txt, txt)
	textFn("reverse", txt, func(c *Batch, i int, dst []byte) []byte {
		b := c.Bytes(0, i)
		for len(b) > 0 {
			_, n := utf8.DecodeLastRune(b)
			dst = append(dst, b[len(b)-n:]...)
			b = b[:len(b)-n]
		}
		return dst
	}, txt)
	textErr("repeat", txt, func(c *Batch, i int, dst []byte) ([]byte, error) {
		b, n := c.Bytes(0, i), c.Int(1, i)
		if n > 0 && int64(len(b))*n > maxText {
			return nil, errTooLong()
		}
		for ; n > 0; n-- {
			dst = append(dst, b...)
		}
		return dst, nil
	}, txt, i4)
	register(&Func{Name: "split_part", Args: typs(txt, txt, i4), Ret: types.Of(txt), MayFail: true, Eval: bytesOf(splitPart)})
	register(&Func{Name: "concat", Args: typs(Any), Ret: types.Of(txt), Variadic: true, NotNull: true, Vol: Stable, Eval: concatArgs})
	register(&Func{Name: "concat_ws", Args: typs(txt, Any), Ret: types.Of(txt), Variadic: true, NotNull: true, Vol: Stable, Eval: datums(concatWS)})
	register(&Func{Name: "format", Args: typs(txt), Ret: types.Of(txt), NotNull: true, Vol: Stable, MayFail: true, Eval: datums(formatArgs)},
		&Func{Name: "format", Args: typs(txt, Any), Ret: types.Of(txt), Variadic: true, NotNull: true, Vol: Stable, MayFail: true, Eval: datums(formatArgs)})
	textErr("chr", txt, func(c *Batch, i int, dst []byte) ([]byte, error) {
		n := c.Int(0, i)
		if n == 0 {
			return nil, sqlerr.New("54000", "null character not permitted")
		}
		if n < 0 || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
			return nil, sqlerr.New("54000", "requested character not valid for encoding: %d", n)
		}
		return utf8.AppendRune(dst, rune(n)), nil
	}, i4)
	intFn("ascii", func(c *Batch, i int) int64 {
		b := c.Bytes(0, i)
		if len(b) == 0 {
			return 0
		}
		r, _ := utf8.DecodeRune(b)
		return int64(r)
	}, txt)
	for _, t := range []types.ID{txt, by} {
		textFn("md5", txt, func(c *Batch, i int, dst []byte) []byte {
			s := md5.Sum(c.Bytes(0, i))
			return hex.AppendEncode(dst, s[:])
		}, t)
	}
	textFn("sha224", by, func(c *Batch, i int, dst []byte) []byte {
		s := sha256.Sum224(c.Bytes(0, i))
		return append(dst, s[:]...)
	}, by)
	textFn("sha256", by, func(c *Batch, i int, dst []byte) []byte {
		s := sha256.Sum256(c.Bytes(0, i))
		return append(dst, s[:]...)
	}, by)
	textFn("sha384", by, func(c *Batch, i int, dst []byte) []byte {
		s := sha512.Sum384(c.Bytes(0, i))
		return append(dst, s[:]...)
	}, by)
	textFn("sha512", by, func(c *Batch, i int, dst []byte) []byte {
		s := sha512.Sum512(c.Bytes(0, i))
		return append(dst, s[:]...)
	}, by)
	textErr("encode", txt, encode, by, txt)
	textErr("decode", by, decode, txt, txt)
	textFn("convert_to", by, func(c *Batch, i int, dst []byte) []byte { return append(dst, c.Bytes(0, i)...) }, txt, types.Name)
	textErr("convert_from", txt, func(c *Batch, i int, dst []byte) ([]byte, error) {
		b := c.Bytes(0, i)
		if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
			return nil, sqlerr.New(sqlerr.CharacterNotInRep, "invalid byte sequence for encoding \"UTF8\"")
		}
		return append(dst, b...), nil
	}, by, types.Name)
	register(&Func{Name: "starts_with", Args: typs(txt, txt), Ret: boolType, Eval: bools(func(c *Batch, i int) (bool, error) {
		return bytes.HasPrefix(c.Bytes(0, i), c.Bytes(1, i)), nil
	})}, &Func{Name: "^@", Args: typs(txt, txt), Ret: boolType, Eval: bools(func(c *Batch, i int) (bool, error) {
		return bytes.HasPrefix(c.Bytes(0, i), c.Bytes(1, i)), nil
	})})
	for _, t := range []types.ID{i4, i8} {
		textFn("to_hex", txt, func(c *Batch, i int, dst []byte) []byte {
			n := uint64(c.Int(0, i))
			if t == i4 {
				n = uint64(uint32(n))
			}
			return strconv.AppendUint(dst, n, 16)
		}, t)
	}
	textFn("quote_ident", txt, func(c *Batch, i int, dst []byte) []byte { return append(dst, quoteIdent(string(c.Bytes(0, i)))...) }, txt)
	textFn("quote_literal", txt, func(c *Batch, i int, dst []byte) []byte { return append(dst, quoteLiteral(string(c.Bytes(0, i)))...) }, txt)
	anyText := func(null bool) func(c *Batch, i int) (types.Datum, error) {
		return func(c *Batch, i int) (types.Datum, error) {
			if c.Null(0, i) {
				if null {
					return types.Datum{S: []byte("NULL")}, nil
				}
				return types.NullDatum, nil
			}
			b, err := castText(c, 0, i, nil)
			return types.Datum{S: []byte(quoteLiteral(string(b)))}, err
		}
	}
	register(&Func{Name: "quote_literal", Args: typs(Any), Ret: types.Of(txt), Vol: Stable, Eval: datums(anyText(false))},
		&Func{Name: "quote_nullable", Args: typs(Any), Ret: types.Of(txt), NotNull: true, Vol: Stable, Eval: datums(anyText(true))})
	for _, args := range [][]types.ID{{txt, txt, i4}, {txt, txt, i4, i4}} {
		textErr("overlay", txt, func(c *Batch, i int, dst []byte) ([]byte, error) {
			s, with, from := c.Bytes(0, i), c.Bytes(1, i), c.Int(2, i)
			n := int64(utf8.RuneCount(with))
			if len(c.Args) > 3 {
				n = c.Int(3, i)
			}
			if from <= 0 {
				return nil, errNegativeLength()
			}
			dst = append(dst, substr(s, 1, from-1, false)...)
			dst = append(dst, with...)
			return append(dst, substr(s, from+n, -1, false)...), nil
		}, args...)
	}
	for _, args := range [][]types.ID{{txt, txt}, {txt, txt, txt}} {
		register(&Func{Name: "string_to_array", Args: typs(args...), Ret: types.ArrayOf(txt), NotNull: true, Eval: datums(stringToArray)})
	}
}

// mapCase changes the case of ASCII in place and leaves the rest to slow.
func mapCase(c *Batch, lo, hi byte, slow func([]byte) []byte) error {
	a := c.Args[0]
	out := c.Out
	if a.Mask != 0 {
		// One pass over the whole buffer when it is ASCII: offsets stay as they are.
		v := a.V
		first, last := v.Off[0], v.Off[c.N]
		src := v.Buf[first:last]
		out.Buf = sized(out.Buf, len(src))
		var or byte
		for i, b := range src {
			or |= b
			if b >= lo && b <= hi {
				b ^= 0x20
			}
			out.Buf[i] = b
		}
		if or < 0x80 {
			out.Off = sized(out.Off, c.N+1)
			for i, o := range v.Off[:c.N+1] {
				out.Off[i] = o - first
			}
			return nil
		}
		out.Buf = out.Buf[:0]
	}
	return bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
		return append(dst, slow(c.Bytes(0, i))...), nil
	})(c)
}

func pad(dst, b []byte, n int64, fill string, left bool) ([]byte, error) {
	if n > maxText/4 {
		return nil, errTooLong()
	}
	n = max(n, 0)
	have := int64(utf8.RuneCount(b))
	if have >= n || fill == "" {
		return append(dst, substr(b, 1, n, false)...), nil
	}
	if !left {
		dst = append(dst, b...)
	}
	runes := []rune(fill)
	for k := range n - have {
		dst = utf8.AppendRune(dst, runes[k%int64(len(runes))])
	}
	if left {
		dst = append(dst, b...)
	}
	return dst, nil
}

func splitPart(c *Batch, i int, dst []byte) ([]byte, error) {
	s, sep, n := c.Bytes(0, i), c.Bytes(1, i), c.Int(2, i)
	if n == 0 {
		return nil, sqlerr.New(sqlerr.InvalidParameter, "field position must not be zero")
	}
	if len(sep) == 0 {
		if n == 1 || n == -1 {
			dst = append(dst, s...)
		}
		return dst, nil
	}
	if n < 0 {
		for {
			k := bytes.LastIndex(s, sep)
			if n++; n == 0 {
				if k >= 0 {
					s = s[k+len(sep):]
				}
				return append(dst, s...), nil
			}
			if k < 0 {
				return dst, nil
			}
			s = s[:k]
		}
	}
	for {
		var k int
		if len(sep) == 1 {
			k = bytes.IndexByte(s, sep[0])
		} else {
			k = bytes.Index(s, sep)
		}
		if n--; n == 0 {
			if k >= 0 {
				s = s[:k]
			}
			return append(dst, s...), nil
		}
		if k < 0 {
			return dst, nil
		}
		s = s[k+len(sep):]
	}
}

func concatArgs(c *Batch) error {
	for i := range c.N {
		for a := range c.Args {
			if c.Null(a, i) {
				continue
			}
			var err error
			if c.Out.Buf, err = outText(c, a, i, c.Out.Buf); err != nil {
				return rowError(i, err)
			}
		}
		if len(c.Out.Buf) > maxColumn {
			return rowError(i, errTooMuch())
		}
		c.Out.Off = append(c.Out.Off, int32(len(c.Out.Buf)))
	}
	return nil
}

func concatWS(c *Batch, i int) (types.Datum, error) {
	if c.Null(0, i) {
		return types.NullDatum, nil
	}
	out, first := []byte{}, true
	for a := 1; a < len(c.Args); a++ {
		if c.Null(a, i) {
			continue
		}
		if !first {
			out = append(out, c.Bytes(0, i)...)
		}
		first = false
		var err error
		if out, err = outText(c, a, i, out); err != nil {
			return types.Datum{}, err
		}
	}
	return types.Datum{S: out}, nil
}

// splitText calls fn with the parts of string_to_array: a NULL separator splits
// into characters, an empty one not at all.
func splitText(s []byte, sep types.Datum, fn func(part []byte) bool) {
	switch {
	case len(s) == 0:
	case sep.Null:
		for len(s) > 0 {
			_, n := utf8.DecodeRune(s)
			if !fn(s[:n]) {
				return
			}
			s = s[n:]
		}
	case len(sep.S) == 0:
		fn(s)
	default:
		for {
			k := bytes.Index(s, sep.S)
			if k < 0 {
				fn(s)
				return
			}
			if !fn(s[:k]) {
				return
			}
			s = s[k+len(sep.S):]
		}
	}
}

func stringToArray(c *Batch, i int) (types.Datum, error) {
	if c.Null(0, i) {
		return types.NullDatum, nil
	}
	null := types.NullDatum
	if len(c.Args) > 2 {
		null = c.Datum(2, i)
	}
	var out []byte
	splitText(c.Bytes(0, i), c.Datum(1, i), func(p []byte) bool {
		out = types.AppendElem(out, types.Text, types.Datum{S: p, Null: !null.Null && bytes.Equal(null.S, p)})
		return true
	})
	return types.Datum{S: out}, nil
}
