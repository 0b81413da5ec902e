package sqllogictest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Kind tells what a Record does.
type Kind int

// The kinds of record.
const (
	Statement Kind = iota
	Query
	Halt
	HashThreshold
	Connection
	Control
	Subtest
)

// Record is one record of a test file.
type Record struct {
	Kind     Kind
	File     string
	Line     int // of the record's head, from 1
	SQL      string
	Wants    Expect
	Types    string   // Query: one letter a column
	Sort     string   // Query: "", nosort, rowsort, valuesort
	Label    string   // Query: queries of one label must agree
	Result   []string // Query: the lines under ----
	Name     string   // Connection, Control, Subtest: the argument
	Value    string   // Control: the second argument
	N        int      // HashThreshold
	skipif   []string
	onlyif   []string
	HasCheck bool // Query: ---- was present
	// Query: it is asked again so often, so long after, while the answer is another.
	Retry   int
	Backoff time.Duration
}

// Expect says how a statement must end.
type Expect struct {
	Error bool
	State string // SQLSTATE of the error, or ""
	Match string // regular expression for the message, or ""
	Count int    // rows affected, or -1
}

// Applies tells whether the record is meant for the engine called name.
func (r *Record) Applies(name string) bool {
	for _, n := range r.skipif {
		if n == name {
			return false
		}
	}
	for _, n := range r.onlyif {
		if n != name {
			return false
		}
	}
	return true
}

// ParseFile reads a test file and the files it includes.
func ParseFile(path string) ([]*Record, error) { return parseFile(path, 0) }

func parseFile(path string, depth int) ([]*Record, error) {
	if depth > 16 {
		return nil, fmt.Errorf("%s: includes nest too deeply", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, string(data), depth)
}

// Parse reads the text of a test file; name stands in messages.
func Parse(name, text string) ([]*Record, error) { return parse(name, text, 0) }

func parse(name, text string, depth int) ([]*Record, error) {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	var out []*Record
	var skip, only []string
	sortmode := ""
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		bad := func(format string, args ...any) error {
			return fmt.Errorf("%s:%d: %s", name, i+1, fmt.Sprintf(format, args...))
		}
		arg := func(n int) string {
			if n < len(words) {
				return words[n]
			}
			return ""
		}
		r := &Record{File: name, Line: i + 1, Wants: Expect{Count: -1}}
		switch words[0] {
		case "skipif":
			skip = append(skip, arg(1))
			continue
		case "onlyif":
			only = append(only, arg(1))
			continue
		case "include":
			paths, err := filepath.Glob(filepath.Join(filepath.Dir(name), arg(1)))
			if err != nil || len(paths) == 0 {
				return nil, bad("no file matches %q", arg(1))
			}
			for _, p := range paths {
				more, err := parseFile(p, depth+1)
				if err != nil {
					return nil, err
				}
				out = append(out, more...)
			}
			continue
		case "halt":
			r.Kind = Halt
		case "hash-threshold":
			n, err := strconv.Atoi(arg(1))
			if err != nil {
				return nil, bad("hash-threshold needs a number")
			}
			r.Kind, r.N = HashThreshold, n
		case "connection":
			r.Kind, r.Name = Connection, arg(1)
		case "subtest":
			r.Kind, r.Name = Subtest, arg(1)
		case "control":
			r.Kind, r.Name, r.Value = Control, arg(1), arg(2)
			switch r.Name {
			case "sortmode":
				sortmode = r.Value
			case "check", "views":
			default:
				return nil, bad("unknown control %q", r.Name)
			}
		case "statement":
			switch arg(1) {
			case "ok":
			case "error":
				r.Wants = expectError(line, "statement")
			case "count":
				n, err := strconv.Atoi(arg(2))
				if err != nil {
					return nil, bad("statement count needs a number")
				}
				r.Wants.Count = n
			default:
				return nil, bad("a statement is ok, error or count, not %q", arg(1))
			}
			i++
			r.SQL, i = readSQL(lines, i)
			i--
		case "query":
			r.Kind = Query
			if n := len(words); n > 4 && words[n-4] == "retry" && words[n-2] == "backoff" {
				var err, err2 error
				r.Retry, err = strconv.Atoi(words[n-3])
				r.Backoff, err2 = time.ParseDuration(words[n-1])
				if err != nil || err2 != nil {
					return nil, bad("retry needs a number, backoff a duration")
				}
				words = words[:n-4]
			}
			if arg(1) == "error" {
				r.Wants = expectError(line, "query")
			} else {
				r.Types, r.Sort, r.Label = arg(1), arg(2), arg(3)
				switch r.Sort {
				case "nosort", "rowsort", "valuesort":
				case "":
					r.Sort = sortmode
				default: // a label without a sort mode
					r.Sort, r.Label = sortmode, r.Sort
				}
			}
			i++
			r.SQL, i = readSQL(lines, i)
			if i < len(lines) && strings.TrimSpace(lines[i]) == "----" {
				r.HasCheck = true
				for i++; i < len(lines) && strings.TrimSpace(lines[i]) != ""; i++ {
					r.Result = append(r.Result, lines[i])
				}
			}
			i--
		default:
			return nil, bad("unknown record %q", words[0])
		}
		if (r.Kind == Statement || r.Kind == Query) && r.SQL == "" {
			return nil, bad("the record has no SQL")
		}
		r.skipif, r.onlyif = skip, only
		skip, only = nil, nil
		out = append(out, r)
	}
	return out, nil
}

// readSQL reads up to a blank line or ----, and returns that line's index.
func readSQL(lines []string, i int) (string, int) {
	start := i
	for i < len(lines) && strings.TrimSpace(lines[i]) != "" && strings.TrimSpace(lines[i]) != "----" {
		i++
	}
	return strings.Join(lines[start:i], "\n"), i
}

// expectError reads what follows "error": nothing, (SQLSTATE), or a pattern.
func expectError(line, head string) Expect {
	_, rest, _ := strings.Cut(line, head)
	_, rest, _ = strings.Cut(rest, "error")
	rest = strings.TrimSpace(rest)
	e := Expect{Error: true, Count: -1}
	if len(rest) == 7 && rest[0] == '(' && rest[6] == ')' {
		e.State = rest[1:6]
	} else {
		e.Match = rest
	}
	return e
}
