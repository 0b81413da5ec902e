package ast

import (
	"reflect"
	"strconv"
	"strings"
)

// Dump prints a tree for golden tests and debugging: the type of each node with
// its offset, then its fields; what is zero is left out. What fits a line
// stands on one.
func Dump(n any) string {
	var b strings.Builder
	dumpOf(reflect.ValueOf(n)).write(&b, 0)
	return b.String()
}

// item is a printed value: a head, and the items inside its brackets.
type item struct {
	head, tail string
	kids       []item
}

const lineWidth = 100

// flat returns the one-line form, or false when it is longer than room.
func (it item) flat(b *strings.Builder, room int) bool {
	b.WriteString(it.head)
	for i, k := range it.kids {
		if i > 0 || !strings.HasSuffix(it.head, "[") && !strings.HasSuffix(it.head, "{") {
			b.WriteByte(' ')
		}
		if !k.flat(b, room) {
			return false
		}
	}
	b.WriteString(it.tail)
	return b.Len() <= room
}

func (it item) write(b *strings.Builder, indent int) {
	var line strings.Builder
	if it.flat(&line, lineWidth-indent) || len(it.kids) == 0 {
		b.WriteString(line.String())
		return
	}
	b.WriteString(it.head)
	for _, k := range it.kids {
		b.WriteString("\n" + strings.Repeat(" ", indent+2))
		k.write(b, indent+2)
	}
	b.WriteString(it.tail)
}

var posType = reflect.TypeFor[Pos]()

func dumpOf(v reflect.Value) item {
	switch v.Kind() {
	case reflect.Invalid:
		return item{head: "nil"}
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return item{head: "nil"}
		}
		return dumpOf(v.Elem())
	case reflect.String:
		return item{head: strconv.Quote(v.String())}
	case reflect.Slice:
		it := item{head: "[", tail: "]"}
		for i := range v.Len() {
			it.kids = append(it.kids, dumpOf(v.Index(i)))
		}
		return it
	case reflect.Struct:
		return dumpStruct(v)
	case reflect.Bool:
		return item{head: strconv.FormatBool(v.Bool())}
	}
	return item{head: strconv.FormatInt(v.Int(), 10)}
}

func dumpStruct(v reflect.Value) item {
	it := item{head: "(" + v.Type().Name(), tail: ")"}
	if p := v.FieldByName("Pos"); p.IsValid() && p.Type() == posType {
		it.head += "@" + strconv.FormatInt(p.Int(), 10)
	}
	fields(v, &it)
	return it
}

func fields(v reflect.Value, it *item) {
	for i := range v.NumField() {
		f, t := v.Field(i), v.Type().Field(i)
		switch {
		case t.Type == posType || f.IsZero():
		case t.Anonymous:
			fields(f, it)
		case f.Kind() == reflect.Bool:
			it.kids = append(it.kids, item{head: t.Name})
		default:
			k := dumpOf(f)
			k.head = t.Name + "=" + k.head
			it.kids = append(it.kids, k)
		}
	}
}
