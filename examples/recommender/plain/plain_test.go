package plain

import (
	"fmt"
	"math"
	"reflect"
	"testing"
)

func near(a, b float64) bool { return math.Abs(a-b) < 1e-12 }

// TestFold: the order is that of event time, then partition and offset, and late
// events are counted without being folded.
func TestFold(t *testing.T) {
	ev := []Event{
		{UserID: "u", ItemID: "i", Type: "purchase", EventTime: 3},
		{UserID: "u", ItemID: "i", Type: "view", EventTime: 1, Partition: 1, Offset: 7},
		{UserID: "u", ItemID: "i", Type: "like", EventTime: 1, Partition: 1, Offset: 6},
		{UserID: "u", ItemID: "i", Type: "click", EventTime: 0, Offset: 9, LateForInterests: true, LateForRatings: true},
		{UserID: "u", ItemID: "nowhere", Type: "view", EventTime: 2},
	}
	a := Compute(ev, map[string]string{"i": "books"})
	if r := a.Ratings[Pair{"u", "i"}]; r.Value != ((1.5+1)/2+5)/2 || r.LastEvent != 3 {
		t.Errorf("rating %+v", r)
	}
	want := ((0.5*0.1)*0.9+0.1*0.1)*0.9 + 0.1
	if v := a.Interests[Pair{"u", "books"}]; !near(v, want) || len(a.Interests) != 1 {
		t.Errorf("interest %v, want %v", v, want)
	}
	p := a.Profiles["u"]
	if p.Events != 5 || p.LastEvent != 3 || !reflect.DeepEqual(p.TopInterests, []string{"books"}) || p.Patterns != "click_books=1 like_books=1 purchase_books=1 view_books=1" {
		t.Errorf("profile %+v", p)
	}
}

// TestRecommend: five users touch a, b and c alike, a sixth a and b alone.
func TestRecommend(t *testing.T) {
	var ev []Event
	for u := range 6 {
		for i, item := range []string{"a", "b", "c"} {
			if u == 5 && item == "c" {
				continue
			}
			ev = append(ev, Event{UserID: fmt.Sprint("u", u), ItemID: item, Type: []string{"view", "click", "purchase"}[i], EventTime: int64(len(ev))})
		}
	}
	a := Compute(ev, nil)
	if n := len(a.UserSimilarity); n != 0 {
		t.Errorf("%d similar users, who have but 3 items in common", n)
	}
	// a is in 6 users' vectors with 0.5, c in 5 with 2.5.
	cos := 5 * 0.5 * 2.5 / (math.Sqrt(6*0.25) * math.Sqrt(5*6.25))
	if s := a.ItemSimilarity[Pair{"c", "a"}]; !near(s.Value, cos) || s.Overlap != 5 || s != a.ItemSimilarity[Pair{"a", "c"}] {
		t.Errorf("%+v, want %v", s, cos)
	}
	// c is found from a and from b, equally near.
	want := map[Pair]Recommendation{{"u5", "c"}: {0.8 * cos, ItemReason}}
	if got := a.Recommendations; len(got) != 1 || !near(got[Pair{"u5", "c"}].Score, 0.8*cos) || got[Pair{"u5", "c"}].Reason != ItemReason {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestBounds(t *testing.T) {
	var ev []Event
	for u := range 60 {
		for i := range 30 {
			ev = append(ev, Event{UserID: fmt.Sprint("u", u), ItemID: fmt.Sprint("i", i), Type: "view", EventTime: int64(len(ev))})
		}
	}
	a := Compute(ev, nil)
	users, items := map[string]int{}, map[string]int{}
	for k := range a.KeptRatings {
		users[k.A]++
		items[k.B]++
	}
	if len(items) != 20 || items["i9"] != 0 || items["i10"] != 50 || users["u9"] != 0 || users["u10"] != 20 {
		t.Errorf("users %v, items %v", users, items)
	}
	for k, s := range a.ItemSimilarity {
		if !near(s.Value, 1) {
			t.Errorf("%v: %v", k, s)
		}
	}
	if len(a.ItemSimilarity) != 200 || len(a.Recommendations) != 0 {
		// All users have all items: there is nothing to recommend.
		t.Errorf("%d neighbours, %d recommendations", len(a.ItemSimilarity), len(a.Recommendations))
	}
}

func TestSum(t *testing.T) {
	if got := sum([]float64{1e308, 1, -1e308, math.SmallestNonzeroFloat64}); got != 1 {
		t.Errorf("%v", got)
	}
}
