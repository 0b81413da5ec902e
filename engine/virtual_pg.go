package engine

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/types"
)

// Identifiers that PostgreSQL gives, or that stand apart from the catalog's own.
const (
	ownerOID    = 10
	databaseOID = 5
	pgOID       = 11    // schema pg_catalog
	publicOID   = 2200  // schema public
	infoOID     = 13000 // schema information_schema
	systemOID   = 14000 // schema streamsql
	heapOID     = 2     // access method heap
	treeOID     = 403   // access method btree
	serverOID   = 16000 // foreign server of sources
	procBase    = 1 << 28
	attrdefBase = 1 << 29
	keyBase     = 1 << 30 // + table: index and constraint of its primary key
	collDefault = 100
)

// keyOID is the identifier of the index, and of the constraint, of a primary key.
func keyOID(o *catalog.Object) uint64 { return keyBase + o.ID }

// schemaOID returns a schema's identifier; 0: there is none of that name.
func schemaOID(name string) int {
	switch name {
	case catalog.PgCatalog:
		return pgOID
	case catalog.Public:
		return publicOID
	case catalog.Information:
		return infoOID
	case catalog.System:
		return systemOID
	}
	return 0
}

var schemaNames = []string{catalog.PgCatalog, catalog.Public, catalog.Information, catalog.System}

// relkind is pg_class.relkind; "": the object is not shown there.
func relkind(o *catalog.Object) string {
	switch o.Kind {
	case catalog.Table:
		return "r"
	case catalog.View:
		return "v"
	case catalog.MatView:
		return "m"
	case catalog.Source:
		return "f"
	case catalog.Index:
		return "i"
	case catalog.Virtual:
		if o.Schema != catalog.PgCatalog || o.ID > 12000 {
			return "v"
		}
		return "r"
	}
	return ""
}

// shown are the objects of pg_class, by ascending ID.
func (v *virtualEnv) shown() []*catalog.Object {
	return slices.DeleteFunc(v.cat.All(), func(o *catalog.Object) bool { return relkind(o) == "" })
}

func keyName(o *catalog.Object) string { return o.Name + "_pkey" }

var pgCatalogRows = map[string]func(*virtualEnv) error{
	"pg_catalog.pg_namespace": func(v *virtualEnv) error {
		for _, n := range schemaNames {
			v.add(vrow{"oid": schemaOID(n), "nspname": n, "nspowner": ownerOID})
		}
		return nil
	},
	"pg_catalog.pg_am": func(v *virtualEnv) error {
		v.add(vrow{"oid": heapOID, "amname": "heap", "amhandler": "heap_tableam_handler", "amtype": "t"})
		v.add(vrow{"oid": treeOID, "amname": "btree", "amhandler": "bthandler", "amtype": "i"})
		return nil
	},
	"pg_catalog.pg_tablespace": func(v *virtualEnv) error {
		v.add(vrow{"oid": 1663, "spcname": "pg_default", "spcowner": ownerOID})
		v.add(vrow{"oid": 1664, "spcname": "pg_global", "spcowner": ownerOID})
		return nil
	},
	"pg_catalog.pg_collation": func(v *virtualEnv) error {
		for i, n := range []string{"default", "C"} {
			loc := any("C")
			if i == 0 {
				loc = nil
			}
			v.add(vrow{"oid": []int{collDefault, 950}[i], "collname": n, "collnamespace": pgOID, "collowner": ownerOID,
				"collprovider": []string{"d", "c"}[i], "collisdeterministic": true, "collencoding": -1, "collcollate": loc, "collctype": loc})
		}
		return nil
	},
	"pg_catalog.pg_language": func(v *virtualEnv) error {
		for i, n := range []string{"internal", "sql", "go"} {
			v.add(vrow{"oid": 12 + i, "lanname": n, "lanowner": ownerOID, "lanpltrusted": i == 1})
		}
		return nil
	},
	"pg_catalog.pg_foreign_data_wrapper": func(v *virtualEnv) error {
		v.add(vrow{"oid": serverOID - 1, "fdwname": "connector", "fdwowner": ownerOID})
		return nil
	},
	"pg_catalog.pg_foreign_server": func(v *virtualEnv) error {
		v.add(vrow{"oid": serverOID, "srvname": "streamsql", "srvowner": ownerOID, "srvfdw": serverOID - 1})
		return nil
	},
	"pg_catalog.pg_foreign_table": func(v *virtualEnv) error {
		for _, o := range v.cat.All() {
			if o.Kind == catalog.Source {
				v.add(vrow{"ftrelid": o.ID, "ftserver": serverOID, "ftoptions": shownOptions(o)})
			}
		}
		return nil
	},
	"pg_catalog.pg_class":      pgClass,
	"pg_catalog.pg_attribute":  pgAttribute,
	"pg_catalog.pg_attrdef":    pgAttrdef,
	"pg_catalog.pg_index":      pgIndex,
	"pg_catalog.pg_constraint": pgConstraint,
	"pg_catalog.pg_type":       pgTypes,
	"pg_catalog.pg_proc":       pgProc,
	"pg_catalog.pg_rewrite": func(v *virtualEnv) error {
		for _, o := range v.cat.All() {
			if o.Kind == catalog.View || o.Kind == catalog.MatView {
				v.add(vrow{"oid": attrdefBase - 1 - o.ID, "rulename": "_RETURN", "ev_class": o.ID, "ev_type": "1", "ev_enabled": "O",
					"is_instead": true, "ev_action": o.Query})
			}
		}
		return nil
	},
	"pg_catalog.pg_tables": func(v *virtualEnv) error {
		for _, o := range v.shown() {
			if relkind(o) == "r" {
				v.add(vrow{"schemaname": o.Schema, "tablename": o.Name, "tableowner": v.s.user, "hasindexes": v.indexed(o)})
			}
		}
		return nil
	},
	"pg_catalog.pg_views": func(v *virtualEnv) error {
		for _, o := range v.shown() {
			if relkind(o) == "v" {
				v.add(vrow{"schemaname": o.Schema, "viewname": o.Name, "viewowner": v.s.user, "definition": textOr(o.Query)})
			}
		}
		return nil
	},
	"pg_catalog.pg_matviews": func(v *virtualEnv) error {
		for _, o := range v.shown() {
			if relkind(o) == "m" {
				v.add(vrow{"schemaname": o.Schema, "matviewname": o.Name, "matviewowner": v.s.user, "hasindexes": v.indexed(o),
					"ispopulated": true, "definition": textOr(o.Query)})
			}
		}
		return nil
	},
	"pg_catalog.pg_indexes": func(v *virtualEnv) error {
		for _, x := range v.indexes() {
			v.add(vrow{"schemaname": x.table.Schema, "tablename": x.table.Name, "indexname": x.name, "indexdef": x.definition()})
		}
		return nil
	},
}

// shownOptions are a source's options as an array of name=value.
func shownOptions(o *catalog.Object) []string {
	out := []string{}
	for k, val := range o.Options {
		if secret(k) {
			val = "********"
		}
		out = append(out, k+"="+val)
	}
	slices.Sort(out)
	return out
}

// indexInfo is an index of CREATE INDEX, or that of a primary key.
type indexInfo struct {
	oid     uint64
	name    string
	table   *catalog.Object
	keys    []int
	include []int
	unique  bool
	primary bool
}

func (x *indexInfo) definition() string {
	unique, include := "", ""
	if x.unique {
		unique = "UNIQUE "
	}
	if len(x.include) > 0 {
		include = " INCLUDE (" + columnList(x.table, x.include) + ")"
	}
	return fmt.Sprintf("CREATE %sINDEX %s ON %s.%s USING btree (%s)%s", unique, quoteIdent(x.name),
		quoteIdent(x.table.Schema), quoteIdent(x.table.Name), columnList(x.table, x.keys), include)
}

// indexes lists all indexes by ascending OID.
func (v *virtualEnv) indexes() []indexInfo { return indexesOf(v.cat) }

func indexesOf(cat *catalog.Catalog) []indexInfo {
	var out []indexInfo
	for _, o := range cat.All() {
		switch {
		case o.Kind == catalog.Index:
			if t := cat.ByID(o.On); t != nil {
				out = append(out, indexInfo{oid: o.ID, name: o.Name, table: t, keys: o.Keys, include: o.Include, unique: o.Unique})
			}
		case o.Kind == catalog.Table && len(o.PrimaryKey) > 0:
			out = append(out, indexInfo{oid: keyOID(o), name: keyName(o), table: o, keys: o.PrimaryKey, unique: true, primary: true})
		}
	}
	slices.SortFunc(out, func(a, b indexInfo) int { return int(a.oid) - int(b.oid) })
	return out
}

func (v *virtualEnv) indexed(o *catalog.Object) bool {
	return slices.ContainsFunc(v.indexes(), func(x indexInfo) bool { return x.table == o })
}

func pgClass(v *virtualEnv) error {
	has := map[*catalog.Object]bool{}
	for _, x := range v.indexes() {
		has[x.table] = true
	}
	class := func(oid uint64, name, schema, kind string, natts, am int, indexed bool) {
		v.add(vrow{"oid": oid, "relname": name, "relnamespace": schemaOID(schema), "relowner": ownerOID, "relam": am,
			"relfilenode": 0, "reltuples": -1.0, "relhasindex": indexed, "relpersistence": "p", "relkind": kind, "relnatts": natts,
			"relhasrules": kind == "v" || kind == "m", "relispopulated": true, "relreplident": "d"})
	}
	for _, o := range v.shown() {
		am, n := 0, len(o.Columns)
		switch relkind(o) {
		case "r", "m":
			am = heapOID
		case "i":
			am, n = treeOID, len(o.Keys)+len(o.Include)
		}
		class(o.ID, o.Name, o.Schema, relkind(o), n, am, has[o])
	}
	for _, x := range v.indexes() {
		if x.primary {
			class(x.oid, x.name, x.table.Schema, "i", len(x.keys), treeOID, false)
		}
	}
	return nil
}

func pgAttribute(v *virtualEnv) error {
	att := func(rel uint64, num int, c catalog.Column, notNull bool) {
		len, byval, align, storage := typeLayout(c.Type)
		gen, coll := "", 0
		if c.Generated != nil || c.GeneratedText != "" {
			gen = "s"
		}
		switch c.Type.ID {
		case types.Text, types.Varchar, types.Bpchar:
			coll = collDefault
		case types.Name:
			coll = 950
		}
		dims := 0
		if c.Type.ID == types.Array {
			dims = 1
		}
		v.add(vrow{"attrelid": rel, "attname": c.Name, "atttypid": c.Type.OID(), "attstattarget": -1, "attlen": len, "attnum": num,
			"attndims": dims, "attcacheoff": -1, "atttypmod": typmod(c.Type), "attbyval": byval, "attalign": align,
			"attstorage": storage, "attnotnull": notNull, "atthasdef": c.DefaultText != "" || gen != "", "attgenerated": gen,
			"attislocal": true, "attcollation": coll})
	}
	for _, o := range v.shown() {
		if o.Kind == catalog.Index {
			continue
		}
		for i, c := range o.Columns {
			att(o.ID, i+1, c, c.NotNull || slices.Contains(o.PrimaryKey, i))
		}
	}
	for _, x := range v.indexes() {
		for i, k := range append(slices.Clone(x.keys), x.include...) {
			c := x.table.Columns[k]
			att(x.oid, i+1, catalog.Column{Name: c.Name, Type: c.Type}, false)
		}
	}
	return nil
}

func pgAttrdef(v *virtualEnv) error {
	n := attrdefBase
	for _, o := range v.shown() {
		for i, c := range o.Columns {
			text := c.DefaultText
			if c.GeneratedText != "" {
				text = c.GeneratedText
			}
			if text != "" {
				n++
				v.add(vrow{"oid": n, "adrelid": o.ID, "adnum": i + 1, "adbin": text})
			}
		}
	}
	return nil
}

func attnums(cols []int) []int {
	out := make([]int, len(cols))
	for i, c := range cols {
		out[i] = c + 1
	}
	return out
}

func pgIndex(v *virtualEnv) error {
	for _, x := range v.indexes() {
		all := attnums(append(slices.Clone(x.keys), x.include...))
		zeros := make([]int, len(x.keys))
		v.add(vrow{"indexrelid": x.oid, "indrelid": x.table.ID, "indnatts": len(all), "indnkeyatts": len(x.keys),
			"indisunique": x.unique, "indisprimary": x.primary, "indimmediate": true, "indisvalid": true, "indisready": true,
			"indislive": true, "indkey": all, "indcollation": zeros, "indclass": zeros, "indoption": zeros})
	}
	return nil
}

func pgConstraint(v *virtualEnv) error {
	for _, x := range v.indexes() {
		if x.primary {
			v.add(vrow{"oid": x.oid, "conname": x.name, "connamespace": schemaOID(x.table.Schema), "contype": "p", "convalidated": true,
				"conrelid": x.table.ID, "conindid": x.oid, "confupdtype": " ", "confdeltype": " ", "confmatchtype": " ",
				"conislocal": true, "connoinherit": true, "conkey": attnums(x.keys)})
		}
	}
	return nil
}

// pgTypeText has, for each type that PostgreSQL's clients know, its OID, name,
// length, by-value, kind, category, preferred, element, array, input and output.
//
//go:embed pg_type.txt
var pgTypeText string

type pgType struct {
	oid, elem, array int
	name             string
	len              int
	byval            bool
	kind, category   string
	preferred        bool
	in, out          string
}

// pgTypeList is the types that this engine has, and their arrays.
var pgTypeList = sync.OnceValue(func() []pgType {
	var out []pgType
	seen := map[int]bool{}
	for line := range strings.Lines(pgTypeText) {
		f := strings.Fields(line)
		num := func(i int) int { n, _ := strconv.Atoi(f[i]); return n }
		t := pgType{oid: num(0), name: f[1], len: num(2), byval: f[3] == "t", kind: f[4], category: f[5], preferred: f[6] == "t",
			elem: num(7), array: num(8), in: f[9], out: f[10]}
		if _, ok := types.FromOID(uint32(t.oid)); !ok && t.kind != "p" || strings.HasPrefix(t.name, "_") {
			continue
		}
		seen[t.oid] = true
		out = append(out, t)
	}
	for _, t := range slices.Clone(out) {
		if t.array != 0 && !seen[t.array] {
			out = append(out, pgType{oid: t.array, name: "_" + t.name, len: -1, kind: "b", category: "A", elem: t.oid, in: "array_in", out: "array_out"})
		}
	}
	slices.SortFunc(out, func(a, b pgType) int { return a.oid - b.oid })
	return out
})

func typeByOID(oid int64) *pgType {
	l := pgTypeList()
	i, ok := slices.BinarySearchFunc(l, int(oid), func(t pgType, oid int) int { return t.oid - oid })
	if !ok {
		return nil
	}
	return &l[i]
}

// typeLayout returns attlen, attbyval, attalign and attstorage.
func typeLayout(t types.Type) (size int, byval bool, align, storage string) {
	size, align, storage = -1, "i", "x"
	if p := typeByOID(int64(t.OID())); p != nil {
		size, byval = p.len, p.byval
	}
	switch size {
	case 1:
		align, storage = "c", "p"
	case 2:
		align, storage = "s", "p"
	case 4:
		storage = "p"
	case 8, 16:
		align, storage = "d", "p"
	case 64:
		align, storage = "c", "p"
	}
	return size, byval, align, storage
}

// typmod is pg_attribute.atttypmod.
func typmod(t types.Type) int {
	switch {
	case t.Mod == 0:
		return -1
	case t.ID == types.Numeric:
		return int(t.Mod) - 1 + 4
	case t.ID == types.Varchar, t.ID == types.Bpchar:
		return int(t.Mod) + 4
	}
	return int(t.Mod) - 1
}

// typeByMod is the inverse of OID and typmod.
func typeByMod(oid uint32, mod int64) (types.Type, bool) {
	t, ok := types.FromOID(oid)
	if !ok || mod < 0 {
		return t, ok
	}
	switch t.ID {
	case types.Numeric:
		t.Mod = int32(mod - 4 + 1)
	case types.Varchar, types.Bpchar:
		t.Mod = int32(mod - 4)
	case types.Time, types.Timestamp, types.Timestamptz:
		t.Mod = int32(mod + 1)
	}
	return t, true
}

func pgTypes(v *virtualEnv) error {
	for _, t := range pgTypeList() {
		coll, delim, align, storage := 0, ",", "i", "p"
		switch t.category {
		case "S":
			coll = collDefault
			if t.name == "name" {
				coll = 950
			}
		case "A":
			storage = "x"
		}
		if t.len < 0 {
			storage = "x"
		}
		v.add(vrow{"oid": t.oid, "typname": t.name, "typnamespace": pgOID, "typowner": ownerOID, "typlen": t.len, "typbyval": t.byval,
			"typtype": t.kind, "typcategory": t.category, "typispreferred": t.preferred, "typisdefined": true, "typdelim": delim,
			"typelem": t.elem, "typarray": t.array, "typinput": t.in, "typoutput": t.out, "typreceive": strings.TrimSuffix(t.in, "in") + "recv",
			"typsend": strings.TrimSuffix(t.out, "out") + "send", "typsubscript": map[bool]string{true: "array_subscript_handler", false: "-"}[t.category == "A"],
			"typmodin": "-", "typmodout": "-", "typanalyze": "-", "typalign": align, "typstorage": storage, "typtypmod": -1, "typcollation": coll})
	}
	return nil
}

func typeOIDs(ts []types.Type) []int {
	out := make([]int, len(ts))
	for i, t := range ts {
		out[i] = pseudoOID(t)
	}
	return out
}

// pseudoOID is the OID of a type as a function declares it.
func pseudoOID(t types.Type) int {
	switch t.ID {
	case expr.Any:
		return 2276
	case expr.AnyElement:
		return 2283
	case expr.AnyArray:
		return 2277
	}
	return int(t.OID())
}

func pseudoName(t types.Type) string {
	switch t.ID {
	case expr.Any:
		return `"any"`
	case expr.AnyElement:
		return "anyelement"
	case expr.AnyArray:
		return "anyarray"
	}
	return t.String()
}

// builtinFuncs are the built-in functions that have names, by key; their OIDs
// are procBase and their place.
var builtinFuncs = sync.OnceValue(func() []*expr.Func {
	var out []*expr.Func
	for _, n := range expr.Names() {
		if plainName(n) {
			out = append(out, expr.Overloads(n)...)
		}
	}
	slices.SortFunc(out, func(a, b *expr.Func) int { return strings.Compare(a.Key(), b.Key()) })
	return out
})

func pgProc(v *virtualEnv) error {
	vol := [...]string{expr.Immutable: "i", expr.Stable: "s", expr.Volatile: "v"}
	for i, f := range builtinFuncs() {
		v.add(vrow{"oid": procBase + i, "proname": f.Name, "pronamespace": pgOID, "proowner": ownerOID, "prolang": 12, "procost": 1.0,
			"prokind": "f", "proisstrict": !f.NotNull, "provolatile": vol[f.Vol], "proparallel": "s", "pronargs": len(f.Args),
			"prorettype": pseudoOID(f.Ret), "proargtypes": typeOIDs(f.Args), "prosrc": f.Name})
	}
	for _, o := range v.cat.All() {
		if o.Kind != catalog.Function {
			continue
		}
		kind, volatile := "f", "v"
		if o.Aggregate {
			kind = "a"
		}
		if o.Volatile != "" {
			volatile = o.Volatile[:1]
		}
		v.add(vrow{"oid": o.ID, "proname": o.Name, "pronamespace": schemaOID(o.Schema), "proowner": ownerOID, "prolang": 14, "procost": 1.0,
			"prokind": kind, "proisstrict": o.Strict, "provolatile": volatile, "proparallel": "u", "pronargs": len(o.Args),
			"prorettype": int(o.Returns.OID()), "proargtypes": typeOIDs(o.Args), "proargnames": argNames(o), "prosrc": o.Symbol})
	}
	return nil
}

func argNames(o *catalog.Object) any {
	if slices.ContainsFunc(o.ArgNames, func(n string) bool { return n != "" }) {
		return o.ArgNames
	}
	return nil
}
