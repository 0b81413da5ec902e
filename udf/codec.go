package udf

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"reflect"
	"slices"
)

// A state's durable form is its own (encoding.BinaryMarshaler) or that of its
// exported fields, by type: no names, the numbers fixed or varint, everything
// else behind its length. Neither gob nor JSON would do: gob forgets a pointer
// to zero, JSON knows no NaN. The form of a Go type is told by a fingerprint,
// so that a state is never read as another type than it was written as.

type (
	encodeFunc func(b []byte, v reflect.Value) ([]byte, error)
	decodeFunc func(b []byte, v reflect.Value) ([]byte, error) // v is settable and zero; returns what is left
)

// codec carries values of one Go type.
type codec struct {
	encode encodeFunc
	decode decodeFunc
}

var (
	marshaler   = reflect.TypeFor[encoding.BinaryMarshaler]()
	unmarshaler = reflect.TypeFor[encoding.BinaryUnmarshaler]()
	errShort    = errors.New("the stored state is cut short")
)

// stateCodec is the codec of a state, with its fingerprint.
type stateCodec struct {
	codec
	form uint32
}

func newStateCodec(t reflect.Type) (*stateCodec, error) {
	m := codecMaker{done: map[reflect.Type]*codec{}, form: fnv.New32a()}
	c, err := m.of(t, t.String())
	if err != nil {
		return nil, err
	}
	return &stateCodec{codec: *c, form: m.form.Sum32()}, nil
}

func (c *stateCodec) marshal(v reflect.Value) ([]byte, error) {
	return c.encode(binary.LittleEndian.AppendUint32(nil, c.form), v)
}

func (c *stateCodec) unmarshal(b []byte, v reflect.Value) error {
	if len(b) < 4 {
		return errShort
	}
	if binary.LittleEndian.Uint32(b) != c.form {
		return fmt.Errorf("the fields of %s are not those that the state was stored with", v.Type())
	}
	b, err := c.decode(b[4:], v)
	if err == nil && len(b) > 0 {
		err = errors.New("the stored state is too long")
	}
	return err
}

// codecMaker makes codecs and hashes the form of the types on its way. Types may
// be recursive; values must be finite.
type codecMaker struct {
	done map[reflect.Type]*codec
	form interface {
		Write([]byte) (int, error)
		Sum32() uint32
	}
}

// of returns the codec of t; path names the place for errors.
func (m codecMaker) of(t reflect.Type, path string) (*codec, error) {
	fmt.Fprintf(m.form, "%s;", t.Kind())
	if c := m.done[t]; c != nil {
		return c, nil
	}
	c := &codec{}
	m.done[t] = c
	err := m.fill(c, t, path)
	return c, err
}

func (m codecMaker) fill(c *codec, t reflect.Type, path string) error {
	if ok, err := ownForm(c, t, path); ok || err != nil {
		return err
	}
	switch t.Kind() {
	case reflect.Bool:
		c.encode = func(b []byte, v reflect.Value) ([]byte, error) {
			if v.Bool() {
				return append(b, 1), nil
			}
			return append(b, 0), nil
		}
		c.decode = func(b []byte, v reflect.Value) ([]byte, error) {
			if len(b) == 0 {
				return nil, errShort
			}
			v.SetBool(b[0] != 0)
			return b[1:], nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		c.encode = func(b []byte, v reflect.Value) ([]byte, error) { return binary.AppendVarint(b, v.Int()), nil }
		c.decode = func(b []byte, v reflect.Value) ([]byte, error) {
			n, k := binary.Varint(b)
			if k <= 0 || v.OverflowInt(n) {
				return nil, errShort
			}
			v.SetInt(n)
			return b[k:], nil
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		c.encode = func(b []byte, v reflect.Value) ([]byte, error) { return binary.AppendUvarint(b, v.Uint()), nil }
		c.decode = func(b []byte, v reflect.Value) ([]byte, error) {
			n, k := binary.Uvarint(b)
			if k <= 0 || v.OverflowUint(n) {
				return nil, errShort
			}
			v.SetUint(n)
			return b[k:], nil
		}
	case reflect.Float32, reflect.Float64:
		c.encode = func(b []byte, v reflect.Value) ([]byte, error) {
			return binary.LittleEndian.AppendUint64(b, math.Float64bits(v.Float())), nil
		}
		c.decode = func(b []byte, v reflect.Value) ([]byte, error) {
			if len(b) < 8 {
				return nil, errShort
			}
			v.SetFloat(math.Float64frombits(binary.LittleEndian.Uint64(b)))
			return b[8:], nil
		}
	case reflect.String:
		c.encode = func(b []byte, v reflect.Value) ([]byte, error) {
			return append(binary.AppendUvarint(b, uint64(v.Len())), v.String()...), nil
		}
		c.decode = func(b []byte, v reflect.Value) ([]byte, error) {
			s, b, err := counted(b)
			if err == nil {
				v.SetString(string(s))
			}
			return b, err
		}
	case reflect.Pointer:
		return m.pointer(c, t, path)
	case reflect.Slice:
		return m.slice(c, t, path)
	case reflect.Array:
		return m.array(c, t, path)
	case reflect.Map:
		return m.mapping(c, t, path)
	case reflect.Struct:
		return m.fields(c, t, path)
	default:
		return fmt.Errorf("%s: a %s cannot be stored", path, t)
	}
	return nil
}

// ownForm uses the type's own MarshalBinary, when it has both directions.
func ownForm(c *codec, t reflect.Type, path string) (bool, error) {
	ptr := t.Kind() == reflect.Pointer
	at := t
	if !ptr {
		at = reflect.PointerTo(t)
	}
	if !at.Implements(marshaler) {
		return false, nil
	}
	if !at.Implements(unmarshaler) {
		return false, fmt.Errorf("%s: %s has MarshalBinary and no UnmarshalBinary", path, t)
	}
	c.encode = func(b []byte, v reflect.Value) ([]byte, error) {
		if !ptr {
			p := reflect.New(t)
			p.Elem().Set(v)
			v = p
		} else if v.IsNil() {
			return append(b, 0), nil
		}
		own, err := v.Interface().(encoding.BinaryMarshaler).MarshalBinary()
		return append(binary.AppendUvarint(b, uint64(len(own))+1), own...), err
	}
	c.decode = func(b []byte, v reflect.Value) ([]byte, error) {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(len(b)-k)+1 {
			return nil, errShort
		}
		b = b[k:]
		if n == 0 {
			return b, nil
		}
		p := reflect.New(at.Elem())
		if err := p.Interface().(encoding.BinaryUnmarshaler).UnmarshalBinary(b[: n-1 : n-1]); err != nil {
			return nil, err
		}
		if ptr {
			v.Set(p)
		} else {
			v.Set(p.Elem())
		}
		return b[n-1:], nil
	}
	return true, nil
}

func counted(b []byte) (s, rest []byte, err error) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return nil, nil, errShort
	}
	return b[k : k+int(n)], b[k+int(n):], nil
}

func (m codecMaker) pointer(c *codec, t reflect.Type, path string) error {
	elem, err := m.of(t.Elem(), path)
	if err != nil {
		return err
	}
	c.encode = func(b []byte, v reflect.Value) ([]byte, error) {
		if v.IsNil() {
			return append(b, 0), nil
		}
		return elem.encode(append(b, 1), v.Elem())
	}
	c.decode = func(b []byte, v reflect.Value) ([]byte, error) {
		if len(b) == 0 {
			return nil, errShort
		}
		if b[0] == 0 {
			return b[1:], nil
		}
		v.Set(reflect.New(t.Elem()))
		return elem.decode(b[1:], v.Elem())
	}
	return nil
}

// slice writes the length plus one: 0 is nil.
func (m codecMaker) slice(c *codec, t reflect.Type, path string) error {
	elem, err := m.of(t.Elem(), path+"[]")
	if err != nil {
		return err
	}
	c.encode = func(b []byte, v reflect.Value) (_ []byte, err error) {
		if v.IsNil() {
			return append(b, 0), nil
		}
		b = binary.AppendUvarint(b, uint64(v.Len())+1)
		for i := 0; i < v.Len() && err == nil; i++ {
			b, err = elem.encode(b, v.Index(i))
		}
		return b, err
	}
	c.decode = func(b []byte, v reflect.Value) (_ []byte, err error) {
		n, k := binary.Uvarint(b)
		if k <= 0 {
			return nil, errShort
		}
		b = b[k:]
		if n == 0 {
			return b, nil
		}
		// An element takes a byte, but for empty structs; no more memory than that
		// is believed in before it is there.
		v.Set(reflect.MakeSlice(t, 0, int(min(n-1, uint64(len(b))))))
		for range n - 1 {
			v.Grow(1)
			v.SetLen(v.Len() + 1)
			if b, err = elem.decode(b, v.Index(v.Len()-1)); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	return nil
}

func (m codecMaker) array(c *codec, t reflect.Type, path string) error {
	fmt.Fprintf(m.form, "%d;", t.Len())
	elem, err := m.of(t.Elem(), path+"[]")
	if err != nil {
		return err
	}
	c.encode = func(b []byte, v reflect.Value) (_ []byte, err error) {
		for i := 0; i < t.Len() && err == nil; i++ {
			b, err = elem.encode(b, v.Index(i))
		}
		return b, err
	}
	c.decode = func(b []byte, v reflect.Value) (_ []byte, err error) {
		for i := 0; i < t.Len() && err == nil; i++ {
			b, err = elem.decode(b, v.Index(i))
		}
		return b, err
	}
	return nil
}

// mapping writes the entries in the order of their encoded keys, so that equal
// maps have equal forms.
func (m codecMaker) mapping(c *codec, t reflect.Type, path string) error {
	key, err := m.of(t.Key(), path+"'s key")
	if err != nil {
		return err
	}
	elem, err := m.of(t.Elem(), path+"[]")
	if err != nil {
		return err
	}
	c.encode = func(b []byte, v reflect.Value) ([]byte, error) {
		if v.IsNil() {
			return append(b, 0), nil
		}
		entries := make([]string, 0, v.Len())
		for it := v.MapRange(); it.Next(); {
			e, err := key.encode(nil, it.Key())
			if err != nil {
				return nil, err
			}
			if e, err = elem.encode(e, it.Value()); err != nil {
				return nil, err
			}
			entries = append(entries, string(e))
		}
		slices.Sort(entries)
		b = binary.AppendUvarint(b, uint64(len(entries))+1)
		for _, e := range entries {
			b = append(b, e...)
		}
		return b, nil
	}
	c.decode = func(b []byte, v reflect.Value) (_ []byte, err error) {
		n, k := binary.Uvarint(b)
		if k <= 0 {
			return nil, errShort
		}
		b = b[k:]
		if n == 0 {
			return b, nil
		}
		v.Set(reflect.MakeMap(t))
		for range n - 1 {
			kv, ev := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
			if b, err = key.decode(b, kv); err != nil {
				return nil, err
			}
			if b, err = elem.decode(b, ev); err != nil {
				return nil, err
			}
			v.SetMapIndex(kv, ev)
		}
		return b, nil
	}
	return nil
}

func (m codecMaker) fields(c *codec, t reflect.Type, path string) error {
	fields := make([]*codec, t.NumField())
	for i := range fields {
		f := t.Field(i)
		if !f.IsExported() {
			return fmt.Errorf("%s.%s is not exported and would not be stored", path, f.Name)
		}
		fmt.Fprintf(m.form, "%s:", f.Name)
		var err error
		if fields[i], err = m.of(f.Type, path+"."+f.Name); err != nil {
			return err
		}
	}
	fmt.Fprint(m.form, "};")
	c.encode = func(b []byte, v reflect.Value) (_ []byte, err error) {
		for i := 0; i < len(fields) && err == nil; i++ {
			b, err = fields[i].encode(b, v.Field(i))
		}
		return b, err
	}
	c.decode = func(b []byte, v reflect.Value) (_ []byte, err error) {
		for i := 0; i < len(fields) && err == nil; i++ {
			b, err = fields[i].decode(b, v.Field(i))
		}
		return b, err
	}
	return nil
}
