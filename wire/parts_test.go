package wire

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// TestTypeAttributes holds sizes and modifiers to what PostgreSQL 15 sends.
func TestTypeAttributes(t *testing.T) {
	for _, c := range []struct {
		t    types.Type
		size int16
		mod  int32
	}{
		{tInt8, 8, -1}, {tBool, 1, -1}, {tText, -1, -1}, {tUUID, 16, -1}, {tInterval, 16, -1}, {types.Of(types.Name), 64, -1},
		{types.Type{ID: types.Numeric, Mod: 10<<16 | 3}, -1, 655366}, // numeric(10,2)
		{types.Type{ID: types.Varchar, Mod: 20}, -1, 24}, {types.Type{ID: types.Timestamp, Mod: 4}, 8, 3},
		{types.Type{ID: types.Array, Elem: types.Varchar, Mod: 20}, -1, 24}, {types.ArrayOf(types.Int4), -1, -1},
	} {
		f := rowDescription([]Column{{Type: c.t}}, nil).Fields[0]
		if f.DataTypeSize != c.size || f.TypeModifier != c.mod {
			t.Errorf("%s has size %d and modifier %d, want %d and %d", c.t, f.DataTypeSize, f.TypeModifier, c.size, c.mod)
		}
	}
}

func TestStatements(t *testing.T) {
	s := newStatements()
	p := &fakePrepared{}
	if err := s.Put("b", "two", p); err != nil {
		t.Fatal(err)
	}
	s.Put("a", "one", p)
	s.put("", &prepared{Prepared: p})
	s.put("empty", &prepared{})
	if err := sqlerr.From(s.Put("a", "again", p)); err == nil || err.Code != "42P05" {
		t.Errorf("a name taken: %v", err)
	}
	if _, ok := s.Get("empty"); ok {
		t.Error("an empty statement was given out")
	}
	if got, ok := s.Get("a"); !ok || got != Prepared(p) {
		t.Error("a statement is lost")
	}
	var all []string
	s.Each(func(name, text string, _ Prepared) { all = append(all, name+"="+text) })
	if fmt.Sprint(all) != "[a=one b=two]" {
		t.Errorf("Each gave %v", all)
	}
	if !s.Delete("a") || s.Delete("a") {
		t.Error("Delete does not tell what was there")
	}
	s.Clear()
	if _, ok := s.Get("b"); ok {
		t.Error("Clear left a statement")
	}
}

// codecBackend's sessions write and read text in a way of their own.
type codecBackend struct{ fake }

type codecSession struct{ *fakeSession }

func (b *codecBackend) NewSession(info SessionInfo) (Session, error) {
	s, err := b.fake.NewSession(info)
	return codecSession{s.(*fakeSession)}, err
}

func (codecSession) FormatText(dst []byte, t types.Type, d types.Datum) []byte {
	return bytes.ToUpper(types.FormatText(dst, t, d))
}

func (codecSession) ParseText(t types.Type, s string) (types.Datum, error) {
	return types.ParseText(t, s+"!")
}

func TestTextCodec(t *testing.T) {
	_, s, addr := serve(t, Config{})
	s.backend = &codecBackend{}
	conn := pgxConnect(t, addr, "")
	res := conn.PgConn().ExecParams(t.Context(), "echo text", [][]byte{[]byte("a")}, nil, nil, nil).Read()
	if res.Err != nil || string(res.Rows[0][0]) != "A!" {
		t.Errorf("got %s, %v", res.Rows, res.Err)
	}
}

func TestIsCopy(t *testing.T) {
	for sql, want := range map[string]bool{
		"copy t to stdout": true, "COPY\"t\" from stdin": true, "-- x\ncopy t": true, "/**/copy(select 1)": true, "; copy t": true,
		"copyright": false, "copy": false, "": false, "/* copy t */": false, "/* /* */ copy t": false, "-- copy t": false, "select 'copy t'": false,
	} {
		if isCopy(sql) != want {
			t.Errorf("isCopy(%q) is %v", sql, !want)
		}
	}
}
