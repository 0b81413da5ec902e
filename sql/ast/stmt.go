package ast

// Insert is INSERT.
type Insert struct {
	Pos
	With       *With
	Table      *Table
	Columns    []string
	Query      *Query // nil: DEFAULT VALUES
	OnConflict *OnConflict
	Returning  []*Target
}

// OnConflict is ON CONFLICT (columns) DO NOTHING or DO UPDATE.
type OnConflict struct {
	Pos
	Columns []string
	Set     []*Assign // empty: DO NOTHING
	Where   Expr
}

// Assign is column = value, or (a, b) = row.
type Assign struct {
	Pos
	Columns []string
	Value   Expr
}

// Update is UPDATE.
type Update struct {
	Pos
	With      *With
	Table     *Table
	Set       []*Assign
	From      []TableRef
	Where     Expr
	Returning []*Target
}

// Delete is DELETE.
type Delete struct {
	Pos
	With      *With
	Table     *Table
	Using     []TableRef
	Where     Expr
	Returning []*Target
}

// Explain is EXPLAIN [(options)] statement; EXPLAIN ANALYZE VERBOSE are options too.
type Explain struct {
	Pos
	Options []*Option
	Stmt    Statement
}

// ExplainWatermark is EXPLAIN WATERMARK view.
type ExplainWatermark struct {
	Pos
	Name Name
}

// Replay is REPLAY what FROM name.
type Replay struct {
	Pos
	What ReplayWhat
	Name Name
}

// ReplayWhat is what REPLAY feeds in again.
type ReplayWhat string

// What REPLAY feeds in again.
const (
	ReplayLate        ReplayWhat = "late"         // the late rows of a view
	ReplayDeadLetters ReplayWhat = "dead letters" // the records of a source that did not decode
)

// Show is SHOW name or SHOW what [FROM name], e.g. SHOW TABLES, SHOW CREATE VIEW v.
type Show struct {
	Pos
	Name   string // folded; of objects the words: "server_version", "timezone", "materialized views"
	Object *Name  // of SHOW CREATE …, SHOW COLUMNS FROM …
}

// Set is SET [SESSION|LOCAL] name TO value, ….
type Set struct {
	Pos
	Local  bool
	Name   string
	Values []*Literal // empty: DEFAULT. A bare word comes as a string
}

// SetTransaction is SET TRANSACTION or SET SESSION CHARACTERISTICS AS TRANSACTION.
type SetTransaction struct {
	Pos
	Session bool
	Modes   TransactionModes
}

// Reset is RESET name or RESET ALL (Name "all").
type Reset struct {
	Pos
	Name string
}

// TransactionModes are the modes of BEGIN; empty: not said.
type TransactionModes struct {
	Isolation  string // "read committed", "serializable", …
	ReadOnly   *bool
	Deferrable *bool
}

// Begin is BEGIN and START TRANSACTION.
type Begin struct {
	Pos
	Modes TransactionModes
}

// Commit is COMMIT and END.
type Commit struct {
	Pos
	Chain bool
}

// Rollback is ROLLBACK and ABORT.
type Rollback struct {
	Pos
	Chain bool
}

// Discard is DISCARD what: "all", "plans", "temp", "sequences".
type Discard struct {
	Pos
	What string
}

// Deallocate is DEALLOCATE name or ALL.
type Deallocate struct {
	Pos
	Name string
	All  bool
}

// AdvanceClock is ADVANCE CLOCK TO expr.
type AdvanceClock struct {
	Pos
	To Expr
}

// Checkpoint is CHECKPOINT.
type Checkpoint struct{ Pos }

// Wait is WAIT.
type Wait struct{ Pos }

// NoEffect is what clients send to clean a session and has nothing to do here:
// CLOSE ALL and UNLISTEN.
type NoEffect struct {
	Pos
	Tag string // of its completion
}

func (*Insert) statement()           {}
func (*Update) statement()           {}
func (*Delete) statement()           {}
func (*Explain) statement()          {}
func (*Show) statement()             {}
func (*ExplainWatermark) statement() {}
func (*Replay) statement()           {}
func (*Set) statement()              {}
func (*SetTransaction) statement()   {}
func (*Reset) statement()            {}
func (*Begin) statement()            {}
func (*Commit) statement()           {}
func (*Rollback) statement()         {}
func (*Discard) statement()          {}
func (*Deallocate) statement()       {}
func (*AdvanceClock) statement()     {}
func (*Checkpoint) statement()       {}
func (*Wait) statement()             {}
func (*NoEffect) statement()         {}
