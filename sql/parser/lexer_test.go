package parser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

func lexed(text string) string {
	toks, err := Lex(text)
	if err != nil {
		e := sqlerr.From(err)
		return fmt.Sprintf("%s %s @%d", e.Code, e.Message, e.Pos)
	}
	names := map[Kind]string{Ident: "w", QuotedIdent: "q", String: "s", Bits: "b", Int: "i", Num: "n", Param: "p", Op: "o", Symbol: "y"}
	var out []string
	for _, t := range toks[:len(toks)-1] {
		out = append(out, names[t.Kind]+":"+t.Val)
	}
	return strings.Join(out, " ")
}

func TestLex(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`SELECT Größe, "Foo""x", a$1 _x`, `w:select w:größe y:, q:Foo"x y:, w:a$1 w:_x`},
		{`'a''b' 'c\d' ''`, `s:a'b s:c\d s:`},
		{"'a' -- c\n 'b'", `s:ab`},
		{"'a' 'b'", `s:a s:b`},
		{`E'a\nb\'c\x41\101\u00e9\\'`, "s:a\nb'cAAé\\"},
		{`E'\ud83d\ude00'`, `s:😀`},
		{`E'\ud83d'`, `42601 invalid Unicode surrogate pair @9`},
		{`E'\u12'`, `22025 invalid Unicode escape @3`},
		{`E'\xff'`, `22021 invalid byte sequence for encoding "UTF8": 0xff @1`},
		{`E'a`, `42601 unterminated quoted string at or near "E'a" @1`},
		{`E'a\`, `42601 unterminated quoted string at or near "E'a\" @1`},
		{`$$it's$$ $t$a $$ b$t$ $1`, `s:it's s:a $$ b p:1`},
		{`$t$ x`, `42601 unterminated dollar-quoted string at or near "$t$ x" @1`},
		{`U&'\0061b\+000063' U&"!0041" UESCAPE '!'`, `s:abc q:A`},
		{`U&'\00'`, `42601 invalid Unicode escape @4`},
		{`B'101' x'1F'`, `b:b101 b:x1F`},
		{`B'12'`, `22P02 "2" is not a valid binary digit @1`},
		{`1 1.5 .5 1. 1e5 1.5E-3 1..2`, `i:1 n:1.5 n:.5 n:1. n:1e5 n:1.5E-3 i:1 y:.. i:2`},
		{`1a`, `42601 trailing junk after numeric literal at or near "1a" @1`},
		{`1e`, `42601 trailing junk after numeric literal at or near "1e" @1`},
		{`$1a`, `42601 trailing junk after parameter at or near "$1a" @1`},
		{`a||b+-c*-1 @-1 a=-1 !=`, `w:a o:|| w:b o:+ o:- w:c o:* o:- i:1 o:@- i:1 w:a o:= o:- i:1 o:<>`},
		{`a::b x:=1 f(y=>2)`, `w:a y::: w:b w:x y::= i:1 w:f y:( w:y y:=> i:2 y:)`},
		{`1/* a /* b */ c */+--x`, `i:1 o:+`},
		{`1/*`, `42601 unterminated /* comment at or near "/*" @2`},
		{`"a`, `42601 unterminated quoted identifier at or near ""a" @1`},
		{`""`, `42601 zero-length delimited identifier at or near """" @1`},
		{`a \ b`, `42601 syntax error at or near "\" @3`},
		{"a\x00", `22021 invalid byte sequence for encoding "UTF8": 0x00 @2`},
		{"a\xc3(", `22021 invalid byte sequence for encoding "UTF8": 0xc3 0x28 @2`},
	} {
		if got := lexed(c.text); got != c.want {
			t.Errorf("%q\n got %s\nwant %s", c.text, got, c.want)
		}
	}
	long := strings.Repeat("ä", 40)
	if toks, err := Lex(long); err != nil || toks[0].Val != strings.Repeat("ä", 31) {
		t.Errorf("a long name became %v, %v", toks, err)
	}
}

func TestSplit(t *testing.T) {
	text := " select 1 ; select ';'; ; select $$;$$ "
	toks, err := Lex(text)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range Split(text, toks) {
		got = append(got, text[r[0]:r[1]])
	}
	if want := "select 1|select ';'|select $$;$$"; strings.Join(got, "|") != want {
		t.Errorf("got %q", got)
	}
}
