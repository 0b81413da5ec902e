package plan

import (
	"slices"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/types"
)

// Op names an operator.
type Op string

// The operators.
const (
	Scan     Op = "scan"     // changes of relation Relation, the columns Columns of it
	Values   Op = "values"   // the constant rows Rows
	Map      Op = "map"      // rows for which Filter is true, projected to Exprs (nil: all columns)
	Join     Op = "join"     // two inputs
	Agg      Op = "agg"      // GROUP BY Keys; output: the keys, then Aggs
	Distinct Op = "distinct" // each row once
	Union    Op = "union"    // all rows of all inputs
	Except   Op = "except"   // EXCEPT or INTERSECT; SetOp and All tell which
	TopN     Op = "topn"     // per Keys, rows Offset+1 … Offset+Limit by Order; Rank appends the rank
	Over     Op = "over"     // window functions over Keys, Order; output: the input, then Aggs
	Window   Op = "window"   // TUMBLE, HOP, CUMULATE: appends window_start, window_end, window_time
	Exchange Op = "exchange" // rows to the worker that owns the hash of Keys (none: all to one worker)
	Close    Op = "close"    // EMIT ON WINDOW CLOSE: holds a row back until the watermark has closed its Time; append-only
	Every    Op = "every"    // EMIT EVERY: lets the net change through at most every Interval of the clock
	Temporal Op = "temporal" // rows while Filter, which calls now(), is true; Exprs: when it may next change
	Unnest   Op = "unnest"   // each row with each row of the set that Exprs[0] returns: generate_series, unnest, regexp_split_to_table …
)

// JoinKind names a join.
type JoinKind string

// The joins. Semi and anti joins output the left columns alone.
const (
	Inner JoinKind = "inner"
	Left  JoinKind = "left"
	Right JoinKind = "right"
	Full  JoinKind = "full"
	Semi  JoinKind = "semi"
	Anti  JoinKind = "anti"
)

// Column is a column of a node's output.
type Column struct {
	Name string     `json:"name"`
	Type types.Type `json:"type"`
}

// Order is one sort key over the node's input.
type Order struct {
	Col        int  `json:"col"`
	Desc       bool `json:"desc,omitempty"`
	NullsFirst bool `json:"nulls_first,omitempty"`
}

// AggCall is one aggregate, or one window function of an Over.
type AggCall struct {
	Fn       string     `json:"fn"` // key in expr's catalogue
	Args     []int      `json:"args,omitempty"`
	Filter   int        `json:"filter"` // boolean input column, or -1
	Distinct bool       `json:"distinct,omitempty"`
	Order    []Order    `json:"order,omitempty"`
	Type     types.Type `json:"type"`
	Frame    *Frame     `json:"frame,omitempty"` // Over only; nil: the default frame
}

// Reads returns the input columns that the call reads: arguments, sort keys, filter.
func (c *AggCall) Reads() []int {
	out := slices.Clone(c.Args)
	for _, o := range c.Order {
		out = append(out, o.Col)
	}
	if c.Filter >= 0 {
		out = append(out, c.Filter)
	}
	return out
}

// Frame is an OVER clause's frame. A nil bound is unbounded; 0 is CURRENT ROW.
type Frame struct {
	Unit  string `json:"unit"` // rows, range, groups
	Start *int64 `json:"start,omitempty"`
	End   *int64 `json:"end,omitempty"`
}

// WindowSpec is a window table function; durations in µs.
type WindowSpec struct {
	Kind    string `json:"kind"` // tumble, hop, cumulate, session
	TimeCol int    `json:"time_col"`
	Size    int64  `json:"size"`
	Slide   int64  `json:"slide,omitempty"`
	Offset  int64  `json:"offset,omitempty"`
	// Proc says that TimeCol is the processing time, proctime(): windows are closed
	// by the clock.
	Proc bool `json:"proc,omitempty"`
}

// TimeBounds say how the times of a join's rows are bound to each other:
// left time between right time + Lo and right time + Hi, µs, both inclusive.
// Columns are of the inputs. math.MinInt64 and math.MaxInt64 are no bound.
type TimeBounds struct {
	Left  int   `json:"left"`
	Right int   `json:"right"`
	Lo    int64 `json:"lo"`
	Hi    int64 `json:"hi"`
}

// AsOf makes a join one with the one right row that holds at the left row's
// time: of the key's rows the last whose time RightTime is not above (Strict:
// below) LeftTime.
type AsOf struct {
	// Kind is "asof" (any change of either side corrects the answer), "event" (FOR
	// SYSTEM_TIME AS OF a time column: decided when the watermark passes the left
	// row, and kept) or "proc" (FOR SYSTEM_TIME AS OF PROCTIME(): the right side as
	// it stands when the left row arrives, and kept: a lookup join).
	Kind      string `json:"kind"`
	LeftTime  int    `json:"left_time"`  // column of the left input; -1: none
	RightTime int    `json:"right_time"` // column of the right input; -1: none
	Strict    bool   `json:"strict,omitempty"`
	Next      bool   `json:"next,omitempty"` // the first not below, instead of the last not above
	// Versions, of "event": the right input has one row of a key, its last version.
	// A version that another one replaces stays what held in its time.
	Versions bool `json:"versions,omitempty"`
}

// Node is an operator and its inputs. ID is stable: state is stored under it.
type Node struct {
	ID     int      `json:"id"`
	Op     Op       `json:"op"`
	Inputs []*Node  `json:"inputs,omitempty"`
	Out    []Column `json:"out"`

	Relation uint64          `json:"relation,omitempty"` // Scan
	Columns  []int           `json:"columns,omitempty"`  // Scan
	Lookup   []*expr.Expr    `json:"lookup,omitempty"`   // Scan: constants for the first columns of Index
	Index    []int           `json:"index,omitempty"`    // Scan: the arrangement's key columns
	Rows     [][]types.Datum `json:"rows,omitempty"`     // Values
	Cells    [][]*expr.Expr  `json:"cells,omitempty"`    // Values: rows of expressions without columns, instead of Rows
	Filter   *expr.Expr      `json:"filter,omitempty"`   // Map
	Exprs    []*expr.Expr    `json:"exprs,omitempty"`    // Map
	Kind     JoinKind        `json:"kind,omitempty"`     // Join
	LeftKey  []int           `json:"left_key,omitempty"`
	RightKey []int           `json:"right_key,omitempty"`
	NullSafe bool            `json:"null_safe,omitempty"` // Join: keys compare by IS NOT DISTINCT FROM
	Residual *expr.Expr      `json:"residual,omitempty"`  // Join: over left then right columns
	// Settled is one more than the input of a Join whose rows need not be kept once
	// they have their match (0: none): the other input's rows never go, and where
	// matches are counted, no two of them have the same key.
	Settled int         `json:"settled,omitempty"`
	Keys    []int       `json:"keys,omitempty"` // Agg, TopN, Over, Exchange; Window: PARTITION BY of a session
	Aggs    []AggCall   `json:"aggs,omitempty"`
	Order   []Order     `json:"order,omitempty"`
	Limit   int64       `json:"limit,omitempty"` // TopN; -1: none
	Offset  int64       `json:"offset,omitempty"`
	Ties    bool        `json:"ties,omitempty"`
	Rank    string      `json:"rank,omitempty"` // "", row_number, rank, dense_rank
	SetOp   string      `json:"set_op,omitempty"`
	All     bool        `json:"all,omitempty"`
	Window  *WindowSpec `json:"window,omitempty"`

	// Keep, of a Map whose expressions are volatile over rows that can change: what
	// was made of a row is kept and taken back with it. Its input is exchanged by
	// all of its columns.
	Keep bool `json:"keep,omitempty"`

	Bounds *TimeBounds `json:"bounds,omitempty"` // Join: an interval join
	AsOf   *AsOf       `json:"as_of,omitempty"`  // Join: Inner or Left

	// Final, of an Agg over windows, says that a group is emitted once, when the
	// watermark closes it (EMIT ON WINDOW CLOSE): the output is append-only.
	Final    bool  `json:"final,omitempty"`
	Interval int64 `json:"interval,omitempty"` // Every: µs

	SetFn      string `json:"set_fn,omitempty"`     // Unnest: the set-returning function; Exprs are its arguments
	Ordinality bool   `json:"ordinality,omitempty"` // Unnest: appends the row number

	AppendOnly bool `json:"append_only,omitempty"` // the output never retracts
	// Time is one more than the output column that carries the relation's
	// watermark (0: none): no row of a later step is below the watermark there,
	// but for late ones. A keyed operator whose keys hold such a column closes
	// groups as the watermark passes them.
	Time int `json:"time,omitempty"`
	// TimeEnd says that Time is the end of a window: a group is closed when the
	// watermark has reached it.
	TimeEnd bool `json:"time_end,omitempty"`
	// Clock says that Time is processing time: the node's watermark is the clock of
	// the step. Of a Scan, its relation's watermark is; the owner of the dataflow
	// moves it.
	Clock bool `json:"clock,omitempty"`
	// Lag, of a Map, says that its watermark is that much (µs) behind its input's:
	// its Time is the start of a window of that size.
	Lag int64 `json:"lag,omitempty"`
	// Windows, of a view's root, are the columns that bound a window, for the views
	// above it.
	Windows []WindowCols `json:"windows,omitempty"`
}

// WindowCols are the output columns that bound one window; -1: it is not among them.
type WindowCols struct {
	Start int `json:"start"`
	End   int `json:"end"`
	Time  int `json:"time"`
	// Size is of all the windows, µs; 0: it varies, and Start does not determine End.
	Size int64 `json:"size,omitempty"`
	// Session says that Start determines End together with Keys.
	Session bool  `json:"session,omitempty"`
	Keys    []int `json:"keys,omitempty"`
}

// TimeCol returns the output column that carries the watermark, or -1.
func (n *Node) TimeCol() int { return n.Time - 1 }

// Settles tells whether nothing of n is taken back that is behind its watermark,
// but for what is late: rows only come, or what takes them back obeys it.
func (n *Node) Settles() bool {
	if n.AppendOnly {
		return true
	}
	if n.Time == 0 || n.Op == Scan {
		return false
	}
	for _, in := range n.Inputs {
		if !in.Settles() {
			return false
		}
	}
	return true
}

// Query is a planned SELECT: the dataflow, and how its rows are shown. A view
// keeps Root alone.
type Query struct {
	Root    *Node
	Columns []Column // the visible ones, the first of Root's
	Sort    []Order  // over Root's columns, hidden ones included
	Limit   *expr.Expr
	Offset  *expr.Expr // constants or parameters; nil: none
	Ties    bool
	Params  []types.Type // of $1 …
}

// WriteKind is what a Write does.
type WriteKind string

// The kinds of write.
const (
	Insert WriteKind = "insert"
	Update WriteKind = "update"
	Delete WriteKind = "delete"
)

// Write is a planned INSERT, UPDATE or DELETE.
type Write struct {
	Kind  WriteKind
	Table uint64
	// Root gives, to insert, the table's columns with defaults in place and types
	// assigned; to delete, the rows' columns as they are; to update, the columns as
	// they are and behind them as they will be. Behind these, what Returning
	// shows of FROM and USING.
	Root *Node
	// Conflict says what an inserted row does whose key is there already:
	// "" (an error), nothing, update.
	Conflict     string
	ConflictKeys []int        // sorted: the unique key that Conflict is about; nil: any
	ConflictSet  []*expr.Expr // over the existing row's columns, then the new row's: the row to store
	ConflictCond *expr.Expr   // update only if true; nil: always
	Returning    []*expr.Expr // over the row inserted, updated (as it is now) or deleted, and what follows it in Root; nil: none
	Columns      []Column     // of Returning
	Params       []types.Type
}

// Visit calls fn with n and every node beneath it, inputs first.
func (n *Node) Visit(fn func(*Node)) {
	for _, in := range n.Inputs {
		in.Visit(fn)
	}
	fn(n)
}
