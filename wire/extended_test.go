package wire

import (
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

type msgs = []pgproto3.FrontendMessage

func TestExtendedQuery(t *testing.T) {
	f, _, addr := serve(t, Config{})
	cl := connect(t, addr)
	f.took()
	sync := &pgproto3.Sync{}
	run := &pgproto3.Execute{}
	parse := func(name, sql string) *pgproto3.Parse { return &pgproto3.Parse{Name: name, Query: sql} }
	bind := func(portal, name string) *pgproto3.Bind {
		return &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: name}
	}
	text := func(vals ...string) (out [][]byte) {
		for _, v := range vals {
			out = append(out, []byte(v))
		}
		return out
	}
	for _, c := range []struct {
		name string
		send msgs
		want string
		log  string
	}{
		{"at once", msgs{parse("", "series 2"), bind("", ""), &pgproto3.Describe{ObjectType: 'P'}, run, sync},
			"ParseComplete BindComplete Columns:n/23/0 Row:1 Row:2 Complete:SELECT_2 ReadyForQuery:I", "series sync"},
		{"two steps", msgs{parse("s", "echo integer text"), &pgproto3.Describe{ObjectType: 'S', Name: "s"}, sync},
			"ParseComplete Params:23,25 Columns:integer/23/0,text/25/0 ReadyForQuery:I", "sync"},
		{"the statement stays", msgs{&pgproto3.Bind{PreparedStatement: "s", Parameters: [][]byte{[]byte("7"), nil}}, run, sync},
			"BindComplete Row:7,NULL Complete:SELECT_1 ReadyForQuery:I", "echo sync"},
		{"mixed formats", msgs{&pgproto3.Bind{PreparedStatement: "s", Parameters: text("\x00\x00\x00A", "x"), ParameterFormatCodes: []int16{1, 0}, ResultFormatCodes: []int16{0, 1}},
			&pgproto3.Describe{ObjectType: 'P'}, run, sync},
			"BindComplete Columns:integer/23/0,text/25/1 Row:65,x Complete:SELECT_1 ReadyForQuery:I", "echo sync"},
		{"one format for all", msgs{&pgproto3.Bind{PreparedStatement: "s", Parameters: text("65", "x"), ResultFormatCodes: []int16{1}}, run, sync},
			"BindComplete Row:\x00\x00\x00A,x Complete:SELECT_1 ReadyForQuery:I", "echo sync"},
		{"a name taken", msgs{parse("s", "insert"), sync}, "ERROR:42P05 ReadyForQuery:I", "fail sync"},
		{"OIDs given", msgs{&pgproto3.Parse{Query: "echo integer integer", ParameterOIDs: []uint32{0, 20}}, &pgproto3.Describe{ObjectType: 'S'}, sync},
			"ParseComplete Params:23,20 Columns:integer/23/0,integer/20/0 ReadyForQuery:I", "sync"},
		{"no rows", msgs{parse("", "insert"), &pgproto3.Describe{ObjectType: 'S'}, bind("", ""), &pgproto3.Describe{ObjectType: 'P'}, run, sync},
			"ParseComplete Params: NoData BindComplete NoData Complete:INSERT_0_1 ReadyForQuery:I", "insert sync"},
		{"an empty text", msgs{parse("", ";"), &pgproto3.Describe{ObjectType: 'S'}, bind("", ""), run, sync},
			"ParseComplete Params: NoData BindComplete EmptyQueryResponse ReadyForQuery:I", "sync"},
		{"two statements", msgs{parse("", "insert; insert"), sync}, "ERROR:42601 ReadyForQuery:I", "fail sync"},
		{"copy", msgs{parse("", "copy t from stdin"), sync}, "ERROR:0A000 ReadyForQuery:I", "fail sync"},
		{"an error skips to Sync", msgs{parse("", "  nope"), bind("", ""), run, &pgproto3.Query{String: "insert"}, sync},
			"ERROR:42P01@6 ReadyForQuery:I", "fail sync"},
		{"and only to Sync", msgs{parse("", "insert"), sync}, "ParseComplete ReadyForQuery:I", "sync"},
		{"an error on the way", msgs{parse("", "fail"), bind("", ""), run, run, sync}, "ParseComplete BindComplete ERROR:22012@3 ReadyForQuery:I", "fail fail sync"},
		{"portions", msgs{parse("", "series 5"), bind("p", ""), &pgproto3.Execute{Portal: "p", MaxRows: 2}, &pgproto3.Execute{Portal: "p", MaxRows: 2},
			&pgproto3.Execute{Portal: "p", MaxRows: 2}, &pgproto3.Execute{Portal: "p"}, sync},
			"ParseComplete BindComplete Row:1 Row:2 PortalSuspended Row:3 Row:4 PortalSuspended Row:5 Complete:SELECT_1 Complete:SELECT_0 ReadyForQuery:I", "series sync"},
		{"a portal ends with its transaction", msgs{&pgproto3.Execute{Portal: "p"}, sync}, "ERROR:34000 ReadyForQuery:I", "fail sync"},
		{"a block keeps portals", msgs{parse("", "begin"), bind("", ""), run, parse("", "series 3"), bind("p", ""), &pgproto3.Execute{Portal: "p", MaxRows: 1}, sync},
			"ParseComplete BindComplete Complete:BEGIN ParseComplete BindComplete Row:1 PortalSuspended ReadyForQuery:T", "begin series"},
		{"it goes on", msgs{&pgproto3.Execute{Portal: "p", MaxRows: 1}, bind("p", ""), sync}, "Row:2 PortalSuspended ERROR:42P03 ReadyForQuery:E", "fail"},
		{"gone with the error", msgs{&pgproto3.Execute{Portal: "p"}, sync}, "ERROR:34000 ReadyForQuery:E", "fail"},
		{"rollback", msgs{parse("", "rollback"), bind("", ""), run, sync}, "ParseComplete BindComplete Complete:ROLLBACK ReadyForQuery:I", "rollback sync"},
		{"commit closes portals", msgs{parse("", "begin"), bind("", ""), run, parse("", "series 3"), bind("p", ""), &pgproto3.Execute{Portal: "p", MaxRows: 1},
			parse("", "commit"), bind("", ""), run, &pgproto3.Execute{Portal: "p"}, sync},
			"ParseComplete BindComplete Complete:BEGIN ParseComplete BindComplete Row:1 PortalSuspended ParseComplete BindComplete Complete:COMMIT ERROR:34000 ReadyForQuery:I",
			"begin series commit fail sync"},
		{"a portal in a block", msgs{parse("", "begin"), bind("", ""), run, parse("", "series 3"), bind("p", ""), sync},
			"ParseComplete BindComplete Complete:BEGIN ParseComplete BindComplete ReadyForQuery:T", "begin"},
		{"another block", msgs{&pgproto3.Query{String: "commit; begin"}}, "Complete:COMMIT Complete:BEGIN ReadyForQuery:T", "commit begin"},
		{"has other portals", msgs{&pgproto3.Execute{Portal: "p"}, sync}, "ERROR:34000 ReadyForQuery:E", "fail"},
		{"rolled back", msgs{&pgproto3.Query{String: "rollback"}}, "Complete:ROLLBACK ReadyForQuery:I", "rollback sync sync"},
		{"a done statement", msgs{parse("", "insert"), bind("", ""), run, run, sync}, "ParseComplete BindComplete Complete:INSERT_0_1 ERROR:55000 ReadyForQuery:I", "insert fail sync"},
		{"the commit fails", msgs{parse("", "badsync"), bind("", ""), run, sync}, "ParseComplete BindComplete Complete:BADSYNC ERROR:40001 ReadyForQuery:I", "badsync fail sync"},
		{"too few parameters", msgs{bind("", "s"), sync}, "ERROR:08P01 ReadyForQuery:I", "fail sync"},
		{"too many formats", msgs{&pgproto3.Bind{PreparedStatement: "s", Parameters: text("1", "x"), ParameterFormatCodes: []int16{0, 0, 0}}, sync}, "ERROR:08P01 ReadyForQuery:I", "fail sync"},
		{"too many result formats", msgs{&pgproto3.Bind{PreparedStatement: "s", Parameters: text("1", "x"), ResultFormatCodes: []int16{0, 0, 0}}, sync}, "ERROR:08P01 ReadyForQuery:I", "fail sync"},
		{"an unknown format", msgs{&pgproto3.Bind{PreparedStatement: "s", Parameters: text("1", "x"), ResultFormatCodes: []int16{2}}, sync}, "ERROR:22023 ReadyForQuery:I", "fail sync"},
		{"not a number", msgs{&pgproto3.Bind{PreparedStatement: "s", Parameters: text("x", "x")}, sync}, "ERROR:22P02 ReadyForQuery:I", "fail sync"},
		{"not four bytes", msgs{&pgproto3.Bind{PreparedStatement: "s", Parameters: text("x", "x"), ParameterFormatCodes: []int16{1}}, sync}, "ERROR:22P03 ReadyForQuery:I", "fail sync"},
		{"not UTF-8", msgs{&pgproto3.Bind{PreparedStatement: "s", Parameters: text("1", "\xff")}, sync}, "ERROR:22021 ReadyForQuery:I", "fail sync"},
		{"a byte 0", msgs{&pgproto3.Bind{PreparedStatement: "s", Parameters: text("1", "\x00")}, sync}, "ERROR:22021 ReadyForQuery:I", "fail sync"},
		{"close", msgs{&pgproto3.Close{ObjectType: 'S', Name: "s"}, &pgproto3.Close{ObjectType: 'P', Name: "nope"}, bind("", "s"), sync},
			"CloseComplete CloseComplete ERROR:26000 ReadyForQuery:I", "fail sync"},
		{"DEALLOCATE", msgs{parse("d", "series 1"), parse("", "deallocate d"), bind("", ""), run, bind("", "d"), sync},
			"ParseComplete ParseComplete BindComplete Complete:DEALLOCATE ERROR:26000 ReadyForQuery:I", "deallocate fail sync"},
		{"a failed Parse takes the unnamed statement away", msgs{parse("", "series 1"), sync}, "ParseComplete ReadyForQuery:I", "sync"},
		{"failing", msgs{parse("", "nope"), sync}, "ERROR:42P01@4 ReadyForQuery:I", "fail sync"},
		{"taken away", msgs{bind("", ""), sync}, "ERROR:26000 ReadyForQuery:I", "fail sync"},
		{"an unnamed statement", msgs{parse("", "series 1"), sync}, "ParseComplete ReadyForQuery:I", "sync"},
		{"gone with a simple query", msgs{&pgproto3.Query{String: ""}}, "EmptyQueryResponse ReadyForQuery:I", "sync"},
		{"its error", msgs{bind("", ""), sync}, "ERROR:26000 ReadyForQuery:I", "fail sync"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl.t = t
			cl.send(c.send...)
			cl.expect(c.want)
			if got := f.took(); got != c.log {
				t.Errorf("the session heard %q, want %q", got, c.log)
			}
		})
	}
}
