package wire

import (
	"context"
	"net"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// Backend makes sessions. It is called from many goroutines.
type Backend interface {
	// NewSession opens a session; its error ends the connection (e.g. 28000, 3D000, 22023).
	NewSession(info SessionInfo) (Session, error)
}

// SessionInfo is what is known of a client when its session opens.
type SessionInfo struct {
	PID      uint32 // what the client takes for the process id
	User     string
	Database string            // the user's name when the client gave none
	Params   map[string]string // the other startup parameters, those of "options" included
	Remote   net.Addr

	// Statements are the session's prepared statements, those of the protocol and
	// those of SQL alike. Only the session's own methods may use them.
	Statements *Statements
}

// Session is one client's. Its methods, and those of what it returns, are called
// from one goroutine at a time. Contexts cover the call they are given to and
// nothing after it; when one ends, its cause is the error to report.
//
// What runs since the last Sync is one implicit transaction, unless a BEGIN made
// it a transaction block.
type Session interface {
	// Parse splits and parses a text; an empty text has no statements. Error
	// positions count from the start of the text.
	Parse(sql string) ([]Statement, error)
	// Prepare resolves the statement. paramOIDs may be shorter than the
	// parameters, and 0 stands for unknown. From here on error positions count
	// from the start of the statement's own text.
	Prepare(ctx context.Context, st Statement, paramOIDs []uint32) (Prepared, error)
	// Sync ends the implicit transaction: it commits, or after Fail rolls back.
	// Within a transaction block, and when nothing ran, it does nothing.
	Sync(ctx context.Context) error
	// Fail says that an error was reported to the client: the transaction is lost.
	Fail()
	// TxStatus is I (idle), T (in a transaction block) or E (in a failed one).
	TxStatus() byte
	// Param gives a parameter that the client is told of (TimeZone, DateStyle …);
	// without it the server's default is reported.
	Param(name string) (string, bool)
	Close()
}

// TextCodec is what a Session also implements when the text forms depend on its
// settings, as on TimeZone. Without it those of package types are used.
type TextCodec interface {
	FormatText(dst []byte, t types.Type, d types.Datum) []byte
	ParseText(t types.Type, s string) (types.Datum, error)
}

// Statement is one parsed statement.
type Statement interface {
	Text() string // a part of the text given to Parse
	Offset() int  // of Text in that text, in bytes
}

// Column describes a result column. TableOID and Attr are 0 unless it is a table's.
type Column struct {
	Name     string
	Type     types.Type
	TableOID uint32
	Attr     int16
}

// Prepared is a statement with its types resolved. It may be executed many times;
// one that the catalog has outgrown answers with an error or adapts itself, but
// its parameters and columns stay.
type Prepared interface {
	Params() []types.Type
	Columns() []Column // nil: it returns no rows
	// Execute starts the statement. One that writes has written when Rows is done,
	// or at once if it returns no rows.
	Execute(ctx context.Context, args []types.Datum) (Rows, error)
}

// Rows is a running statement. It is closed exactly once, done or not.
type Rows interface {
	// Next moves to the next row; false at the end. It may wait for rows to come:
	// what was sent so far reaches the client meanwhile.
	Next(ctx context.Context) (bool, error)
	Row() []types.Datum // one per column, valid until the next call of Next
	Tag() string        // the command tag once Next gave false, e.g. "SELECT 3"
	Notices() []Notice  // those that came since the last call
	Close()
}

// Notice is a message that is not an error.
type Notice struct {
	Severity string // NOTICE, WARNING, INFO, LOG or DEBUG
	Err      *sqlerr.Error
}
