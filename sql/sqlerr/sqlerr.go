package sqlerr

import (
	"errors"
	"fmt"
)

// Error is an error with a SQLSTATE (PostgreSQL 15, appendix A).
type Error struct {
	Code    string // five characters, e.g. "42P01"
	Message string
	Detail  string
	Hint    string
	Pos     int // 1-based byte offset into the statement's text; 0 when unknown
}

// Error implements the error interface; it gives the message alone.
func (e *Error) Error() string { return e.Message }

// New returns an error with the given SQLSTATE and message.
func New(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// At returns e with its position set to the 0-based byte offset off, unless it has one already.
func (e *Error) At(off int) *Error {
	if e.Pos == 0 && off >= 0 {
		e.Pos = off + 1
	}
	return e
}

// WithHint returns e with a hint.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// WithDetail returns e with a detail.
func (e *Error) WithDetail(format string, args ...any) *Error {
	e.Detail = fmt.Sprintf(format, args...)
	return e
}

// From returns err as an *Error; any other error becomes XX000.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return New(Internal, "%s", err.Error())
}

// SQLSTATEs used in more than one package.
const (
	Internal              = "XX000"
	Syntax                = "42601"
	UndefinedTable        = "42P01"
	UndefinedColumn       = "42703"
	UndefinedFunction     = "42883"
	UndefinedObject       = "42704"
	AmbiguousColumn       = "42702"
	DuplicateObject       = "42710"
	DuplicateTable        = "42P07"
	DuplicateColumn       = "42701"
	DatatypeMismatch      = "42804"
	Grouping              = "42803"
	WrongObjectType       = "42809"
	DependentObjects      = "2BP01"
	NotNullViolation      = "23502"
	UniqueViolation       = "23505"
	NumericOutOfRange     = "22003"
	DivisionByZero        = "22012"
	InvalidText           = "22P02"
	InvalidDatetime       = "22007"
	DatetimeOverflow      = "22008"
	CharacterNotInRep     = "22021"
	InvalidParameter      = "22023"
	CardinalityViolation  = "21000"
	FeatureNotSupported   = "0A000"
	OutOfMemory           = "53200"
	DiskFull              = "53100"
	TooComplex            = "54001"
	QueryCanceled         = "57014"
	AdminShutdown         = "57P01"
	ObjectNotInState      = "55000"
	InvalidColumnRef      = "42P10"
	ExternalRoutineFailed = "38000"
	IOError               = "58030"
)
