package eventtime

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"time"
)

const second = int64(1_000_000)

func stamp(us int64) string { return time.UnixMicro(us).UTC().Format("2006-01-02 15:04:05.999999") }

// floor returns the greatest multiple of step that is not above t.
func floor(t, step int64) int64 {
	r := t % step
	if r < 0 {
		r += step
	}
	return t - r
}

// windowsOf are the starts of a time's windows, the first to close first.
func windowsOf(t, size, slide int64) []int64 {
	var out []int64
	for s := floor(t, slide); s > t-size; s -= slide {
		out = append(out, s)
	}
	slices.Reverse(out)
	return out
}

// input is what a view had to count: the events, and of each how many windows it
// was too late for.
type input struct {
	events []event
	missed map[int64]int // by event
}

// each calls fn with every event of a kind and every window of it that it is in.
func (in *input) each(kind string, size, slide int64, fn func(e *event, start int64)) {
	for i := range in.events {
		if e := &in.events[i]; e.kind == kind {
			for _, s := range windowsOf(e.ts, size, slide)[min(in.missed[e.id], int(size/slide)):] {
				fn(e, s)
			}
		}
	}
}

// The plain computations: rows as text, columns with a blank between.

func plainStats(size, slide int64) func(*input) []string {
	return func(in *input) []string {
		type stats struct{ n, sum, lo, hi int64 }
		by := map[int64]*stats{}
		in.each("bid", size, slide, func(e *event, start int64) {
			s := by[start]
			if s == nil {
				s = &stats{lo: e.price, hi: e.price}
				by[start] = s
			}
			s.n, s.sum, s.lo, s.hi = s.n+1, s.sum+e.price, min(s.lo, e.price), max(s.hi, e.price)
		})
		var out []string
		for start, s := range by {
			out = append(out, fmt.Sprint(stamp(start), " ", stamp(start+size), " ", s.n, " ", s.sum, " ", s.lo, " ", s.hi))
		}
		return out
	}
}

func plainQ5(in *input) []string {
	type key struct{ start, item int64 }
	counts, most := map[key]int64{}, map[int64]int64{}
	in.each("bid", 10*second, 2*second, func(e *event, start int64) {
		k := key{start, e.item}
		counts[k]++
		most[start] = max(most[start], counts[k])
	})
	var out []string
	for k, n := range counts {
		if n == most[k.start] {
			out = append(out, fmt.Sprint(k.item, " ", n, " ", stamp(k.start)))
		}
	}
	return out
}

func plainQ7(in *input) []string {
	most := map[int64]int64{}
	in.each("bid", 10*second, 10*second, func(e *event, start int64) { most[start] = max(most[start], e.price) })
	var out []string
	in.each("bid", 10*second, 10*second, func(e *event, start int64) {
		if e.price == most[start] {
			out = append(out, fmt.Sprint(e.id, " ", e.item, " ", e.price, " ", e.who, " ", stamp(e.ts)))
		}
	})
	return out
}

func plainQ8(in *input) []string {
	type key struct {
		id, start int64
		name      string
	}
	sold := map[key]bool{}
	in.each("auction", 10*second, 10*second, func(e *event, start int64) { sold[key{e.who, start, ""}] = true })
	found := map[key]bool{}
	in.each("person", 10*second, 10*second, func(e *event, start int64) {
		if sold[key{e.who, start, ""}] {
			found[key{e.who, start, e.name}] = true
		}
	})
	var out []string
	for k := range found {
		out = append(out, fmt.Sprint(k.id, " ", k.name, " ", stamp(k.start)))
	}
	return out
}

func plainQ11(in *input) []string {
	times := map[int64][]int64{}
	for i := range in.events {
		if e := &in.events[i]; e.kind == "bid" && in.missed[e.id] == 0 {
			times[e.who] = append(times[e.who], e.ts)
		}
	}
	const gap = 10 * second
	var out []string
	for who, ts := range times {
		slices.Sort(ts)
		for from := 0; from < len(ts); {
			to := from + 1
			for to < len(ts) && ts[to]-ts[to-1] <= gap {
				to++
			}
			out = append(out, fmt.Sprint(who, " ", to-from, " ", stamp(ts[from]), " ", stamp(ts[to-1]+gap)))
			from = to
		}
	}
	return out
}

func plainQ12(in *input) []string {
	type key struct{ who, start int64 }
	counts := map[key]int{}
	for i := range in.events {
		if e := &in.events[i]; e.kind == "bid" {
			counts[key{e.who, floor(e.clock, 10*second)}]++
		}
	}
	var out []string
	for k, n := range counts {
		out = append(out, fmt.Sprint(k.who, " ", n, " ", stamp(k.start)))
	}
	return out
}

func plainWindowJoin(in *input) []string {
	type key struct{ item, start int64 }
	opened := map[key][]int64{}
	in.each("auction", 10*second, 10*second, func(e *event, start int64) {
		k := key{e.item, start}
		opened[k] = append(opened[k], e.id)
	})
	var out []string
	in.each("bid", 10*second, 10*second, func(e *event, start int64) {
		for _, id := range opened[key{e.item, start}] {
			out = append(out, fmt.Sprint(id, " ", e.id))
		}
	})
	return out
}

// differ tells what two multisets of rows do not have in common; "": nothing.
func differ(got, want []string) string {
	count := map[string]int{}
	for _, r := range got {
		count[r]++
	}
	for _, r := range want {
		count[r]--
	}
	var lines []string
	for r, n := range count {
		switch {
		case n > 0:
			lines = append(lines, "too many: "+r+" ×"+strconv.Itoa(n))
		case n < 0:
			lines = append(lines, "missing: "+r+" ×"+strconv.Itoa(-n))
		}
	}
	if len(lines) == 0 {
		return ""
	}
	sort.Strings(lines)
	s := fmt.Sprintf("%d rows, want %d; %d differ:", len(got), len(want), len(lines))
	for _, l := range lines[:min(len(lines), 8)] {
		s += "\n  " + l
	}
	return s
}
