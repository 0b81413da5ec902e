package tastes

import (
	"cmp"
	"slices"

	"github.com/streamsql/streamsql/examples/recommender/plain"
)

// HitRate returns the share of the held-out interactions that are among the
// first 10 items recommended to their users.
func (w *World) HitRate(lists map[string][]string) float64 {
	hits, all := 0, 0
	for _, u := range w.Users {
		list := lists[u.ID]
		list = list[:min(10, len(list))]
		for _, item := range u.HeldOut {
			all++
			if slices.Contains(list, item) {
				hits++
			}
		}
	}
	return float64(hits) / float64(max(all, 1))
}

// MostPopular is what it must beat: for each user, the 10 items that most users
// have touched, without those that the user has touched.
func (w *World) MostPopular(events []plain.Event) map[string][]string {
	has := map[plain.Pair]bool{}
	users := map[string]int{}
	for _, e := range events {
		if k := (plain.Pair{A: e.UserID, B: e.ItemID}); !has[k] {
			has[k] = true
			users[e.ItemID]++
		}
	}
	items := make([]string, 0, len(users))
	for item := range users {
		items = append(items, item)
	}
	slices.SortFunc(items, func(a, b string) int { return cmp.Or(users[b]-users[a], cmp.Compare(a, b)) })
	out := map[string][]string{}
	for _, u := range w.Users {
		for _, item := range items {
			if len(out[u.ID]) == 10 {
				break
			}
			if !has[plain.Pair{A: u.ID, B: item}] {
				out[u.ID] = append(out[u.ID], item)
			}
		}
	}
	return out
}
