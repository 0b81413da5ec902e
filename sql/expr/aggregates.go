package expr

import "github.com/streamsql/streamsql/sql/types"

var (
	aggsByName = map[string][]*AggFunc{}
	aggsByKey  = map[string]*AggFunc{}
)

func registerAgg(fs ...*AggFunc) {
	for _, f := range fs {
		k := f.Key()
		if aggsByKey[k] != nil {
			panic("expr: aggregate " + k + " is registered twice")
		}
		aggsByKey[k] = f
		aggsByName[f.Name] = append(aggsByName[f.Name], f)
	}
}

// orderedTypes are those with an order of their own, for min and max. Varchar
// and names go to text.
var orderedTypes = []types.ID{
	types.Int2, types.Int4, types.Int8, types.Float4, types.Float8, types.Numeric, types.Text, types.Bpchar,
	types.Date, types.Time, types.Timestamp, types.Timestamptz, types.Interval, types.OID,
}

func init() {
	one := func(name string, kind AggKind, arg, ret types.ID) {
		registerAgg(&AggFunc{Name: name, Args: typs(arg), Ret: types.Of(ret), Kind: kind})
	}
	registerAgg(&AggFunc{Name: "count", Ret: types.Of(types.Int8), Kind: AggCountStar},
		&AggFunc{Name: "count", Args: typs(Any), Ret: types.Of(types.Int8), Kind: AggCount})

	one("sum", AggSumInt, types.Int2, types.Int8)
	one("sum", AggSumInt, types.Int4, types.Int8)
	one("sum", AggSumBig, types.Int8, types.Numeric)
	one("sum", AggSumNum, types.Numeric, types.Numeric)
	one("sum", AggSumFloat, types.Float4, types.Float4)
	one("sum", AggSumFloat, types.Float8, types.Float8)
	one("sum", AggSumIntv, types.Interval, types.Interval)

	for _, t := range []types.ID{types.Int2, types.Int4, types.Int8} {
		one("avg", AggAvgInt, t, types.Numeric)
	}
	one("avg", AggAvgNum, types.Numeric, types.Numeric)
	one("avg", AggAvgFloat, types.Float4, types.Float8)
	one("avg", AggAvgFloat, types.Float8, types.Float8)
	one("avg", AggAvgIntv, types.Interval, types.Interval)

	for _, t := range orderedTypes {
		one("min", AggMin, t, t)
		one("max", AggMax, t, t)
	}
	registerAgg(&AggFunc{Name: "min", Args: typs(AnyArray), Ret: types.Of(AnyArray), Kind: AggMin},
		&AggFunc{Name: "max", Args: typs(AnyArray), Ret: types.Of(AnyArray), Kind: AggMax})

	one("bool_and", AggBoolAnd, types.Bool, types.Bool)
	one("every", AggBoolAnd, types.Bool, types.Bool)
	one("bool_or", AggBoolOr, types.Bool, types.Bool)

	for _, n := range []string{"var_samp", "var_pop", "variance", "stddev_samp", "stddev_pop", "stddev"} {
		for _, t := range []types.ID{types.Int2, types.Int4, types.Int8, types.Numeric} {
			one(n, AggVar, t, types.Numeric)
		}
		one(n, AggVar, types.Float4, types.Float8)
		one(n, AggVar, types.Float8, types.Float8)
	}

	// string_agg takes the rows whose value is not NULL; a NULL delimiter is empty.
	registerAgg(
		&AggFunc{Name: "string_agg", Args: typs(types.Text, types.Text), Ret: types.Of(types.Text), Kind: AggString, NullIn: true},
		&AggFunc{Name: "string_agg", Args: typs(types.Bytea, types.Bytea), Ret: types.Of(types.Bytea), Kind: AggString, NullIn: true},
		&AggFunc{Name: "array_agg", Args: typs(AnyElement), Ret: types.Of(AnyArray), Kind: AggArray, NullIn: true},
		&AggFunc{Name: "first_value", Args: typs(AnyElement), Ret: types.Of(AnyElement), Kind: AggFirst, NullIn: true},
		&AggFunc{Name: "last_value", Args: typs(AnyElement), Ret: types.Of(AnyElement), Kind: AggLast, NullIn: true},
		&AggFunc{Name: "any_value", Args: typs(AnyElement), Ret: types.Of(AnyElement), Kind: AggAnyValue},
		&AggFunc{Name: "single_value", Args: typs(AnyElement), Ret: types.Of(AnyElement), Kind: AggSingle, NullIn: true},
	)
}
