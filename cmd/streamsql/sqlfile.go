package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/streamsql/streamsql/sql/parser"
	"github.com/streamsql/streamsql/sql/sqlerr"
)

// fileStatement is a statement of a file.
type fileStatement struct {
	text   string
	offset int
	line   int // from 1
}

// splitFile reads the statements of a file. An error stands at its line.
func splitFile(name, text string) ([]fileStatement, error) {
	if _, err := parser.Parse(text); err != nil {
		return nil, fileError(name, text, fileStatement{text: text}, err)
	}
	toks, err := parser.Lex(text)
	if err != nil {
		return nil, fileError(name, text, fileStatement{text: text}, err)
	}
	var out []fileStatement
	for _, r := range parser.Split(text, toks) {
		out = append(out, fileStatement{text: text[r[0]:r[1]], offset: r[0], line: 1 + strings.Count(text[:r[0]], "\n")})
	}
	return out, nil
}

// fileError shows an error of a statement as file:line:column, with the line and
// a caret beneath it.
func fileError(name, text string, st fileStatement, err error) error {
	e := sqlerr.From(err)
	at := st.offset
	if e.Pos > 0 {
		at = min(st.offset+e.Pos-1, len(text))
	}
	line := 1 + strings.Count(text[:at], "\n")
	start := strings.LastIndexByte(text[:at], '\n') + 1
	end := len(text)
	if i := strings.IndexByte(text[at:], '\n'); i >= 0 {
		end = at + i
	}
	col := utf8.RuneCountInString(text[start:at])
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ERROR %s: %s\n%s\n%s^", name, line, col+1, e.Code, e.Message, text[start:end], blanks(text[start:at]))
	if e.Detail != "" {
		fmt.Fprintf(&b, "\nDETAIL: %s", e.Detail)
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, "\nHINT: %s", e.Hint)
	}
	return errors.New(b.String())
}

// blanks is as wide as s where it is printed.
func blanks(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, s)
}

func firstLine(s string) string {
	l, _, more := strings.Cut(strings.TrimSpace(s), "\n")
	if more {
		l += " …"
	}
	return l
}

// isDuplicate tells whether what a statement would make is there: an object, or
// a row of that key.
func isDuplicate(err error) bool {
	switch sqlerr.From(err).Code {
	case sqlerr.DuplicateTable, sqlerr.DuplicateObject, "42723", sqlerr.UniqueViolation:
		return true
	}
	return false
}

func isCanceled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || sqlerr.From(err).Code == sqlerr.QueryCanceled
}
