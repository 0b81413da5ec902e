package engine

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// ServerVersion is the PostgreSQL version that sessions speak as.
const ServerVersion = "15.0"

// settingDef is a parameter that sessions have.
type settingDef struct {
	name  string // as SHOW ALL and ParameterStatus spell it
	value string // the default
	about string
	unit  string
	fixed bool // 55P02: cannot be changed
	// check returns the value in its canonical form.
	check func(v string) (string, bool)
}

var settingDefs = []*settingDef{
	{name: "application_name", about: "Sets the application name to be reported in statistics and logs."},
	{name: "bytea_output", value: "hex", about: "Sets the output format for bytea.", check: oneOf("hex")},
	{name: "check_function_bodies", value: "on", about: "Accepted; has no effect.", check: isBool},
	{name: "client_encoding", value: "UTF8", about: "Sets the client's character set encoding.", check: isUTF8},
	{name: "client_min_messages", value: "notice", about: "Sets the message levels that are sent to the client.",
		check: oneOf("debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error")},
	{name: "DateStyle", value: "ISO, MDY", about: "Sets the display format for date and time values.", check: isDateStyle},
	{name: "default_transaction_deferrable", value: "off", about: "Sets the default deferrable status of new transactions.", check: isBool},
	{name: "default_transaction_isolation", value: "repeatable read", about: "Sets the transaction isolation level of each new transaction.", check: isIsolation},
	{name: "default_transaction_read_only", value: "off", about: "Sets the default read-only status of new transactions.", check: isBool},
	{name: "extra_float_digits", value: "1", about: "Sets the number of digits displayed for floating-point values.", check: intBetween(1, 3)},
	{name: "idle_in_transaction_session_timeout", value: "0", unit: "ms", about: "Accepted; only 0 (none) is supported.", check: intBetween(0, 0)},
	{name: "in_hot_standby", value: "off", about: "Shows whether hot standby is currently active.", fixed: true},
	{name: "integer_datetimes", value: "on", about: "Shows whether datetimes are integer based.", fixed: true},
	{name: "IntervalStyle", value: "postgres", about: "Sets the display format for interval values.", check: oneOf("postgres")},
	{name: "is_superuser", value: "on", about: "Shows whether the current user is a superuser.", fixed: true},
	{name: "lc_collate", value: "C", about: "Shows the collation order locale.", fixed: true},
	{name: "lc_ctype", value: "C", about: "Shows the character classification and case conversion locale.", fixed: true},
	{name: "lock_timeout", value: "0", unit: "ms", about: "Accepted; statements take no locks.", check: isDuration},
	{name: "max_identifier_length", value: "63", about: "Shows the maximum identifier length.", fixed: true},
	{name: "max_index_keys", value: "32", about: "Shows the maximum number of index keys.", fixed: true},
	{name: "role", value: "none", about: "Sets the current role.", check: oneOf("none")},
	{name: "row_security", value: "on", about: "Accepted; there are no row security policies.", check: isBool},
	{name: "search_path", value: `"$user", public`, about: "Sets the schema search order for names that are not schema-qualified.", check: isPath},
	{name: "server_encoding", value: "UTF8", about: "Shows the server character set encoding.", fixed: true},
	{name: "server_version", value: ServerVersion, about: "Shows the server version.", fixed: true},
	{name: "server_version_num", value: "150000", about: "Shows the server version as an integer.", fixed: true},
	{name: "session_authorization", about: "Sets the current session's user.", fixed: true},
	{name: "standard_conforming_strings", value: "on", about: "Causes '...' strings to treat backslashes literally.", check: oneOf("on")},
	{name: "statement_timeout", value: "0", unit: "ms", about: "Sets the maximum allowed duration of any statement; 0: none.", check: isDuration},
	{name: "streamsql.background_ddl", value: "off", about: "CREATE MATERIALIZED VIEW returns before its backfill is done.", check: isBool},
	{name: "streamsql.clock", value: "system", about: "Whether the engine's clock runs (system) or is moved by ADVANCE CLOCK (manual).", check: oneOf("system", "manual")},
	{name: "TimeZone", value: "UTC", about: "Sets the time zone for displaying time stamps.", check: isZone},
	{name: "transaction_isolation", value: "repeatable read", about: "Shows the current transaction's isolation level.", check: isIsolation},
	{name: "transaction_read_only", value: "off", about: "Shows whether the current transaction is read-only.", check: isBool},
}

var settingByName = func() map[string]*settingDef {
	m := map[string]*settingDef{}
	for _, d := range settingDefs {
		m[strings.ToLower(d.name)] = d
	}
	return m
}()

// settings are a session's parameters. A map once set is not changed: running
// queries read it.
type settings struct {
	now   map[string]string // by lower-case name; what is not there has its default
	reset map[string]string // what RESET goes back to, where that is not the default
}

func (s *settings) get(name string) (string, bool) {
	name = strings.ToLower(name)
	if v, ok := s.now[name]; ok {
		return v, true
	}
	if d := settingByName[name]; d != nil {
		return d.value, true
	}
	return "", false
}

// set returns the value's canonical form, which it keeps. A name with a dot that
// nobody knows is the user's own.
func (s *settings) set(name, value string) (string, error) {
	key := strings.ToLower(name)
	d := settingByName[key]
	switch {
	case d == nil && (!strings.Contains(name, ".") || strings.HasPrefix(key, "streamsql.")):
		return "", unknownSetting(name)
	case d == nil:
	case d.fixed:
		return "", sqlerr.New("55P02", `parameter "%s" cannot be changed`, d.name)
	case d.check != nil:
		v, ok := d.check(value)
		if !ok {
			return "", sqlerr.New(sqlerr.InvalidParameter, `invalid value for parameter "%s": "%s"`, d.name, value)
		}
		value = v
	}
	s.put(key, value)
	return value, nil
}

func (s *settings) put(key, value string) {
	m := make(map[string]string, len(s.now)+1)
	for k, v := range s.now {
		m[k] = v
	}
	m[key] = value
	s.now = m
}

// unset takes a parameter back to what the session began with.
func (s *settings) unset(name string) error {
	key := strings.ToLower(name)
	if settingByName[key] == nil && !strings.Contains(name, ".") {
		return unknownSetting(name)
	}
	m := make(map[string]string, len(s.now))
	for k, v := range s.now {
		if k != key {
			m[k] = v
		}
	}
	if v, ok := s.reset[key]; ok {
		m[key] = v
	}
	s.now = m
	return nil
}

func unknownSetting(name string) error {
	return sqlerr.New(sqlerr.UndefinedObject, `unrecognized configuration parameter "%s"`, name)
}

func oneOf(vs ...string) func(string) (string, bool) {
	return func(v string) (string, bool) {
		v = strings.ToLower(v)
		return v, slices.Contains(vs, v)
	}
}

func isBool(v string) (string, bool) {
	b, ok := parseBool(v)
	if b {
		return "on", ok
	}
	return "off", ok
}

func parseBool(v string) (b, ok bool) {
	switch strings.ToLower(v) {
	case "on", "true", "yes", "1", "t", "y":
		return true, true
	case "off", "false", "no", "0", "f", "n":
		return false, true
	}
	return false, false
}

func isUTF8(v string) (string, bool) {
	switch strings.ToLower(strings.ReplaceAll(v, "-", "")) {
	case "utf8", "unicode":
		return "UTF8", true
	}
	return v, false
}

// isDateStyle takes the one style that there is, in the forms clients send.
func isDateStyle(v string) (string, bool) {
	for w := range strings.SplitSeq(strings.ToLower(v), ",") {
		switch strings.TrimSpace(w) {
		case "iso", "mdy", "us", "noneuro", "noneuropean":
		default:
			return v, false
		}
	}
	return "ISO, MDY", true
}

// isIsolation takes every level: reads pin one epoch, which satisfies the
// weaker ones, and writes are applied one transaction at a time.
func isIsolation(v string) (string, bool) {
	v = strings.ToLower(v)
	return v, slices.Contains([]string{"read uncommitted", "read committed", "repeatable read", "serializable"}, v)
}

func intBetween(lo, hi int) func(string) (string, bool) {
	return func(v string) (string, bool) {
		n, err := strconv.Atoi(strings.TrimSpace(v))
		return strconv.Itoa(n), err == nil && n >= lo && n <= hi
	}
}

// isDuration takes milliseconds, or a number with a unit, and gives milliseconds.
func isDuration(v string) (string, bool) {
	v = strings.ToLower(strings.TrimSpace(v))
	digits := len(v) - len(strings.TrimLeft(v, "0123456789"))
	n, err := strconv.ParseInt(v[:digits], 10, 32)
	if err != nil {
		return v, false
	}
	switch strings.TrimSpace(v[digits:]) {
	case "", "ms":
	case "s":
		n *= 1000
	case "min":
		n *= 60_000
	case "h":
		n *= 3_600_000
	case "d":
		n *= 86_400_000
	default:
		return v, false
	}
	return strconv.FormatInt(n, 10), n <= 1<<31-1
}

func isZone(v string) (string, bool) {
	switch strings.ToUpper(v) {
	case "UTC", "GMT", "ETC/UTC", "UCT", "ZULU", "Z", "0", "+0", "DEFAULT", "LOCAL":
		return "UTC", true
	}
	if l, err := time.LoadLocation(v); err == nil && !strings.EqualFold(v, "local") && v != "" {
		return l.String(), true
	}
	return v, false
}

func isPath(v string) (string, bool) {
	_, ok := splitPath(v)
	return v, ok
}

// splitPath reads a list of names as SQL quotes them.
func splitPath(v string) ([]string, bool) {
	var out []string
	for rest := v; ; {
		rest = strings.TrimLeft(rest, " \t\n")
		var name string
		if strings.HasPrefix(rest, `"`) {
			i := 1
			for {
				j := strings.IndexByte(rest[i:], '"')
				if j < 0 {
					return nil, false
				}
				name += rest[i : i+j]
				i += j + 1
				if !strings.HasPrefix(rest[i:], `"`) {
					rest = rest[i:]
					break
				}
				name += `"`
				i++
			}
		} else {
			i := strings.IndexByte(rest, ',')
			if i < 0 {
				i = len(rest)
			}
			name, rest = strings.ToLower(strings.TrimSpace(rest[:i])), rest[i:]
		}
		if name != "" {
			out = append(out, name)
		}
		rest = strings.TrimLeft(rest, " \t\n")
		if rest == "" {
			return out, true
		}
		if rest[0] != ',' {
			return nil, false
		}
		rest = rest[1:]
	}
}
