package engine

import (
	"context"
	"strconv"
	"strings"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

func itoa(n int) string { return strconv.Itoa(n) }

// catalogFuncs answers the functions that look into the catalog (PostgreSQL 15,
// section 9.26). It is called by the goroutines that run a query.
type catalogFuncs struct {
	cat      *catalog.Catalog
	eng      *Engine
	path     []string
	user     string
	database string
	session  *activity
}

func text(s string) types.Datum { return types.Datum{S: []byte(s)} }

func boolean(b bool) types.Datum { return toDatum(types.Type{}, b) }

// call answers fn. Its arguments are not NULL where the function is strict.
func (f *catalogFuncs) call(fn string, args []types.Datum) (types.Datum, error) {
	null := types.NullDatum
	n := func(i int) int64 {
		if i < len(args) {
			return args[i].I
		}
		return 0
	}
	str := func(i int) string {
		if i < len(args) {
			return string(args[i].S)
		}
		return ""
	}
	switch fn {
	case "format_type":
		if args[0].Null {
			return null, nil
		}
		mod := int64(-1)
		if len(args) > 1 && !args[1].Null {
			mod = args[1].I
		}
		return text(formatType(args[0].I, mod)), nil
	case "pg_get_userbyid":
		if n(0) == ownerOID {
			return text(f.user), nil
		}
		return text("unknown (OID=" + strconv.FormatInt(n(0), 10) + ")"), nil
	case "pg_get_viewdef":
		o := f.cat.ByID(uint64(n(0)))
		if len(args) > 0 && args[0].S != nil {
			id, err := f.regclass(str(0))
			if err != nil {
				return null, err
			}
			o = f.cat.ByID(id)
		}
		if o == nil || o.Query == "" {
			return null, nil
		}
		return text(strings.TrimRight(o.Query, "; \n\t") + ";"), nil
	case "pg_get_expr":
		return args[0], nil
	case "pg_get_indexdef":
		return f.indexdef(n(0), n(1)), nil
	case "pg_get_constraintdef":
		if x := f.index(n(0)); x != nil && x.primary {
			return text("PRIMARY KEY (" + columnList(x.table, x.keys) + ")"), nil
		}
		return null, nil
	case "pg_get_function_arguments", "pg_get_function_identity_arguments", "pg_get_function_result":
		return f.function(fn, n(0)), nil
	case "pg_get_functiondef":
		if o := f.cat.ByID(uint64(n(0))); o != nil && o.Kind == catalog.Function {
			return text(o.SQL), nil
		}
		return null, nil
	case "pg_table_is_visible":
		return f.visible(n(0)), nil
	case "pg_type_is_visible":
		return boolean(typeByOID(n(0)) != nil), nil
	case "pg_function_is_visible", "pg_operator_is_visible":
		if o := f.cat.ByID(uint64(n(0))); o != nil {
			return boolean(f.inPath(o.Schema)), nil
		}
		return boolean(n(0) >= procBase), nil
	case "pg_encoding_to_char":
		if n(0) == 6 {
			return text("UTF8"), nil
		}
		return text(""), nil
	case "pg_table_size", "pg_relation_size", "pg_total_relation_size", "pg_database_size":
		return f.size(fn, args)
	case "pg_indexes_size":
		return types.Datum{}, nil
	case "to_regclass", "regclassin":
		id, err := f.regclass(str(0))
		if err != nil && fn == "to_regclass" {
			return null, nil
		}
		return types.Datum{I: int64(id)}, err
	case "to_regtype", "regtypein":
		oid, err := regtype(str(0))
		if err != nil && fn == "to_regtype" {
			return null, nil
		}
		return types.Datum{I: oid}, err
	case "regclassout":
		return text(f.className(n(0))), nil
	case "regtypeout":
		if n(0) == 0 {
			return text("-"), nil
		}
		return text(formatType(n(0), -1)), nil
	case "regnamespacein":
		if oid := schemaOID(str(0)); oid != 0 {
			return types.Datum{I: int64(oid)}, nil
		}
		if oid, err := strconv.ParseUint(str(0), 10, 32); err == nil {
			return types.Datum{I: int64(oid)}, nil
		}
		return null, sqlerr.New("3F000", `schema "%s" does not exist`, str(0))
	case "regnamespaceout":
		for _, s := range schemaNames {
			if int64(schemaOID(s)) == n(0) {
				return text(s), nil
			}
		}
		return text(strconv.FormatInt(n(0), 10)), nil
	case "regprocin":
		for i, b := range builtinFuncs() {
			if b.Name == strings.TrimPrefix(str(0), "pg_catalog.") {
				return types.Datum{I: int64(procBase + i)}, nil
			}
		}
		return null, sqlerr.New(sqlerr.UndefinedFunction, `function "%s" does not exist`, str(0))
	case "regprocout":
		if b := builtinByOID(n(0)); b != nil {
			return text(b.Name), nil
		}
		if o := f.cat.ByID(uint64(n(0))); o != nil {
			return text(o.Name), nil
		}
		return text(strconv.FormatInt(n(0), 10)), nil
	case "current_schema":
		for _, s := range f.path {
			if s != catalog.PgCatalog {
				return text(s), nil
			}
		}
		return null, nil
	case "current_schemas":
		b := []byte{}
		for _, s := range f.path {
			if s != catalog.PgCatalog || n(0) != 0 {
				b = types.AppendElem(b, types.Name, text(s))
			}
		}
		return types.Datum{S: b}, nil
	case "pg_backend_pid":
		return types.Datum{I: f.session.pid.Load()}, nil
	case "pg_postmaster_start_time":
		return types.Datum{I: processStart}, nil
	case "pg_is_in_recovery", "pg_is_other_temp_schema", "pg_relation_is_publishable":
		return boolean(false), nil
	case "has_table_privilege", "has_schema_privilege", "has_database_privilege", "has_function_privilege":
		return boolean(true), nil
	case "pg_my_temp_schema", "pg_stat_get_numscans":
		return types.Datum{}, nil
	case "obj_description", "shobj_description", "col_description", "pg_get_statisticsobjdef_columns", "pg_get_partkeydef",
		"pg_get_triggerdef", "pg_get_ruledef", "pg_get_serial_sequence", "pg_tablespace_location":
		return null, nil
	}
	return null, sqlerr.New(sqlerr.FeatureNotSupported, "function %s is not supported", fn)
}

func formatType(oid, mod int64) string {
	if t, ok := typeByMod(uint32(oid), mod); ok {
		return t.String()
	}
	if p := typeByOID(oid); p != nil {
		return p.name
	}
	if oid == 0 {
		return "-"
	}
	return "???"
}

func (f *catalogFuncs) index(oid int64) *indexInfo {
	for _, x := range indexesOf(f.cat) {
		if int64(x.oid) == oid {
			return &x
		}
	}
	return nil
}

func (f *catalogFuncs) indexdef(oid, col int64) types.Datum {
	x := f.index(oid)
	switch {
	case x == nil:
		return types.NullDatum
	case col == 0:
		return text(x.definition())
	case col <= int64(len(x.keys)):
		return text(columnList(x.table, x.keys[col-1:col]))
	}
	return text("")
}

func builtinByOID(oid int64) *expr.Func {
	if i := oid - procBase; i >= 0 && i < int64(len(builtinFuncs())) {
		return builtinFuncs()[i]
	}
	return nil
}

func (f *catalogFuncs) function(fn string, oid int64) types.Datum {
	if o := f.cat.ByID(uint64(oid)); o != nil && o.Kind == catalog.Function {
		if fn == "pg_get_function_result" {
			return text(o.Returns.String())
		}
		return text(functionArgs(o))
	}
	b := builtinByOID(oid)
	if b == nil {
		return types.NullDatum
	}
	if fn == "pg_get_function_result" {
		return text(pseudoName(b.Ret))
	}
	out := make([]string, len(b.Args))
	for i, t := range b.Args {
		out[i] = pseudoName(t)
		if b.Variadic && i == len(b.Args)-1 {
			out[i] = "VARIADIC " + out[i]
		}
	}
	return text(strings.Join(out, ", "))
}

func (f *catalogFuncs) inPath(schema string) bool {
	for _, s := range f.path {
		if s == schema {
			return true
		}
	}
	return false
}

// visible tells whether a relation's name alone finds it.
func (f *catalogFuncs) visible(oid int64) types.Datum {
	if o := f.cat.ByID(uint64(oid)); o != nil {
		return boolean(f.cat.Lookup([]string{o.Name}, f.path) == o)
	}
	if x := f.index(oid); x != nil {
		return boolean(f.inPath(x.table.Schema))
	}
	return types.NullDatum
}

// className is how regclass prints: qualified where the path needs it.
func (f *catalogFuncs) className(oid int64) string {
	if oid == 0 {
		return "-"
	}
	o := f.cat.ByID(uint64(oid))
	if o == nil {
		if x := f.index(oid); x != nil {
			return quoteIdent(x.name)
		}
		return strconv.FormatInt(oid, 10)
	}
	if f.cat.Lookup([]string{o.Name}, f.path) == o {
		return quoteIdent(o.Name)
	}
	return quoteIdent(o.Schema) + "." + quoteIdent(o.Name)
}

// regclass reads a relation's name, or its OID.
func (f *catalogFuncs) regclass(s string) (uint64, error) {
	if s == "-" {
		return 0, nil
	}
	if oid, err := strconv.ParseUint(s, 10, 32); err == nil {
		return oid, nil
	}
	parts, ok := splitName(s)
	if !ok {
		return 0, sqlerr.New("42602", "invalid name syntax")
	}
	if o := f.cat.Lookup(parts, f.path); o != nil {
		return o.ID, nil
	}
	for _, x := range indexesOf(f.cat) {
		if x.primary && x.name == parts[len(parts)-1] {
			return x.oid, nil
		}
	}
	_, err := f.cat.Relation(parts, f.path, -1)
	return 0, err
}

// splitName reads a qualified name as SQL quotes it.
func splitName(s string) ([]string, bool) {
	parts, ok := splitPath(replaceDots(s))
	return parts, ok && len(parts) > 0 && len(parts) <= 3
}

// replaceDots puts commas for the dots outside quotes.
func replaceDots(s string) string {
	b, quoted := []byte(s), false
	for i, c := range b {
		switch {
		case c == '"':
			quoted = !quoted
		case c == '.' && !quoted:
			b[i] = ','
		}
	}
	return string(b)
}

// regtype reads a type's name, or its OID.
func regtype(s string) (int64, error) {
	if oid, err := strconv.ParseUint(s, 10, 32); err == nil {
		return int64(oid), nil
	}
	name := strings.ToLower(strings.TrimPrefix(strings.TrimSpace(s), "pg_catalog."))
	elem, array := strings.CutSuffix(name, "[]")
	for _, p := range pgTypeList() {
		full := ""
		if t, ok := types.FromOID(uint32(p.oid)); ok && t.ID != types.Array {
			full = t.String()
		}
		if p.name == elem || full == elem {
			if array {
				return int64(p.array), nil
			}
			return int64(p.oid), nil
		}
	}
	if t, ok := expr.TypeNamed(elem); ok {
		if array {
			t = types.ArrayOf(t.ID)
		}
		return int64(t.OID()), nil
	}
	return 0, sqlerr.New(sqlerr.UndefinedObject, `type "%s" does not exist`, s)
}

// size tells what a relation, or everything, holds in memory.
func (f *catalogFuncs) size(fn string, args []types.Datum) (types.Datum, error) {
	infos, err := f.eng.jobs(context.Background())
	if err != nil {
		return types.NullDatum, err
	}
	var n int64
	for _, j := range infos {
		if fn == "pg_database_size" || len(args) > 0 && int64(j.ID) == args[0].I {
			n += j.StateBytes
		}
	}
	return types.Datum{I: n}, nil
}

// RegName returns how a value of regclass or regtype prints.
func (s *Session) RegName(t types.Type, oid int64) string {
	f := &catalogFuncs{cat: s.eng.currentCatalog(), eng: s.eng, path: s.path()}
	if t.ID == types.Regclass {
		return f.className(oid)
	}
	if oid == 0 {
		return "-"
	}
	return formatType(oid, -1)
}
