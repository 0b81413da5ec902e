package engine

import (
	"slices"
	"testing"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		name, value, want, code string
	}{
		{"timezone", "utc", "UTC", ""},
		{"TimeZone", "Europe/Berlin", "Europe/Berlin", ""},
		{"timezone", "Mars/Base", "", "22023"},
		{"client_encoding", "utf-8", "UTF8", ""},
		{"client_encoding", "LATIN1", "", "22023"},
		{"datestyle", "ISO", "ISO, MDY", ""},
		{"datestyle", "German", "", "22023"},
		{"statement_timeout", "5s", "5000", ""},
		{"statement_timeout", "10", "10", ""},
		{"statement_timeout", "x", "", "22023"},
		{"statement_timeout", "99999999999s", "", "22023"},
		{"extra_float_digits", "3", "3", ""},
		{"my.own", "anything", "anything", ""},
		{"streamsql.nothing", "1", "", "42704"},
		{"nothing", "1", "", "42704"},
		{"server_version", "9", "", "55P02"},
		{"search_path", `a, "B c"`, `a, "B c"`, ""},
		{"search_path", `"open`, "", "22023"},
	} {
		var s settings
		got, err := s.set(c.name, c.value)
		if c.code != "" {
			if sqlerr.From(err) == nil || sqlerr.From(err).Code != c.code {
				t.Errorf("%s = %s: %v, want %s", c.name, c.value, err, c.code)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s = %s: %q, %v, want %q", c.name, c.value, got, err, c.want)
		}
		if v, ok := s.get(c.name); !ok || v != c.want {
			t.Errorf("%s is %q after SET", c.name, v)
		}
	}
}

// TestSettingsAreNotChanged: a map that a running query reads stays as it is.
func TestSettingsAreNotChanged(t *testing.T) {
	s := settings{now: map[string]string{"application_name": "a"}, reset: map[string]string{"application_name": "a"}}
	seen := s
	if _, err := s.set("application_name", "b"); err != nil {
		t.Fatal(err)
	}
	if v, _ := seen.get("application_name"); v != "a" {
		t.Errorf("the old map says %q", v)
	}
	if err := s.unset("application_name"); err != nil {
		t.Fatal(err)
	}
	if v, _ := s.get("application_name"); v != "a" {
		t.Errorf("after RESET it is %q", v)
	}
}

func TestSplitPath(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
		ok   bool
	}{
		{`"$user", public`, []string{"$user", "public"}, true},
		{`A,b , "C""d"`, []string{"a", "b", `C"d`}, true},
		{``, nil, true},
		{`"a" b`, nil, false},
		{`"a`, nil, false},
	} {
		got, ok := splitPath(c.in)
		if ok != c.ok || ok && !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v", c.in, got, ok)
		}
	}
	if got, ok := splitName(`public."a.b"`); !ok || !slices.Equal(got, []string{"public", "a.b"}) {
		t.Errorf("splitName: %q, %v", got, ok)
	}
}

func TestMaskSecrets(t *testing.T) {
	for in, want := range map[string]string{
		`CREATE SOURCE s (a INT) WITH (connector = 'kafka', properties.sasl.password = 'it''s me', "ssl.Key.Password"='x')`: `CREATE SOURCE s (a INT) WITH (connector = 'kafka', properties.sasl.password = '********', "ssl.Key.Password"='********')`,
		`SELECT 'password' = 'x'`: `SELECT 'password' = '********'`,
		`SELECT 1`:                `SELECT 1`,
	} {
		if got := maskSecrets(in); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
