package parser

import "github.com/streamsql/streamsql/sql/ast"

// statement reads one statement.
func (p *parser) statement() ast.Statement {
	t := p.tok()
	if p.isQuery() || t.isSym("(") {
		return p.selectOrDML()
	}
	if t.Kind != Ident {
		p.fail()
	}
	pos := ast.Pos(t.Pos)
	switch t.Val {
	case "insert":
		return p.insert(nil)
	case "update":
		return p.update(nil)
	case "delete":
		return p.delete(nil)
	case "create":
		return p.create()
	case "drop":
		return p.drop()
	case "alter":
		return p.alter()
	case "explain":
		return p.explain()
	case "show":
		return p.show()
	case "set":
		return p.set()
	case "reset":
		return p.reset()
	case "begin", "start":
		return p.begin()
	case "commit", "end":
		p.advance()
		return &ast.Commit{Pos: pos, Chain: p.endOfTransaction("COMMIT")}
	case "rollback", "abort":
		p.advance()
		return &ast.Rollback{Pos: pos, Chain: p.endOfTransaction("ROLLBACK")}
	case "discard":
		p.advance()
		w, ok := p.acceptOneOf("all", "plans", "sequences", "temp", "temporary")
		if !ok {
			p.fail()
		}
		if w == "temporary" {
			w = "temp"
		}
		return &ast.Discard{Pos: pos, What: w}
	case "deallocate":
		return p.deallocate()
	case "checkpoint":
		p.advance()
		return &ast.Checkpoint{Pos: pos}
	case "wait":
		p.advance()
		return &ast.Wait{Pos: pos}
	case "advance":
		p.expect("advance", "clock", "to")
		a := &ast.AdvanceClock{Pos: pos}
		p.slotExpr(p.expr(), func(x ast.Expr) { a.To = x })
		return a
	case "replay":
		return p.replay()
	case "close", "unlisten":
		return p.noEffect()
	}
	if unsupportedStatements[t.Val] {
		panic(unsupported(t.Pos, lowerToUpper(t.Val)))
	}
	p.fail()
	return nil
}

// unsupportedStatements are PostgreSQL's that the engine does not have.
var unsupportedStatements = wordSet(`
	analyse analyze call cluster comment copy declare do execute fetch grant import listen load lock
	merge move notify prepare reassign refresh reindex release revoke savepoint security truncate
	vacuum`)

// selectOrDML reads a query, or INSERT, UPDATE and DELETE behind WITH.
func (p *parser) selectOrDML() ast.Statement {
	if p.is("with") {
		if n := p.afterWith(); n.is("insert") || n.is("update") || n.is("delete") {
			return p.dmlWith()
		}
	}
	q := &ast.Query{}
	p.slotQuery(p.queryFrag(p.query()), func(r *ast.Query) { *q = *r })
	return q
}

// afterWith returns the token behind the WITH clause that starts here.
func (p *parser) afterWith() Token {
	i := p.i
	for ; i < len(p.toks)-1; i++ {
		t := p.toks[i]
		if t.isSym("(") && p.closed[i] > 0 {
			i = int(p.closed[i])
			if n := p.toks[i+1]; !n.isSym(",") && !n.is("as") {
				return n
			}
		}
	}
	return p.toks[i]
}

// dmlWith reads WITH and the statement behind it. TiDB sees the clause in front
// of a query of its own.
func (p *parser) dmlWith() ast.Statement {
	start := p.tok()
	w := &ast.With{}
	q := &query{pos: start.Pos, bodyPos: start.Pos, with: p.withClause()}
	q.body = p.wrap(-1, "SELECT ", "", "", p.marker(-1, "__none"))
	p.slotQuery(p.queryFrag(q), func(r *ast.Query) { *w = *r.With })
	switch t := p.tok(); t.Val {
	case "insert":
		return p.insert(w)
	case "update":
		return p.update(w)
	}
	return p.delete(w)
}

// noEffect reads what clients send to clean a session and has nothing to do here.
func (p *parser) noEffect() ast.Statement {
	t := p.advance()
	n := &ast.NoEffect{Pos: ast.Pos(t.Pos), Tag: "UNLISTEN"}
	if t.Val == "close" {
		n.Tag = "CLOSE CURSOR ALL"
		if !p.accept("all") {
			panic(unsupported(t.Pos, "CLOSE of a cursor"))
		}
		return n
	}
	if p.tok().isOp("*") {
		p.advance()
	} else {
		p.colID()
	}
	return n
}

func (p *parser) deallocate() ast.Statement {
	d := &ast.Deallocate{Pos: ast.Pos(p.advance().Pos)}
	if p.is("prepare") && (isColID(p.peek(1)) || p.peek(1).is("all")) {
		p.advance()
	}
	if p.accept("all") {
		d.All = true
	} else {
		d.Name = p.colID()
	}
	return d
}

// explain reads EXPLAIN.
func (p *parser) explain() ast.Statement {
	e := &ast.Explain{Pos: ast.Pos(p.advance().Pos)}
	if p.is("watermark") {
		p.advance()
		return &ast.ExplainWatermark{Pos: e.Pos, Name: p.relation()}
	}
	word := func(w string) bool {
		t := p.tok()
		if !p.accept(w) {
			return false
		}
		e.Options = append(e.Options, &ast.Option{Pos: ast.Pos(t.Pos), Name: w})
		return true
	}
	if p.isSym("(") && !p.starts[p.i] {
		e.Options = p.options()
	} else {
		if !word("analyze") {
			word("analyse")
		}
		word("verbose")
	}
	for _, o := range e.Options {
		if o.Name == "analyse" {
			o.Name = "analyze"
		}
	}
	switch t := p.tok(); {
	case p.isQuery(), t.is("insert"), t.is("update"), t.is("delete"), t.is("create"):
		e.Stmt = p.statement()
	case t.is("declare"), t.is("execute"), t.is("refresh"), t.is("merge"):
		panic(unsupported(t.Pos, lowerToUpper(t.Val)))
	default:
		p.fail()
	}
	return e
}

// replay reads REPLAY LATE and REPLAY DEAD LETTERS.
func (p *parser) replay() ast.Statement {
	r := &ast.Replay{Pos: ast.Pos(p.advance().Pos), What: ast.ReplayLate}
	if !p.accept("late") {
		p.expect("dead", "letters")
		r.What = ast.ReplayDeadLetters
	}
	p.expect("from")
	r.Name = p.relation()
	return r
}

// endOfTransaction reads [WORK | TRANSACTION] [AND [NO] CHAIN].
func (p *parser) endOfTransaction(what string) (chain bool) {
	if p.is("prepared") {
		panic(unsupported(p.tok().Pos, what+" PREPARED"))
	}
	p.acceptOneOf("work", "transaction")
	if t := p.tok(); what == "ROLLBACK" && t.is("to") {
		panic(unsupported(t.Pos, "ROLLBACK TO SAVEPOINT"))
	}
	if p.accept("and") {
		chain = !p.accept("no")
		p.expect("chain")
	}
	return chain
}

func (p *parser) begin() ast.Statement {
	b := &ast.Begin{Pos: ast.Pos(p.tok().Pos)}
	if p.accept("begin") {
		p.acceptOneOf("work", "transaction")
	} else {
		p.expect("start", "transaction")
	}
	b.Modes = p.transactionModes()
	return b
}

// transactionModes reads the modes of a transaction, between them commas or not.
func (p *parser) transactionModes() (m ast.TransactionModes) {
	yes, no := true, false
	for {
		switch {
		case p.accept("isolation", "level"):
			switch {
			case p.accept("read", "committed"):
				m.Isolation = "read committed"
			case p.accept("read", "uncommitted"):
				m.Isolation = "read uncommitted"
			case p.accept("repeatable", "read"):
				m.Isolation = "repeatable read"
			default:
				p.expect("serializable")
				m.Isolation = "serializable"
			}
		case p.accept("read", "only"):
			m.ReadOnly = &yes
		case p.accept("read", "write"):
			m.ReadOnly = &no
		case p.accept("deferrable"):
			m.Deferrable = &yes
		case p.accept("not", "deferrable"):
			m.Deferrable = &no
		default:
			return m
		}
		if p.isSym(",") && (p.peek(1).is("isolation") || p.peek(1).is("read") || p.peek(1).is("deferrable") || p.peek(1).is("not")) {
			p.advance()
		}
	}
}
