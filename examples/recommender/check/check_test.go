package check

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/streamsql/streamsql/examples/recommender/plain"
	"github.com/streamsql/streamsql/examples/recommender/tastes"
)

// answers plays an engine whose views are the plain computation's, but for what
// spoil does to them.
type answers struct {
	log   *Log
	upto  map[int32]int64
	late  map[string][][]string
	views map[string][][]string
}

func cellText(v any) string {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case time.Time:
		return v.UTC().Format("2006-01-02 15:04:05.999999-07")
	case []string:
		if v == nil {
			return Null
		}
		return "{" + strings.Join(v, ",") + "}"
	case []float64:
		if v == nil {
			return Null
		}
		return "{" + strings.Trim(strings.ReplaceAll(fmt.Sprint(v), " ", ","), "[]") + "}"
	}
	return fmt.Sprint(v)
}

func (a *answers) query(_ context.Context, sql string) ([][]string, error) {
	_, from, _ := strings.Cut(sql, " FROM ")
	switch {
	case from == "":
		return nil, nil
	case strings.HasPrefix(from, "streamsql.source_positions"):
		var out [][]string
		for p, off := range a.upto {
			out = append(out, []string{fmt.Sprint(p), fmt.Sprint(off), "7"})
		}
		return out, nil
	case from == "user_events_dead_letters":
		_, broken, err := a.log.upto(a.upto)
		return [][]string{{fmt.Sprint(broken)}}, err
	case strings.Contains(from, "_late "):
		from, _, _ = strings.Cut(from, " ")
		return a.late[from], nil
	}
	return a.views[from], nil
}

func played(t *testing.T) *answers {
	t.Helper()
	log := NewLog(2)
	s := tastes.New(tastes.Options{Users: 60}).Stream(tastes.StreamOptions{Broken: 0.01})
	for i := range 4000 {
		e, _, ok := s.Next(1.7e9+float64(i)/100, nil)
		log.Add(i%2, e, ok)
	}
	a := &answers{log: log, upto: map[int32]int64{0: 1900, 1: 1950}, views: map[string][][]string{}, late: map[string][][]string{}}
	events, _, err := log.upto(a.upto)
	if err != nil {
		t.Fatal(err)
	}
	e := events[100]
	events[100].LateForInterests, events[100].LateForRatings = true, true
	row := [][]string{{fmt.Sprint(e.Partition), fmt.Sprint(e.Offset), "1"}}
	a.late = map[string][][]string{"user_interests_late": row, "ratings_late": row}
	right := plain.Compute(events, tastes.Categories())
	for _, v := range views {
		for key, cells := range v.want(right) {
			r := strings.SplitN(key, " ", v.keys)
			for _, c := range cells {
				r = append(r, cellText(c))
			}
			a.views[v.name] = append(a.views[v.name], r)
		}
		slices.SortFunc(a.views[v.name], slices.Compare)
		if len(a.views[v.name]) == 0 {
			t.Fatalf("the test has no rows of %s", v.name)
		}
	}
	return a
}

// TestNotices: the check passes what is right and sees each way to be wrong.
func TestNotices(t *testing.T) {
	check := func(a *answers) error {
		_, err := Epoch(context.Background(), a.query, a.log, tastes.Categories())
		return err
	}
	a := played(t)
	if err := check(a); err != nil {
		t.Fatal(err)
	}
	for _, v := range views {
		rows := a.views[v.name]
		for what, spoilt := range map[string][][]string{
			"a row lost":     rows[1:],
			"a row twice":    append(slices.Clone(rows), rows[0]),
			"a row too many": append(slices.Clone(rows), append([]string{"nobody", "nothing"}, rows[0][2:]...)),
		} {
			a.views[v.name] = spoilt
			if err := check(a); err == nil || !strings.Contains(err.Error(), v.name) {
				t.Errorf("%s, %s: %v", v.name, what, err)
			}
		}
		for c := v.keys; c < len(rows[0]); c++ {
			wrong := slices.Clone(rows[0])
			wrong[c] = "1" + strings.Trim(wrong[c], "{}")
			a.views[v.name] = append([][]string{wrong}, rows[1:]...)
			if err := check(a); err == nil || !strings.Contains(err.Error(), v.name) {
				t.Errorf("%s, column %d: %v", v.name, c, err)
			}
		}
		a.views[v.name] = rows
	}
	a.upto[0]--
	if check(a) == nil {
		t.Error("an event more than the positions say passed")
	}
	a.upto[0] = 5000
	if check(a) == nil {
		t.Error("positions beyond the log passed")
	}
	a.upto[0] = 1900
	a.late = nil
	if check(a) == nil {
		t.Error("a late event in the folds passed")
	}
}
