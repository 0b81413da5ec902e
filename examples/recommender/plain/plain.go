package plain

import (
	"cmp"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/streamsql/streamsql/examples/recommender"
)

// The bounds of recommender.sql.
const (
	RatingsPerUser = 20
	UsersPerItem   = 50
	MinOverlap     = 5
	Neighbours     = 10
	ListLength     = 10
	TopInterests   = 5

	Alpha       = 0.1
	ItemWeight  = 0.8
	UserWeight  = 0.6
	ItemReason  = "Similar to items you liked"
	UsersReason = "Users with similar tastes liked this"
)

// Event is a record of the topic.
type Event struct {
	UserID, ItemID, Type string
	EventTime            int64 // µs since 1970
	Partition            int32
	Offset               int64
	// A late event missed its turn in a fold, and is not in that view.
	LateForInterests, LateForRatings bool
}

// Pair is the key of most views: a user and an item, an item and another.
type Pair struct{ A, B string }

// Rating is a row of ratings.
type Rating struct {
	Value     float64
	LastEvent int64
}

// Profile is a row of user_profiles.
type Profile struct {
	Events       int64
	LastEvent    int64
	TopInterests []string
	TopValues    []float64
	Patterns     string // "": NULL
}

// Similarity is a row of a similarity, or of the pairs behind it.
type Similarity struct {
	Value   float64
	Overlap int64
}

// Recommendation is a row of a list.
type Recommendation struct {
	Score  float64
	Reason string
}

// Answers are all views at one moment, by their keys.
type Answers struct {
	Interests           map[Pair]float64 // user, category
	Patterns            map[Pair]int64   // user, pattern
	Profiles            map[string]Profile
	Ratings             map[Pair]Rating // user, item
	KeptRatings         map[Pair]float64
	ItemPairs           map[Pair]Similarity
	ItemSimilarity      map[Pair]Similarity
	UserPairs           map[Pair]Similarity
	UserSimilarity      map[Pair]Similarity
	ItemRecommendations map[Pair]Recommendation // user, item
	UserRecommendations map[Pair]Recommendation
	Recommendations     map[Pair]Recommendation
}

// Compute answers all views over exactly these events, in whatever order.
func Compute(events []Event, category map[string]string) *Answers {
	events = slices.Clone(events)
	slices.SortFunc(events, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.EventTime, b.EventTime), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	a := &Answers{
		Interests: map[Pair]float64{}, Patterns: map[Pair]int64{}, Profiles: map[string]Profile{}, Ratings: map[Pair]Rating{},
	}
	for _, e := range events {
		p := a.Profiles[e.UserID]
		p.Events++
		p.LastEvent = max(p.LastEvent, e.EventTime)
		a.Profiles[e.UserID] = p
		if c, ok := category[e.ItemID]; ok {
			a.Patterns[Pair{e.UserID, e.Type + "_" + c}]++
			if !e.LateForInterests {
				k := Pair{e.UserID, c}
				a.Interests[k] = float64((1-Alpha)*a.Interests[k]) + float64(Alpha*recommender.EventWeight(e.Type))
			}
		}
		if !e.LateForRatings {
			k := Pair{e.UserID, e.ItemID}
			a.Ratings[k] = Rating{(a.Ratings[k].Value + recommender.Rating(e.Type)) / 2, max(a.Ratings[k].LastEvent, e.EventTime)}
		}
	}
	a.profiles()
	a.keep()
	a.ItemPairs = cosines(a.KeptRatings, func(k Pair) (string, string) { return k.B, k.A })
	a.ItemSimilarity = neighbours(a.ItemPairs)
	a.UserPairs = cosines(a.KeptRatings, func(k Pair) (string, string) { return k.A, k.B })
	a.UserSimilarity = neighbours(a.UserPairs)
	a.recommend()
	return a
}

type named struct {
	name  string
	value float64
	ways  int // in which it was found
}

// best sorts by falling value, equal ones by the ways they were found, then by name.
func best(l []named) []named {
	slices.SortFunc(l, func(a, b named) int {
		return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(b.ways, a.ways), cmp.Compare(a.name, b.name))
	})
	return l
}

func first[T any](n int, l []T) []T { return l[:min(n, len(l))] }

func (a *Answers) profiles() {
	interests, patterns := map[string][]named{}, map[string][]string{}
	for k, v := range a.Interests {
		interests[k.A] = append(interests[k.A], named{name: k.B, value: v})
	}
	for k, n := range a.Patterns {
		patterns[k.A] = append(patterns[k.A], k.B+"="+strconv.FormatInt(n, 10))
	}
	for u, p := range a.Profiles {
		for _, i := range first(TopInterests, best(interests[u])) {
			p.TopInterests, p.TopValues = append(p.TopInterests, i.name), append(p.TopValues, i.value)
		}
		// By the pattern: the = behind it would sort otherwise.
		slices.SortFunc(patterns[u], func(a, b string) int {
			return cmp.Compare(a[:strings.LastIndexByte(a, '=')], b[:strings.LastIndexByte(b, '=')])
		})
		p.Patterns = strings.Join(patterns[u], " ")
		a.Profiles[u] = p
	}
}

// keep applies the two bounds: the latest ratings of a user, and of those the
// latest of an item.
func (a *Answers) keep() {
	latest := func(of map[string][]Pair, n int, other func(Pair) string) (kept []Pair) {
		for _, l := range of {
			slices.SortFunc(l, func(x, y Pair) int {
				return cmp.Or(cmp.Compare(a.Ratings[y].LastEvent, a.Ratings[x].LastEvent), cmp.Compare(other(x), other(y)))
			})
			kept = append(kept, first(n, l)...)
		}
		return kept
	}
	byUser, byItem := map[string][]Pair{}, map[string][]Pair{}
	for k := range a.Ratings {
		byUser[k.A] = append(byUser[k.A], k)
	}
	for _, k := range latest(byUser, RatingsPerUser, func(k Pair) string { return k.B }) {
		byItem[k.B] = append(byItem[k.B], k)
	}
	a.KeptRatings = map[Pair]float64{}
	for _, k := range latest(byItem, UsersPerItem, func(k Pair) string { return k.A }) {
		a.KeptRatings[k] = a.Ratings[k].Value
	}
}

// cosines compares the vectors of all things two by two; split tells a rating's
// thing from the dimension it stands in.
func cosines(ratings map[Pair]float64, split func(Pair) (thing, dim string)) map[Pair]Similarity {
	squares := map[string][]float64{}
	in := map[string][]named{} // by dimension
	for k, v := range ratings {
		thing, dim := split(k)
		squares[thing] = append(squares[thing], float64(v*v))
		in[dim] = append(in[dim], named{name: thing, value: v})
	}
	norm := map[string]float64{}
	for t, l := range squares {
		norm[t] = math.Sqrt(sum(l))
	}
	products := map[Pair][]float64{}
	for _, l := range in {
		for _, x := range l {
			for _, y := range l {
				if x.name < y.name {
					k := Pair{x.name, y.name}
					products[k] = append(products[k], float64(x.value*y.value))
				}
			}
		}
	}
	out := map[Pair]Similarity{}
	for k, l := range products {
		if len(l) >= MinOverlap {
			out[k] = Similarity{sum(l) / float64(norm[k.A]*norm[k.B]), int64(len(l))}
		}
	}
	return out
}

func neighbours(pairs map[Pair]Similarity) map[Pair]Similarity {
	lists := map[string][]named{}
	for k, s := range pairs {
		lists[k.A] = append(lists[k.A], named{name: k.B, value: s.Value})
		lists[k.B] = append(lists[k.B], named{name: k.A, value: s.Value})
	}
	out := map[Pair]Similarity{}
	for t, l := range lists {
		for _, n := range first(Neighbours, best(l)) {
			out[Pair{t, n.name}] = pairs[Pair{min(t, n.name), max(t, n.name)}]
		}
	}
	return out
}

func (a *Answers) recommend() {
	items, users := map[string][]named{}, map[string][]string{}
	for k := range a.KeptRatings {
		users[k.A] = append(users[k.A], k.B)
	}
	for k, s := range a.ItemSimilarity {
		items[k.A] = append(items[k.A], named{name: k.B, value: s.Value})
	}
	byItem, byUser := map[Pair][]float64{}, map[Pair][]float64{}
	for k := range a.KeptRatings {
		for _, n := range items[k.B] {
			to := Pair{k.A, n.name}
			byItem[to] = append(byItem[to], float64(n.value*ItemWeight))
		}
	}
	for k, s := range a.UserSimilarity {
		for _, item := range users[k.B] {
			to := Pair{k.A, item}
			byUser[to] = append(byUser[to], float64(s.Value*UserWeight))
		}
	}
	a.ItemRecommendations = a.list(byItem, ItemReason)
	a.UserRecommendations = a.list(byUser, UsersReason)
	a.Recommendations = map[Pair]Recommendation{}
	for k, r := range a.UserRecommendations {
		a.Recommendations[k] = r
	}
	for k, r := range a.ItemRecommendations {
		if u, both := a.Recommendations[k]; both {
			r.Score = sum([]float64{r.Score, u.Score}) / 2
		}
		a.Recommendations[k] = r
	}
}

// list takes the mean of each item's scores and each user's best, without what
// the user has.
func (a *Answers) list(scores map[Pair][]float64, reason string) map[Pair]Recommendation {
	lists := map[string][]named{}
	for k, l := range scores {
		if _, has := a.Ratings[k]; !has {
			lists[k.A] = append(lists[k.A], named{k.B, sum(l) / float64(len(l)), len(l)})
		}
	}
	out := map[Pair]Recommendation{}
	for u, l := range lists {
		for _, n := range first(ListLength, best(l)) {
			out[Pair{u, n.name}] = Recommendation{n.value, reason}
		}
	}
	return out
}

// TopFor returns the items recommended to each user, best first.
func (a *Answers) TopFor() map[string][]string {
	lists := map[string][]named{}
	for k, r := range a.Recommendations {
		lists[k.A] = append(lists[k.A], named{name: k.B, value: r.Score})
	}
	out := map[string][]string{}
	for u, l := range lists {
		for _, n := range best(l) {
			out[u] = append(out[u], n.name)
		}
	}
	return out
}

// sum is rounded once, as the engine's sums are, so that neither the order of
// the terms nor what was taken away again is in it. Two things that are equally
// similar then are so here and there.
func sum(l []float64) float64 {
	if len(l) == 1 {
		return l[0]
	}
	s := new(big.Float).SetPrec(2200) // from 2^-1074 to 2^1024 and some carries
	for _, v := range l {
		s.Add(s, big.NewFloat(v))
	}
	f, _ := s.Float64()
	return f
}
