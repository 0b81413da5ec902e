package datagen

import (
	"hash/fnv"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// random is the splitmix64 generator.
type random uint64

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

func (r *random) next() uint64 {
	*r += 0x9E3779B97F4A7C15
	return mix(uint64(*r))
}

// unit is uniform in [0, 1).
func (r *random) unit() float64 { return float64(r.next()>>11) / (1 << 53) }

// span draws from least to least+width, both included; width may be 2^64-1.
func (r *random) span(least int64, width uint64) int64 {
	if width == math.MaxUint64 {
		return int64(r.next())
	}
	hi, _ := bits.Mul64(r.next(), width+1)
	return least + int64(hi)
}

// field fills a column.
type field struct {
	name     string
	typ      types.Type
	meta     string
	seed     uint64
	nullRate float64

	sequence bool
	start    int64
	step     int64
	rows     int64 // of the sequence
	ends     bool  // because the options say so, not its type

	least  int64 // integers, dates, times, coefficients of numerics
	width  uint64
	fleast float64
	fwidth float64
	unit   int64 // of least and width, for times of a low precision
	scale  int
	length int
	buf    []byte
}

func invalid(format string, args ...any) *sqlerr.Error {
	return sqlerr.New(sqlerr.InvalidParameter, format, args...)
}

// opts are a column's options; take removes one, so that the rest are unknown.
type opts map[string]string

func (o opts) take(k string) (string, bool) {
	v, ok := o[k]
	delete(o, k)
	return v, ok
}

func newField(c connector.Column, seed int64, o opts) (*field, error) {
	f := &field{name: c.Name, typ: c.Type, meta: c.Meta, unit: unitOf(c.Type)}
	if f.meta != "" {
		if len(o) > 0 {
			return nil, invalid(`column "%s" is metadata and has no options`, c.Name)
		}
		if f.meta != "offset" && f.meta != "partition" || c.Type.ID != types.Int8 && (c.Type.ID != types.Int4 || f.meta == "offset") {
			return nil, invalid(`column "%s": datagen has only the metadata offset (bigint) and partition (integer)`, c.Name)
		}
		return f, nil
	}
	fail := func(k string, err error) error {
		return invalid("option fields.%s.%s: %v", c.Name, k, err)
	}
	if v, ok := o.take("seed"); ok {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return nil, fail("seed", invalid(`"%s" is no number`, v))
		}
		seed = n
	}
	h := fnv.New64a()
	h.Write([]byte(c.Name))
	f.seed = mix(h.Sum64() ^ mix(uint64(seed)))
	if v, ok := o.take("null-rate"); ok {
		r, err := strconv.ParseFloat(v, 64)
		if err != nil || !(r >= 0 && r <= 1) {
			return nil, fail("null-rate", invalid(`"%s" is no number from 0 to 1`, v))
		}
		f.nullRate = r
	}
	kind, _ := o.take("kind")
	var k string
	var err error
	switch kind {
	case "sequence":
		f.sequence = true
		k, err = f.setSequence(o)
	case "", "random":
		k, err = f.setRandom(o)
	default:
		return nil, fail("kind", invalid(`"%s" is neither 'random' nor 'sequence'`, kind))
	}
	if err != nil {
		return nil, fail(k, err)
	}
	for k := range o {
		return nil, fail(k, invalid("a column of type %s and this kind has no such option", c.Type))
	}
	return f, nil
}

// Ranges that random values have unless options say otherwise.
var defaults = map[types.ID][2]string{
	types.Int2:        {"-32768", "32767"},
	types.Int4:        {"-2147483648", "2147483647"},
	types.Int8:        {"-9223372036854775808", "9223372036854775807"},
	types.Float4:      {"0", "1"},
	types.Float8:      {"0", "1"},
	types.Numeric:     {"0", "1000"},
	types.Date:        {"2000-01-01", "2029-12-31"},
	types.Time:        {"00:00:00", "23:59:59.999999"},
	types.Timestamp:   {"2000-01-01", "2029-12-31 23:59:59.999999"},
	types.Timestamptz: {"2000-01-01", "2029-12-31 23:59:59.999999"},
}

func (f *field) setRandom(o opts) (string, error) {
	switch f.typ.ID {
	case types.Bool, types.UUID:
		return "", nil
	case types.Text, types.Varchar, types.Bpchar, types.Bytea:
		f.length = 10
		if f.typ.Mod > 0 {
			f.length = min(f.length, int(f.typ.Mod))
		}
		if v, ok := o.take("length"); ok {
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 || n > 1<<20 || f.typ.Mod > 0 && n > int(f.typ.Mod) {
				return "length", invalid(`"%s" is no length of a value of type %s, or above 1048576`, v, f.typ)
			}
			f.length = n
		}
		return "", nil
	}
	d, ok := defaults[f.typ.ID]
	if !ok {
		return "kind", invalid("datagen cannot make values of type %s", f.typ)
	}
	if f.typ.ID == types.Numeric {
		f.scale = 2
		if p := int(f.typ.Mod >> 16); f.typ.Mod != 0 {
			if f.scale = int(f.typ.Mod&0xFFFF) - 1; f.scale > 18 {
				return "kind", invalid("datagen makes numerics of 18 digits at most")
			}
			// The largest of the type, when it is below the default.
			if p-f.scale <= 3 {
				d[1] = strings.Repeat("9", p) + "e-" + strconv.Itoa(f.scale)
			}
		}
	}
	for k, def := range map[string]string{"min": d[0], "max": d[1]} {
		if _, ok := o[k]; !ok {
			o[k] = def
		}
	}
	from, _ := o.take("min")
	to, _ := o.take("max")
	if f.typ.Phys() == types.PhysFloat {
		a, err := types.ParseText(f.typ, from)
		if err != nil {
			return "min", err
		}
		b, err := types.ParseText(f.typ, to)
		f.fleast, f.fwidth = a.F, b.F-a.F
		if err == nil && !(f.fwidth >= 0) || math.IsInf(f.fwidth, 0) {
			err = invalid("the range from %s to %s is none", from, to)
		}
		return "max", err
	}
	a, err := f.number(from)
	if err != nil {
		return "min", err
	}
	b, err := f.number(to)
	if err == nil && b < a {
		err = invalid("%s is below min, %s", to, from)
	}
	f.least, f.width = a/f.unit, uint64(b/f.unit)-uint64(a/f.unit)
	return "max", err
}

// number reads a bound as the integer that stands for it.
func (f *field) number(s string) (int64, error) {
	t := f.typ
	if t.Phys() == types.PhysBytes && t.ID != types.Numeric {
		t = types.Of(types.Int8)
	}
	d, err := types.ParseText(t, s)
	if err != nil {
		return 0, err
	}
	if t.ID != types.Numeric {
		if t.ID != types.Int8 && (d.I == types.PosInfinity || d.I == types.NegInfinity) {
			return 0, invalid("%s is no bound", s)
		}
		return d.I, nil
	}
	scaled := types.NumericMul(nil, d.S, types.NumericRound(nil, pow10(f.scale), 0, false))
	n, ok := types.NumericInt(scaled)
	if !ok || n >= 1e18 || n <= -1e18 {
		return 0, invalid("%s has more than 18 digits", s)
	}
	return n, nil
}

func pow10(n int) []byte {
	d, err := types.ParseText(types.Of(types.Numeric), "1e"+strconv.Itoa(n))
	if err != nil {
		panic(err)
	}
	return d.S
}

func (f *field) setSequence(o opts) (string, error) {
	first := "0"
	f.step = 1
	switch f.typ.ID {
	case types.Int2, types.Int4, types.Int8, types.Text, types.Varchar:
	case types.Date:
		first = "2000-01-01"
	case types.Timestamp, types.Timestamptz:
		first, f.step = "2000-01-01", 1_000_000
	default:
		return "kind", invalid("there is no sequence of type %s", f.typ)
	}
	if v, ok := o.take("start"); ok {
		first = v
	}
	var err error
	if f.start, err = f.number(first); err != nil {
		return "start", err
	}
	if v, ok := o.take("step"); ok {
		if f.step, err = stepOf(f.typ, v); err != nil {
			return "step", err
		}
	}
	// The type's own end.
	last := int64(math.MaxInt64 / 2)
	switch f.typ.ID {
	case types.Int2:
		last = math.MaxInt16
	case types.Int4, types.Date:
		last = math.MaxInt32
	}
	if m := f.typ.Mod; f.typ.ID == types.Varchar && m > 0 && m < 18 {
		last = int64(math.Pow10(int(m))) - 1
	}
	if v, ok := o.take("end"); ok {
		end, err := f.number(v)
		if err != nil {
			return "end", err
		}
		if end < f.start || end > last {
			return "end", invalid("%s is below the start, or above what type %s can hold", v, f.typ)
		}
		last, f.ends = end, true
	}
	if last < f.start {
		return "start", invalid("%s leaves no room", first)
	}
	f.rows = math.MaxInt64
	if n := (uint64(last) - uint64(f.start)) / uint64(f.step); n < math.MaxInt64 {
		f.rows = int64(n) + 1
	}
	return "", nil
}

func stepOf(t types.Type, v string) (int64, error) {
	if t.ID == types.Timestamp || t.ID == types.Timestamptz {
		d, err := types.ParseText(types.Of(types.Interval), v)
		if err != nil {
			return 0, err
		}
		us, days, months := types.IntervalParts(d.S)
		if us += int64(days) * 86_400_000_000; us < 1 || months != 0 {
			return 0, invalid(`"%s" is no step forward of a fixed length`, v)
		}
		return us, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 1 {
		return 0, invalid(`"%s" is no number from 1`, v)
	}
	return n, nil
}

// append appends the value of row n.
func (f *field) append(v *delta.Vec, n int64) {
	switch f.meta {
	case "offset":
		v.AppendInt(n)
		return
	case "partition":
		v.AppendInt(0)
		return
	}
	r := random(f.seed ^ mix(uint64(n)+1))
	if f.nullRate > 0 && r.unit() < f.nullRate {
		v.AppendNull()
		return
	}
	f.buf = f.buf[:0]
	switch f.typ.ID {
	case types.Bool:
		v.AppendInt(int64(r.next() >> 63))
	case types.Float4:
		v.AppendFloat(float64(float32(f.fleast + float64(f.fwidth*r.unit()))))
	case types.Float8:
		v.AppendFloat(f.fleast + float64(f.fwidth*r.unit()))
	case types.Numeric:
		f.buf = types.AppendNumericInt(f.buf, r.span(f.least, f.width))
		f.buf[0] = byte(f.scale)
		v.AppendBytes(f.buf)
	case types.UUID:
		f.buf = append(f.buf, make([]byte, 16)...)
		for i, w := 0, uint64(0); i < 16; i, w = i+1, w>>8 {
			if i%8 == 0 {
				w = r.next()
			}
			f.buf[i] = byte(w)
		}
		f.buf[6], f.buf[8] = f.buf[6]&0x0F|0x40, f.buf[8]&0x3F|0x80
		v.AppendBytes(f.buf)
	case types.Text, types.Varchar, types.Bpchar, types.Bytea:
		if f.sequence {
			f.buf = strconv.AppendInt(f.buf, f.start+n*f.step, 10)
			v.AppendBytes(f.buf)
			return
		}
		f.bytes(&r)
		v.AppendBytes(f.buf)
	default:
		if f.sequence {
			v.AppendInt((f.start + n*f.step) / f.unit * f.unit)
			return
		}
		v.AppendInt(r.span(f.least, f.width) * f.unit)
	}
}

// bytes makes text of the digits and small letters, or any bytes.
func (f *field) bytes(r *random) {
	const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
	var w uint64
	for i := range f.length {
		if i%8 == 0 {
			w = r.next()
		}
		b := byte(w)
		if w >>= 8; f.typ.ID != types.Bytea {
			b = alphabet[int(b)*len(alphabet)>>8]
		}
		f.buf = append(f.buf, b)
	}
	for f.typ.ID == types.Bpchar && len(f.buf) < int(f.typ.Mod) {
		f.buf = append(f.buf, ' ')
	}
}

// unitOf is the least step, in µs, of a time type with this precision.
func unitOf(t types.Type) int64 {
	if m := t.Mod; t.Phys() == types.PhysInt && m > 0 && m < 7 {
		return int64(math.Pow10(7 - int(m)))
	}
	return 1
}
