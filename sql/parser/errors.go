package parser

import "github.com/streamsql/streamsql/sql/sqlerr"

// syntaxErrorAt is PostgreSQL's complaint about a token.
func syntaxErrorAt(text string, t Token) *sqlerr.Error {
	if t.Kind == EOF {
		return sqlerr.New(sqlerr.Syntax, "syntax error at end of input").At(len(text))
	}
	return sqlerr.New(sqlerr.Syntax, `syntax error at or near "%s"`, text[t.Pos:t.End]).At(t.Pos)
}

// unsupported says that the engine knows the syntax and does not have it.
func unsupported(pos int, what string) *sqlerr.Error {
	return sqlerr.New(sqlerr.FeatureNotSupported, "%s is not supported", what).At(pos)
}

// syntaxError is an error of syntax that PostgreSQL words in its own way.
func syntaxError(pos int, format string, args ...any) *sqlerr.Error {
	return sqlerr.New(sqlerr.Syntax, format, args...).At(pos)
}
