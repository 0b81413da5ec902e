package parser

import "strings"

// category is PostgreSQL's class of a word: where it may stand as a name.
// Its unreserved keywords may stand anywhere and count as plain here.
type category uint8

const (
	plain        category = iota
	colName               // a column's or table's name, not a function's or type's
	typeFunc              // a function's or type's name, not a column's or table's
	reserved              // only behind AS
	categoryMask = 3
	asLabel      = 4 // a flag: a column label only behind AS
)

// keywords are the words of PostgreSQL 15 that are not plain.
var keywords = func() map[string]category {
	m := map[string]category{}
	add := func(c category, words string) {
		for _, w := range strings.Fields(words) {
			m[w] |= c
		}
	}
	add(colName, `
	between bigint bit boolean char character coalesce dec decimal exists extract float greatest
	grouping inout int integer interval least national nchar none normalize nullif numeric out
	overlay position precision real row setof smallint substring time timestamp treat trim values
	varchar xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi
	xmlroot xmlserialize xmltable`)
	add(typeFunc, `
	authorization binary collation concurrently cross current_schema freeze full ilike inner is
	isnull join left like natural notnull outer overlaps right similar tablesample verbose`)
	add(reserved, `
	all analyse analyze and any array as asc asymmetric both case cast check collate column
	constraint create current_catalog current_date current_role current_time current_timestamp
	current_user default deferrable desc distinct do else end except false fetch for foreign from
	grant group having in initially intersect into lateral leading limit localtime localtimestamp
	not null offset on only or order placing primary references returning select session_user some
	symmetric table then to trailing true union unique user using variadic when where window with`)
	add(asLabel, `
	array as char character create day except fetch filter for from grant group having hour
	intersect into isnull limit minute month notnull offset on order over overlaps precision
	returning second to union varying where window with within without year`)
	return m
}()
