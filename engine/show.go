package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/streamsql/streamsql/sql/ast"
	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/parser"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// showLists are the lists that SHOW prints, with their columns.
var showLists = map[string][]Column{
	"tables":             showCols("name"),
	"sources":            showCols("name", "connector", "format"),
	"views":              showCols("name"),
	"materialized views": showCols("name", "state", "rows:int8"),
	"sinks":              showCols("name", "connector", "state"),
	"indexes":            showCols("name", "on", "key"),
	"functions":          showCols("name", "arguments", "returns", "language", "symbol"),
	"columns":            showCols("name", "type", "is_nullable", "default", "key"),
	"jobs":               showCols("id:int8", "name", "kind", "state", "progress:float8", "error"),
	"all":                showCols("name", "setting", "description"),
}

func showCols(names ...string) []Column {
	out := make([]Column, len(names))
	for i, n := range names {
		name, typ, _ := strings.Cut(n, ":")
		t := types.Of(types.Text)
		switch typ {
		case "int8":
			t = types.Of(types.Int8)
		case "float8":
			t = types.Of(types.Float8)
		}
		out[i] = Column{Name: name, Type: t}
	}
	return out
}

func (s *Session) showColumns(a *ast.Show) ([]Column, error) {
	if c, ok := showLists[a.Name]; ok {
		return c, nil
	}
	if kind, ok := strings.CutPrefix(a.Name, "create "); ok {
		if kind == "function" {
			return nil, sqlerr.New(sqlerr.FeatureNotSupported, "SHOW CREATE FUNCTION is not supported").At(a.Offset()).
				WithHint("SHOW FUNCTIONS lists them.")
		}
		return showCols("name", "create_sql"), nil
	}
	name := a.Name
	if d := settingByName[strings.ToLower(name)]; d != nil {
		name = d.name
	} else if _, ok := s.Setting(name); !ok {
		return nil, unknownSetting(name)
	}
	return []Column{{Name: name, Type: types.Of(types.Text)}}, nil
}

func (s *Session) runShow(ctx context.Context, a *ast.Show) (*Rows, error) {
	cs, err := s.showColumns(a)
	if err != nil {
		return nil, err
	}
	r := &Rows{tag: "SHOW"}
	add := func(vs ...any) {
		row := make([]types.Datum, len(cs))
		for i, v := range vs {
			row[i] = toDatum(cs[i].Type, v)
		}
		r.static = append(r.static, row)
	}
	cat := s.eng.currentCatalog()
	switch kind, create := strings.CutPrefix(a.Name, "create "); {
	case create:
		o, err := s.named(cat, *a.Object)
		if err != nil {
			return nil, err
		}
		if string(o.Kind) != kind {
			return nil, sqlerr.New(sqlerr.WrongObjectType, `"%s" is a %s`, a.Object, o.Kind).At(a.Object.Offset())
		}
		add(o.Name, maskSecrets(o.SQL))
	case a.Name == "all":
		for _, d := range settingDefs {
			v, _ := s.Setting(d.name)
			add(d.name, v, d.about)
		}
	case a.Name == "columns":
		if a.Object == nil {
			return nil, sqlerr.New(sqlerr.Syntax, "SHOW COLUMNS needs FROM and a relation").At(a.Offset())
		}
		o, err := cat.Relation(a.Object.Parts, s.path(), a.Object.Offset())
		if err != nil {
			return nil, err
		}
		for i, c := range o.Columns {
			def, key := any(nil), any(nil)
			switch {
			case c.DefaultText != "":
				def = c.DefaultText
			case c.GeneratedText != "":
				def = "generated as " + c.GeneratedText
			}
			if slices.Contains(o.PrimaryKey, i) {
				key = "PRIMARY KEY"
			}
			add(c.Name, c.Type.String(), map[bool]string{true: "NO", false: "YES"}[c.NotNull || key != nil], def, key)
		}
	case showLists[a.Name] != nil:
		if err := s.showList(ctx, a, cat, add); err != nil {
			return nil, err
		}
	default:
		v, ok := s.Setting(a.Name)
		if !ok {
			return nil, unknownSetting(a.Name)
		}
		add(v)
	}
	return r, nil
}

// maskSecrets hides the values of options that are secret.
func maskSecrets(sql string) string {
	toks, err := parser.Lex(sql)
	if err != nil {
		return sql
	}
	var b strings.Builder
	at := 0
	for i := 2; i < len(toks); i++ {
		if v := toks[i]; v.Kind == parser.String && sql[toks[i-1].Pos:toks[i-1].End] == "=" && secret(toks[i-2].Val) {
			b.WriteString(sql[at:v.Pos] + "'********'")
			at = v.End
		}
	}
	return b.String() + sql[at:]
}

// named finds an object of any kind that has a name of its own.
func (s *Session) named(cat *catalog.Catalog, n ast.Name) (*catalog.Object, error) {
	if o := cat.Lookup(n.Parts, s.path()); o != nil {
		return o, nil
	}
	_, err := cat.Relation(n.Parts, s.path(), n.Offset())
	return nil, err
}

func (s *Session) showList(ctx context.Context, a *ast.Show, cat *catalog.Catalog, add func(...any)) error {
	schema := catalog.Public
	if a.Object != nil {
		if len(a.Object.Parts) != 1 || schemaOID(a.Object.Base()) == 0 {
			return sqlerr.New("3F000", `schema "%s" does not exist`, a.Object).At(a.Object.Offset())
		}
		schema = a.Object.Base()
	}
	var infos []JobInfo
	var err error
	switch a.Name {
	case "materialized views", "sinks", "jobs":
		if infos, err = s.eng.jobs(ctx); err != nil {
			return err
		}
	}
	if a.Name == "jobs" {
		for _, j := range infos {
			e := any(nil)
			if j.Error != "" {
				e = j.Error
			}
			add(j.ID, j.Name, string(j.Kind), string(j.State), j.progress(), e)
		}
		return nil
	}
	job := map[uint64]JobInfo{}
	for _, j := range infos {
		job[j.ID] = j
	}
	objs := slices.DeleteFunc(cat.All(), func(o *catalog.Object) bool {
		return o.Schema != schema || listName(o) != a.Name
	})
	slices.SortFunc(objs, func(a, b *catalog.Object) int { return strings.Compare(a.Name, b.Name) })
	for _, o := range objs {
		switch o.Kind {
		case catalog.Source:
			add(o.Name, o.Options["connector"], strings.ToUpper(strings.TrimSpace(o.Format+" "+o.Encode)))
		case catalog.MatView:
			add(o.Name, string(job[o.ID].State), job[o.ID].Rows)
		case catalog.Sink:
			add(o.Name, o.Options["connector"], string(job[o.ID].State))
		case catalog.Index:
			on := cat.ByID(o.On)
			if on == nil {
				continue
			}
			add(o.Name, on.Name, columnList(on, o.Keys))
		case catalog.Function:
			add(o.Name, functionArgs(o), o.Returns.String(), o.Language, o.Symbol)
		default:
			add(o.Name)
		}
	}
	return nil
}

// listName is the word of SHOW under which an object is listed.
func listName(o *catalog.Object) string {
	switch o.Kind {
	case catalog.Index:
		return "indexes"
	case catalog.Virtual:
		return "tables"
	}
	return string(o.Kind) + "s"
}

func columnList(o *catalog.Object, cols []int) string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = quoteIdent(o.Columns[c].Name)
	}
	return strings.Join(out, ", ")
}

func functionArgs(o *catalog.Object) string {
	out := make([]string, len(o.Args))
	for i, t := range o.Args {
		out[i] = t.String()
		if i < len(o.ArgNames) && o.ArgNames[i] != "" {
			out[i] = fmt.Sprintf("%s %s", quoteIdent(o.ArgNames[i]), t)
		}
	}
	return strings.Join(out, ", ")
}

// quoteIdent quotes a name where SQL needs it.
func quoteIdent(s string) string {
	if plainName(s) {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

// progress is the done part of a backfill, from 0 to 1; nil when it is unknown.
func (j *JobInfo) progress() any {
	switch {
	case j.State != Backfilling && j.State != Created:
		return 1.0
	case j.BackfillTotal < 0:
		return nil
	case j.BackfillTotal == 0:
		return 0.0
	}
	return min(1, float64(j.BackfillDone)/float64(j.BackfillTotal))
}
