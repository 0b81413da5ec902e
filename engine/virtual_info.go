package engine

import (
	"slices"
	"strings"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/types"
)

// informationRows makes the relations of information_schema. They name the
// database, so they are made for a session.
var informationRows = map[string]func(*virtualEnv) error{
	"information_schema.information_schema_catalog_name": func(v *virtualEnv) error {
		v.add(vrow{"catalog_name": v.s.database})
		return nil
	},
	"information_schema.enabled_roles": func(v *virtualEnv) error {
		v.add(vrow{"role_name": v.s.user})
		return nil
	},
	"information_schema.schemata": func(v *virtualEnv) error {
		for _, n := range schemaNames {
			v.add(vrow{"catalog_name": v.s.database, "schema_name": n, "schema_owner": v.s.user})
		}
		return nil
	},
	"information_schema.tables": func(v *virtualEnv) error {
		for _, o := range v.shown() {
			kind := map[string]string{"r": "BASE TABLE", "v": "VIEW", "f": "FOREIGN"}[relkind(o)]
			if kind == "" { // PostgreSQL leaves materialized views out; tools then do not find them here
				if o.Kind != catalog.MatView {
					continue
				}
				kind = "MATERIALIZED VIEW"
			}
			v.add(vrow{"table_catalog": v.s.database, "table_schema": o.Schema, "table_name": o.Name, "table_type": kind,
				"is_insertable_into": yesNo(o.Kind == catalog.Table && o.Owner == 0), "is_typed": "NO"})
		}
		return nil
	},
	"information_schema.views": func(v *virtualEnv) error {
		for _, o := range v.shown() {
			if relkind(o) == "v" {
				v.add(vrow{"table_catalog": v.s.database, "table_schema": o.Schema, "table_name": o.Name, "view_definition": textOr(o.Query),
					"check_option": "NONE", "is_updatable": "NO", "is_insertable_into": "NO", "is_trigger_updatable": "NO",
					"is_trigger_deletable": "NO", "is_trigger_insertable_into": "NO"})
			}
		}
		return nil
	},
	"information_schema.columns": infoColumns,
	"information_schema.table_constraints": func(v *virtualEnv) error {
		for _, o := range v.cat.All() {
			if o.Kind == catalog.Table && len(o.PrimaryKey) > 0 {
				v.add(vrow{"constraint_catalog": v.s.database, "constraint_schema": o.Schema, "constraint_name": keyName(o),
					"table_catalog": v.s.database, "table_schema": o.Schema, "table_name": o.Name, "constraint_type": "PRIMARY KEY",
					"is_deferrable": "NO", "initially_deferred": "NO", "enforced": "YES"})
			}
		}
		return nil
	},
	"information_schema.key_column_usage": func(v *virtualEnv) error {
		return v.keyColumns(true)
	},
	"information_schema.constraint_column_usage": func(v *virtualEnv) error {
		return v.keyColumns(false)
	},
}

func (v *virtualEnv) keyColumns(position bool) error {
	for _, o := range v.cat.All() {
		if o.Kind != catalog.Table {
			continue
		}
		for i, c := range o.PrimaryKey {
			r := vrow{"constraint_catalog": v.s.database, "constraint_schema": o.Schema, "constraint_name": keyName(o),
				"table_catalog": v.s.database, "table_schema": o.Schema, "table_name": o.Name, "column_name": o.Columns[c].Name}
			if position {
				r["ordinal_position"] = i + 1
			}
			v.add(r)
		}
	}
	return nil
}

func yesNo(b bool) string {
	if b {
		return "YES"
	}
	return "NO"
}

func infoColumns(v *virtualEnv) error {
	for _, o := range v.shown() {
		if o.Kind == catalog.Index {
			continue
		}
		for i, c := range o.Columns {
			udt := c.Type.String()
			if p := typeByOID(int64(c.Type.OID())); p != nil {
				udt = p.name
			}
			name := types.Bare(c.Type).String()
			if c.Type.ID == types.Array {
				name = "ARRAY"
			}
			r := vrow{"table_catalog": v.s.database, "table_schema": o.Schema, "table_name": o.Name, "column_name": c.Name,
				"ordinal_position": i + 1, "column_default": textOr(c.DefaultText), "data_type": name,
				"is_nullable": yesNo(!c.NotNull && !slices.Contains(o.PrimaryKey, i)), "udt_catalog": v.s.database, "udt_schema": catalog.PgCatalog,
				"udt_name": udt, "dtd_identifier": strings.TrimSpace(itoa(i + 1)), "is_self_referencing": "NO", "is_identity": "NO",
				"identity_cycle": "NO", "is_generated": "NEVER", "is_updatable": yesNo(o.Kind == catalog.Table && o.Owner == 0)}
			if c.GeneratedText != "" {
				r["is_generated"], r["generation_expression"] = "ALWAYS", c.GeneratedText
			}
			sizes(r, c.Type)
			v.add(r)
		}
	}
	return nil
}

// sizes fills in what information_schema.columns says of a type's size.
func sizes(r vrow, t types.Type) {
	bits := map[types.ID]int{types.Int2: 16, types.Int4: 32, types.Int8: 64, types.Float4: 24, types.Float8: 53}
	switch t.ID {
	case types.Int2, types.Int4, types.Int8:
		r["numeric_precision"], r["numeric_precision_radix"], r["numeric_scale"] = bits[t.ID], 2, 0
	case types.Float4, types.Float8:
		r["numeric_precision"], r["numeric_precision_radix"] = bits[t.ID], 2
	case types.Numeric:
		r["numeric_precision_radix"] = 10
		if t.Mod != 0 {
			r["numeric_precision"], r["numeric_scale"] = int(t.Mod>>16), int(t.Mod&0xFFFF)-1
		}
	case types.Varchar, types.Bpchar:
		if t.Mod != 0 {
			r["character_maximum_length"], r["character_octet_length"] = int(t.Mod), int(t.Mod)*4
		} else {
			r["character_octet_length"] = 1 << 30
		}
	case types.Text:
		r["character_octet_length"] = 1 << 30
	case types.Date:
		r["datetime_precision"] = 0
	case types.Time, types.Timestamp, types.Timestamptz, types.Interval:
		r["datetime_precision"] = 6
		if t.Mod != 0 {
			r["datetime_precision"] = int(t.Mod) - 1
		}
	}
}
