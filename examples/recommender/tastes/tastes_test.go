package tastes

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/streamsql/streamsql/examples/recommender/plain"
)

func events(w *World, o StreamOptions, n int) (out []plain.Event, broken int) {
	s := w.Stream(o)
	for i := range n {
		if e, _, ok := s.Next(1.7e9+float64(i)/100, nil); ok {
			e.Offset = int64(i)
			out = append(out, e)
		} else {
			broken++
		}
	}
	return out, broken
}

// TestHitRate: by the plain computation, what the definitions find of the
// planted tastes, over several worlds.
func TestHitRate(t *testing.T) {
	for seed := range uint64(3) {
		w := New(Options{Seed: seed})
		ev, _ := events(w, StreamOptions{Seed: seed}, 10_000)
		got, base := w.HitRate(plain.Compute(ev, Categories()).TopFor()), w.HitRate(w.MostPopular(ev))
		t.Logf("seed %d: hit rate %.3f, most popular %.3f: %.1f times", seed, got, base, got/base)
		if got < 3*base || base == 0 {
			t.Errorf("seed %d: %.3f is not three times %.3f", seed, got, base)
		}
	}
}

func TestWorld(t *testing.T) {
	o := Options{Seed: 7, Users: 50}
	a, b := New(o), New(o)
	if !reflect.DeepEqual(a.Users, b.Users) {
		t.Error("one seed makes two worlds")
	}
	if reflect.DeepEqual(a.Users, New(Options{Seed: 8, Users: 50}).Users) {
		t.Error("two seeds make one world")
	}
	so := StreamOptions{Seed: 1, TooLate: 0.1, Broken: 0.1}
	ea, na := events(a, so, 2000)
	eb, nb := events(b, so, 2000)
	if !reflect.DeepEqual(ea, eb) || na != nb || na < 100 || na > 300 {
		t.Errorf("one seed makes two streams, or %d and %d broken records of 2000", na, nb)
	}
	late, newest := 0, int64(0)
	for _, e := range ea {
		for _, u := range a.Users {
			if u.ID == e.UserID && (slices.Contains(u.HeldOut, e.ItemID) || !slices.Contains(u.Items, e.ItemID)) {
				t.Fatalf("%s touched %s, which it never does", e.UserID, e.ItemID)
			}
		}
		if e.EventTime < newest-10e6 {
			late++
		}
		newest = max(newest, e.EventTime)
	}
	if late < 50 || late > 350 {
		t.Errorf("%d of %d events are too late", late, len(ea))
	}
	s := a.Stream(StreamOptions{Seed: 1, TooLate: 0.1})
	for range 100 {
		e, rec, _ := s.Next(1.7e9+1, nil)
		var m map[string]any
		if err := json.Unmarshal(rec, &m); err != nil || len(m) != 6 || m["user_id"] != e.UserID || m["timestamp"].(float64)*1e6 != float64(e.EventTime) {
			t.Fatalf("%s: %v", rec, err)
		}
	}
}
