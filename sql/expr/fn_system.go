package expr

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// Version is what version() returns. It begins as PostgreSQL's does: clients
// parse it.
var Version = "PostgreSQL 15.0 (streamsql)"

// settingDefaults answer current_setting where the session knows no better.
var settingDefaults = map[string]string{
	"server_version": "15.0", "server_version_num": "150000", "server_encoding": "UTF8", "client_encoding": "UTF8",
	"standard_conforming_strings": "on", "integer_datetimes": "on", "timezone": "UTC", "datestyle": "ISO, MDY",
	"intervalstyle": "postgres", "search_path": "public", "max_identifier_length": "63", "is_superuser": "on",
}

// catalogFuncs are answered by Context.Catalog; variants share a result.
var catalogFuncs = []struct {
	name string
	ret  types.ID
	args [][]types.ID
}{
	{"format_type", types.Text, [][]types.ID{{types.OID, types.Int4}}},
	{"pg_get_userbyid", types.Name, [][]types.ID{{types.OID}}},
	{"pg_get_viewdef", types.Text, [][]types.ID{{types.OID}, {types.OID, types.Bool}, {types.OID, types.Int4}, {types.Text}, {types.Text, types.Bool}}},
	{"pg_get_expr", types.Text, [][]types.ID{{types.Text, types.OID}, {types.Text, types.OID, types.Bool}}},
	{"pg_get_indexdef", types.Text, [][]types.ID{{types.OID}, {types.OID, types.Int4, types.Bool}}},
	{"pg_get_constraintdef", types.Text, [][]types.ID{{types.OID}, {types.OID, types.Bool}}},
	{"pg_get_function_arguments", types.Text, [][]types.ID{{types.OID}}},
	{"pg_get_function_identity_arguments", types.Text, [][]types.ID{{types.OID}}},
	{"pg_get_function_result", types.Text, [][]types.ID{{types.OID}}},
	{"pg_get_function_sqlbody", types.Text, [][]types.ID{{types.OID}}},
	{"pg_get_functiondef", types.Text, [][]types.ID{{types.OID}}},
	{"pg_get_statisticsobjdef", types.Text, [][]types.ID{{types.OID}}},
	{"pg_get_statisticsobjdef_columns", types.Text, [][]types.ID{{types.OID}}},
	{"pg_get_partkeydef", types.Text, [][]types.ID{{types.OID}}},
	{"pg_get_triggerdef", types.Text, [][]types.ID{{types.OID}, {types.OID, types.Bool}}},
	{"pg_get_ruledef", types.Text, [][]types.ID{{types.OID}, {types.OID, types.Bool}}},
	{"pg_get_serial_sequence", types.Text, [][]types.ID{{types.Text, types.Text}}},
	{"pg_table_is_visible", types.Bool, [][]types.ID{{types.OID}}},
	{"pg_type_is_visible", types.Bool, [][]types.ID{{types.OID}}},
	{"pg_function_is_visible", types.Bool, [][]types.ID{{types.OID}}},
	{"pg_operator_is_visible", types.Bool, [][]types.ID{{types.OID}}},
	{"pg_opclass_is_visible", types.Bool, [][]types.ID{{types.OID}}},
	{"pg_collation_is_visible", types.Bool, [][]types.ID{{types.OID}}},
	{"pg_conversion_is_visible", types.Bool, [][]types.ID{{types.OID}}},
	{"pg_ts_config_is_visible", types.Bool, [][]types.ID{{types.OID}}},
	{"pg_ts_dict_is_visible", types.Bool, [][]types.ID{{types.OID}}},
	{"pg_ts_parser_is_visible", types.Bool, [][]types.ID{{types.OID}}},
	{"pg_ts_template_is_visible", types.Bool, [][]types.ID{{types.OID}}},
	{"pg_statistics_obj_is_visible", types.Bool, [][]types.ID{{types.OID}}},
	{"pg_relation_is_publishable", types.Bool, [][]types.ID{{types.Regclass}}},
	{"obj_description", types.Text, [][]types.ID{{types.OID}, {types.OID, types.Name}}},
	{"shobj_description", types.Text, [][]types.ID{{types.OID, types.Name}}},
	{"col_description", types.Text, [][]types.ID{{types.OID, types.Int4}}},
	{"pg_encoding_to_char", types.Name, [][]types.ID{{types.Int4}}},
	{"pg_table_size", types.Int8, [][]types.ID{{types.Regclass}}},
	{"pg_relation_size", types.Int8, [][]types.ID{{types.Regclass}, {types.Regclass, types.Text}}},
	{"pg_total_relation_size", types.Int8, [][]types.ID{{types.Regclass}}},
	{"pg_indexes_size", types.Int8, [][]types.ID{{types.Regclass}}},
	{"pg_database_size", types.Int8, [][]types.ID{{types.Name}, {types.OID}}},
	{"to_regclass", types.Regclass, [][]types.ID{{types.Text}}},
	{"to_regtype", types.Regtype, [][]types.ID{{types.Text}}},
	{"regnamespacein", types.OID, [][]types.ID{{types.Text}}},
	{"regnamespaceout", types.Text, [][]types.ID{{types.OID}}},
	{"regprocin", types.OID, [][]types.ID{{types.Text}}},
	{"regprocout", types.Text, [][]types.ID{{types.OID}}},
	{"current_schema", types.Name, [][]types.ID{{}}},
	{"pg_backend_pid", types.Int4, [][]types.ID{{}}},
	{"pg_postmaster_start_time", types.Timestamptz, [][]types.ID{{}}},
	{"pg_conf_load_time", types.Timestamptz, [][]types.ID{{}}},
	{"pg_is_in_recovery", types.Bool, [][]types.ID{{}}},
	{"pg_tablespace_location", types.Text, [][]types.ID{{types.OID}}},
	{"pg_my_temp_schema", types.OID, [][]types.ID{{}}},
	{"pg_is_other_temp_schema", types.Bool, [][]types.ID{{types.OID}}},
	{"pg_stat_get_numscans", types.Int8, [][]types.ID{{types.OID}}},
	{"pg_has_role", types.Bool, [][]types.ID{{types.Name, types.Name, types.Text}, {types.Name, types.Text}, {types.OID, types.Text}, {types.OID, types.OID, types.Text}, {types.Name, types.OID, types.Text}}},
}

func init() {
	for _, f := range catalogFuncs {
		for _, args := range f.args {
			fn := catalogFunc(f.name, types.Of(f.ret), args)
			fn.NotNull = f.name == "format_type" // its modifier may be NULL
		}
	}
	catalogFunc("current_schemas", types.ArrayOf(types.Name), []types.ID{types.Bool})
	for _, what := range []string{"table", "schema", "database", "function", "sequence", "type", "language", "tablespace", "any_column", "server", "foreign_data_wrapper"} {
		name := "has_" + what + "_privilege"
		for _, obj := range []types.ID{types.Text, types.OID} {
			catalogFunc(name, boolType, []types.ID{obj, types.Text})
			for _, user := range []types.ID{types.Name, types.OID} {
				catalogFunc(name, boolType, []types.ID{user, obj, types.Text})
			}
		}
	}
	for _, obj := range []types.ID{types.Text, types.OID} {
		for _, col := range []types.ID{types.Text, types.Int2} {
			catalogFunc("has_column_privilege", boolType, []types.ID{obj, col, types.Text})
			for _, user := range []types.ID{types.Name, types.OID} {
				catalogFunc("has_column_privilege", boolType, []types.ID{user, obj, col, types.Text})
			}
		}
	}
	for _, n := range []string{"pg_cancel_backend", "pg_terminate_backend"} {
		f := catalogFunc(n, boolType, []types.ID{types.Int4})
		f.Vol = Volatile
	}

	session := func(name string, get func(*Context) string) {
		register(&Func{Name: name, Ret: types.Of(types.Name), Vol: Stable, Eval: bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
			if c.Ctx == nil {
				return dst, nil
			}
			return append(dst, get(c.Ctx)...), nil
		})})
	}
	for _, n := range []string{"current_user", "session_user", "user", "current_role"} {
		session(n, func(c *Context) string { return c.User })
	}
	session("current_database", func(c *Context) string { return c.Database })
	session("current_catalog", func(c *Context) string { return c.Database })
	session("pg_client_encoding", func(*Context) string { return "UTF8" })
	register(&Func{Name: "version", Ret: types.Of(types.Text), Vol: Stable, Eval: bytesOf(func(_ *Batch, _ int, dst []byte) ([]byte, error) {
		return append(dst, Version...), nil
	})})
	setting := func(missing bool, args ...types.ID) {
		register(&Func{Name: "current_setting", Args: typs(args...), Ret: types.Of(types.Text), Vol: Stable, MayFail: true,
			Eval: datums(func(c *Batch, i int) (types.Datum, error) {
				name := lowerASCII(string(c.Bytes(0, i)))
				if c.Ctx != nil && c.Ctx.Setting != nil {
					if v, ok := c.Ctx.Setting(name); ok {
						return types.Datum{S: []byte(v)}, nil
					}
				}
				if v, ok := settingDefaults[name]; ok {
					return types.Datum{S: []byte(v)}, nil
				}
				if missing && c.Int(1, i) != 0 {
					return types.NullDatum, nil
				}
				return types.Datum{}, sqlerr.New(sqlerr.UndefinedObject, "unrecognized configuration parameter \"%s\"", name)
			})})
	}
	setting(false, types.Text)
	setting(true, types.Text, types.Bool)
	f := catalogFunc("set_config", types.Of(types.Text), []types.ID{types.Text, types.Text, types.Bool})
	f.Vol = Volatile

	register(&Func{Name: "pg_typeof", Args: typs(Any), Ret: types.Of(types.Regtype), NotNull: true, Eval: func(c *Batch) error {
		for i := range c.Out.I[:c.N] {
			c.Out.I[i] = int64(c.Args[0].V.T.OID())
		}
		return nil
	}})
	register(&Func{Name: "gen_random_uuid", Ret: types.Of(types.UUID), Vol: Volatile, Eval: bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
		return append(dst, randomUUID(c.Ctx)...), nil
	})})
	for _, t := range []types.ID{types.Int8, types.Numeric} {
		register(&Func{Name: "pg_size_pretty", Args: typs(t), Ret: types.Of(types.Text), Eval: bytesOf(func(c *Batch, i int, dst []byte) ([]byte, error) {
			n := int64(0)
			if t == types.Int8 {
				n = c.Int(0, i)
			} else {
				n, _ = types.NumericInt(c.Bytes(0, i))
			}
			return append(dst, sizePretty(n)...), nil
		})})
	}
}

// catalogFunc registers a function that Context.Catalog answers.
func catalogFunc(name string, ret types.Type, args []types.ID) *Func {
	f := &Func{Name: name, Args: typs(args...), Ret: ret, Vol: Stable, MayFail: true,
		Eval: datums(func(c *Batch, i int) (types.Datum, error) {
			ds := make([]types.Datum, len(c.Args))
			for a := range ds {
				ds[a] = c.Datum(a, i)
			}
			if c.Ctx == nil || c.Ctx.Catalog == nil {
				return types.Datum{}, sqlerr.New(sqlerr.FeatureNotSupported, "function %s cannot be called here", name)
			}
			return c.Ctx.Catalog(name, ds)
		})}
	register(f)
	return f
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 32
		}
	}
	return string(b)
}

// randomUUID makes a version 4 UUID, from the context's source where it has one
// so that a replayed step repeats.
func randomUUID(ctx *Context) []byte {
	var u [16]byte
	if ctx != nil && ctx.Random != nil {
		for i := 0; i < 16; i += 4 {
			binary.LittleEndian.PutUint32(u[i:], uint32(ctx.Random()*(1<<32)))
		}
	} else {
		rand.Read(u[:])
	}
	u[6] = u[6]&0x0F | 0x40
	u[8] = u[8]&0x3F | 0x80
	return u[:]
}

// sizePretty is PostgreSQL's: the unit changes at 10 of the next one.
func sizePretty(n int64) string {
	abs := func(x int64) int64 { return max(x, -x) }
	units := []string{"bytes", "kB", "MB", "GB", "TB", "PB"}
	if abs(n) < 10*1024 {
		return strconv.FormatInt(n, 10) + " bytes"
	}
	n /= 512 // twice the kB, to round half up
	for _, u := range units[1:] {
		if abs(n) < 20*1024-1 || u == "PB" {
			half := n + 1
			if n < 0 {
				half = n - 1
			}
			return fmt.Sprintf("%d %s", half/2, u)
		}
		n /= 1024
	}
	return ""
}
