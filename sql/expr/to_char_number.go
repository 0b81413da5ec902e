package expr

import (
	"math"
	"strconv"
	"strings"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// numFormat is a parsed numeric format: 9, 0, ., D, comma, G, S, MI, PL, SG, PR,
// L, FM, TH, V, RN, EEEE.
type numFormat struct {
	toks             []string // in order, upper case; literal text with a leading '"'
	fm               bool
	before, after    int // digit places
	zeroAt           int // the first 0 before the point, counted in places
	dec              bool
	s, mi, pl, sg    bool
	pr, roman, expo  bool
	lower            bool
	v                int
	sBefore, sBehind bool
}

func numberFormat(c *Batch, f string) (*numFormat, error) {
	return cached(c, "num:"+f, func() (*numFormat, error) { return scanNumberFormat(f) })
}

func scanNumberFormat(f string) (*numFormat, error) {
	n := &numFormat{zeroAt: -1}
	seenDigit, inV := false, false
	for i := 0; i < len(f); {
		rest := strings.ToUpper(f[i:])
		tok := ""
		for _, k := range []string{"EEEE", "FM", "MI", "PL", "SG", "PR", "RN", "TH", "9", "0", ".", "D", ",", "G", "S", "L", "V", "B", "C"} {
			if strings.HasPrefix(rest, k) {
				tok = k
				break
			}
		}
		if f[i] == '"' {
			var lit strings.Builder
			for i++; i < len(f) && f[i] != '"'; i++ {
				if f[i] == '\\' && i+1 < len(f) {
					i++
				}
				lit.WriteByte(f[i])
			}
			i++
			n.toks = append(n.toks, `"`+lit.String())
			continue
		}
		if tok == "" {
			n.toks = append(n.toks, `"`+f[i:i+1])
			i++
			continue
		}
		if n.expo && tok != "FM" {
			return nil, sqlerr.New("42601", "\"EEEE\" must be the last pattern used")
		}
		switch tok {
		case "FM":
			n.fm = true
		case "9", "0":
			switch {
			case inV:
				n.v++
			case n.dec:
				n.after++
			default:
				if tok == "0" && n.zeroAt < 0 {
					n.zeroAt = n.before
				}
				n.before++
			}
			if n.pr {
				return nil, sqlerr.New("42601", "\"9\" must be ahead of \"PR\"")
			}
			seenDigit = true
		case ".", "D":
			if n.dec {
				return nil, sqlerr.New("42601", "multiple decimal points")
			}
			if inV {
				return nil, sqlerr.New("42601", "cannot use \"V\" and decimal point together")
			}
			n.dec = true
		case "S":
			if n.s {
				return nil, sqlerr.New("42601", "cannot use \"S\" twice")
			}
			n.s, n.sBefore, n.sBehind = true, !seenDigit, seenDigit
		case "MI":
			n.mi = true
		case "PL":
			n.pl = true
		case "SG":
			n.sg = true
		case "PR":
			n.pr = true
		case "RN":
			n.roman, n.lower = true, f[i] == 'r'
		case "EEEE":
			n.expo = true
		case "V":
			inV = true
		case "TH":
			tok = f[i : i+2]
		}
		if tok != "FM" && tok != "B" && tok != "C" {
			n.toks = append(n.toks, tok)
		}
		i += len(tok)
	}
	return n, nil
}

// number is a decimal number to be printed: digits with the point at scale, in
// the format's places already.
type number struct {
	neg   bool
	whole string // without leading zeros; "" for 0
	frac  string
}

// rounded brings a numeric to so many digits after the point.
func rounded(b []byte, places int) number {
	r := types.NumericRound(nil, b, places, false)
	s := string(types.FormatText(nil, types.Of(types.Numeric), types.Datum{S: r}))
	n := number{}
	if s, n.neg = strings.CutPrefix(s, "-"); n.neg && strings.Trim(s, "0.") == "" {
		n.neg = false
	}
	n.whole, n.frac, _ = strings.Cut(s, ".")
	n.whole = strings.TrimLeft(n.whole, "0")
	return n
}

func appendNumberFormat(dst, b []byte, f *numFormat) ([]byte, error) {
	if f.roman {
		n, _ := types.NumericInt(b)
		s := roman(n)
		if f.lower {
			s = strings.ToLower(s)
		}
		if !f.fm {
			dst = append(dst, strings.Repeat(" ", max(15-len(s), 0))...)
		}
		return append(dst, s...), nil
	}
	if numericNaN(b) || numericInf(b) != 0 {
		// PostgreSQL fills the places with #, but says NaN under EEEE.
		if f.expo {
			return append(append(dst, ' '), "#.####"...), nil
		}
		return append(dst, overflow(f, numericInf(b) < 0)...), nil
	}
	if f.expo {
		fl := types.NumericFloat(b)
		s := strconv.FormatFloat(math.Abs(fl), 'e', f.after, 64)
		switch {
		case fl < 0:
			s = "-" + s
		case !f.fm:
			s = " " + s
		}
		return append(dst, s...), nil
	}
	if f.v > 0 {
		b = types.NumericMul(nil, b, types.NumericOf(tenTo(f.v), 0))
	}
	n := rounded(b, f.after)
	places := f.before + f.v
	if len(n.whole) > places {
		return append(dst, overflow(f, n.neg)...), nil
	}
	return append(dst, layout(f, n, places)...), nil
}

// overflow is what is printed when the number does not fit: # in every place.
func overflow(f *numFormat, neg bool) string {
	return layout(f, number{neg: neg, whole: strings.Repeat("#", f.before+f.v), frac: strings.Repeat("#", f.after)}, f.before+f.v)
}

func layout(f *numFormat, n number, places int) string {
	var out []byte
	pad := places - len(n.whole) // places without a digit of the number
	fracEnd := len(n.frac)
	if f.fm && f.dec {
		// FM drops zeros at the end, but not those asked for by 0.
		last := f.lastZero()
		for fracEnd > last && n.frac[fracEnd-1] == '0' {
			fracEnd--
		}
	}
	anchored := f.s || f.mi || f.pl || f.sg || f.pr
	signDone := anchored && !f.sBefore && !f.pr
	emitSign := func() {
		if signDone {
			return
		}
		signDone = true
		switch {
		case f.sBefore:
			if n.neg {
				out = append(out, '-')
			} else {
				out = append(out, '+')
			}
		case f.pr:
			if n.neg {
				out = append(out, '<')
			} else if !f.fm {
				out = append(out, ' ')
			}
		case n.neg:
			out = append(out, '-')
		case !f.fm:
			out = append(out, ' ')
		}
	}
	place, fracPlace, dec, started := 0, 0, false, false
	digitsLeft := places
	hasZeroFrom := f.zeroAt
	for _, t := range f.toks {
		switch t {
		case "9", "0":
			if dec {
				if fracPlace < fracEnd {
					out = append(out, n.frac[fracPlace])
				}
				fracPlace++
				break
			}
			digit := place >= pad
			zero := hasZeroFrom >= 0 && place >= hasZeroFrom
			lastBeforePoint := digitsLeft == 1 && n.whole == "" && !f.dec
			switch {
			case digit:
				emitSign()
				started = true
				out = append(out, n.whole[place-pad])
			case zero || lastBeforePoint:
				emitSign()
				started = true
				out = append(out, '0')
			case !f.fm:
				out = append(out, ' ')
			}
			place++
			digitsLeft--
		case ".", "D":
			emitSign()
			dec = true
			out = append(out, '.')
		case ",", "G":
			switch {
			case started:
				out = append(out, ',')
			case !f.fm:
				out = append(out, ' ')
			}
		case "V":
		case "S":
			if f.sBehind {
				if n.neg {
					out = append(out, '-')
				} else {
					out = append(out, '+')
				}
			}
		case "SG":
			if n.neg {
				out = append(out, '-')
			} else {
				out = append(out, '+')
			}
		case "MI":
			if n.neg {
				out = append(out, '-')
			} else if !f.fm {
				out = append(out, ' ')
			}
		case "PL":
			if !n.neg {
				out = append(out, '+')
			} else if !f.fm {
				out = append(out, ' ')
			}
		case "PR":
			if n.neg {
				out = append(out, '>')
			} else if !f.fm {
				out = append(out, ' ')
			}
		case "L":
			if !f.fm {
				out = append(out, ' ')
			}
		case "TH", "th":
			if !n.neg && f.after == 0 {
				last := int64(0)
				if w := n.whole; w != "" {
					last, _ = strconv.ParseInt(w[max(0, len(w)-2):], 10, 64)
				}
				out = append(out, ordinal(last, t)...)
			}
		default:
			out = append(out, t[1:]...)
		}
	}
	return string(out)
}

// lastZero is the number of places after the point up to the last 0 of the format.
func (f *numFormat) lastZero() int {
	dec, n, last := false, 0, 0
	for _, t := range f.toks {
		switch t {
		case ".", "D":
			dec = true
		case "9", "0":
			if dec {
				n++
				if t == "0" {
					last = n
				}
			}
		}
	}
	return last
}

func roman(n int64) string {
	if n < 1 || n > 3999 {
		return strings.Repeat("#", 15)
	}
	var b strings.Builder
	vals := []int64{1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1}
	syms := []string{"M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"}
	for i, v := range vals {
		for n >= v {
			b.WriteString(syms[i])
			n -= v
		}
	}
	return b.String()
}

// parseNumberFormat reads a number along a format: digits, sign and point are
// taken where they stand, all else is skipped.
func parseNumberFormat(s string, f *numFormat) ([]byte, error) {
	neg, dec := false, false
	var digits strings.Builder
	read := 0
	if strings.Contains(s, "<") || strings.Contains(s, "-") {
		neg = true
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			if dec && read >= f.after || !dec && digits.Len() >= f.before+f.v {
				continue
			}
			if dec {
				read++
			}
			digits.WriteByte(c)
		case c == '.' && f.dec && !dec:
			dec = true
			digits.WriteByte('.')
		}
	}
	text := digits.String()
	if text == "" || text == "." {
		return nil, sqlerr.New(sqlerr.InvalidText, "invalid input syntax for type numeric: \"%s\"", s)
	}
	if neg {
		text = "-" + text
	}
	d, err := types.ParseText(types.Of(types.Numeric), text)
	if err == nil && f.v > 0 {
		d.S, err = types.NumericDiv(nil, d.S, types.NumericOf(tenTo(f.v), 0))
	}
	return d.S, err
}

func init() {
	const txt, num = types.Text, types.Numeric
	reg := func(t types.ID, get func(c *Batch, i int) []byte) {
		textErr("to_char", txt, func(c *Batch, i int, dst []byte) ([]byte, error) {
			f, err := numberFormat(c, string(c.Bytes(1, i)))
			if err != nil {
				return nil, err
			}
			return appendNumberFormat(dst, get(c, i), f)
		}, t, txt)
	}
	reg(num, func(c *Batch, i int) []byte { return c.Bytes(0, i) })
	for _, t := range []types.ID{types.Int4, types.Int8} {
		reg(t, func(c *Batch, i int) []byte { return types.AppendNumericInt(nil, c.Int(0, i)) })
	}
	for _, t := range []types.ID{types.Float4, types.Float8} {
		bits := map[types.ID]int{types.Float4: 32, types.Float8: 64}[t]
		reg(t, func(c *Batch, i int) []byte {
			x := c.Float(0, i)
			if math.IsInf(x, 0) || math.IsNaN(x) {
				return []byte{types.NumericNaN}
			}
			return types.NumericFromFloat(nil, x, bits)
		})
	}
	register(&Func{Name: "to_number", Args: typs(txt, txt), Ret: types.Of(num), MayFail: true, Eval: datums(func(c *Batch, i int) (types.Datum, error) {
		f, err := numberFormat(c, string(c.Bytes(1, i)))
		if err != nil || len(c.Bytes(1, i)) == 0 {
			return types.NullDatum, err
		}
		b, err := parseNumberFormat(string(c.Bytes(0, i)), f)
		return types.Datum{S: b}, err
	})})
}
