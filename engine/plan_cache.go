package engine

import (
	"container/list"
	"slices"

	"github.com/streamsql/streamsql/sql/catalog"
	"github.com/streamsql/streamsql/sql/types"
)

// maxCachedText keeps long texts, which seldom come twice, out of the cache.
const maxCachedText = 4 << 10

// planCache remembers what a session parsed and planned last, by the text.
type planCache struct {
	max    int
	order  list.List // of *cachedPlan, the last used first
	byText map[string]*list.Element
}

type cachedPlan struct {
	text    string // as it was given to Parse
	st      *Statement
	binding string
	params  []types.Type
	plan    *planned
}

func newPlanCache(max int) *planCache {
	return &planCache{max: max, byText: map[string]*list.Element{}}
}

// parsed returns the single statement of a text, or nil.
func (c *planCache) parsed(text string) *Statement {
	el := c.byText[text]
	if el == nil {
		return nil
	}
	c.order.MoveToFront(el)
	return el.Value.(*cachedPlan).st
}

func (c *planCache) keepParsed(text string, st *Statement) {
	if len(text) > maxCachedText {
		return
	}
	if c.order.Len() >= c.max {
		last := c.order.Back()
		delete(c.byText, last.Value.(*cachedPlan).text)
		c.order.Remove(last)
	}
	st.cached = &cachedPlan{text: text, st: st}
	c.byText[text] = c.order.PushFront(st.cached)
}

func (c *planCache) plan(st *Statement, cat *catalog.Catalog, params []types.Type, set settings) *planned {
	e := st.cached
	if e == nil || e.plan == nil || e.plan.cat != cat || !slices.Equal(e.params, params) || e.binding != bindingOf(set) {
		return nil
	}
	return e.plan
}

func (c *planCache) keepPlan(st *Statement, params []types.Type, set settings, pl *planned) {
	if e := st.cached; e != nil {
		e.plan, e.params, e.binding = pl, slices.Clone(params), bindingOf(set)
	}
}

// bindingOf is what a plan depends on of the settings: where names are looked
// for, and the zone in which literals of timestamptz are read.
func bindingOf(set settings) string {
	path, _ := set.get("search_path")
	zone, _ := set.get("TimeZone")
	return zone + " " + path
}
