package tastes

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Options are the measures of a World; zero values stand for the defaults.
type Options struct {
	Seed    uint64
	Users   int     // 200
	Items   int     // 500; at most 1000, as recommender.sql knows no more
	Tastes  int     // 20; best a multiple of 5, so that a taste is of one category
	PerUser int     // 20 items that a user would touch
	HeldOut int     // 4 of them that are held back
	Loyalty float64 // 0.9 of them are of the user's tastes
}

func (o Options) withDefaults() Options {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.Users, 200)
	def(&o.Items, 500)
	def(&o.Tastes, 20)
	def(&o.PerUser, 20)
	def(&o.HeldOut, 4)
	if o.Loyalty == 0 {
		o.Loyalty = 0.9
	}
	return o
}

// User is a user and what only the world knows about it.
type User struct {
	ID      string
	Tastes  []int    // one or two
	Items   []string // that the user touches
	HeldOut []string // that it would touch, too
}

// World is users and items.
type World struct {
	o     Options
	Users []User

	all   weighted
	taste []weighted
}

// ItemID is the name of item n.
func ItemID(n int) string { return fmt.Sprintf("item_%d", n) }

// Categories are the categories of the items, as recommender.sql fills them in.
func Categories() map[string]string {
	names := []string{"electronics", "books", "clothing", "home", "sports"}
	out := map[string]string{}
	for n := range 1000 {
		out[ItemID(n)] = names[n%len(names)]
	}
	return out
}

// New makes a world.
func New(o Options) *World {
	o = o.withDefaults()
	w := &World{o: o, taste: make([]weighted, o.Tastes)}
	rnd := rand.New(rand.NewPCG(o.Seed, 1))
	// Popularity falls with the rank: the first item is touched eleven times as
	// often as the last.
	for rank, n := range rnd.Perm(o.Items) {
		weight := 1 / float64(rank+50)
		w.all.add(n, weight)
		w.taste[n%o.Tastes].add(n, weight)
	}
	for n := range o.Users {
		u := User{ID: fmt.Sprintf("user_%d", n), Tastes: rnd.Perm(o.Tastes)[:1+rnd.IntN(2)]}
		for tries := 0; len(u.Items) < o.PerUser && tries < 100*o.PerUser; tries++ {
			if item := ItemID(w.pick(rnd, &u)); !slices.Contains(u.Items, item) {
				u.Items = append(u.Items, item)
			}
		}
		rnd.Shuffle(len(u.Items), func(i, j int) { u.Items[i], u.Items[j] = u.Items[j], u.Items[i] })
		cut := len(u.Items) - min(o.HeldOut, len(u.Items)/2)
		u.Items, u.HeldOut = u.Items[:cut:cut], u.Items[cut:]
		w.Users = append(w.Users, u)
	}
	return w
}

// pick draws an item that u might touch.
func (w *World) pick(rnd *rand.Rand, u *User) int {
	if rnd.Float64() < w.o.Loyalty {
		return w.taste[u.Tastes[rnd.IntN(len(u.Tastes))]].pick(rnd)
	}
	return w.all.pick(rnd)
}

// weighted is a choice of numbers by weight.
type weighted struct {
	nums []int
	upto []float64
}

func (w *weighted) add(n int, weight float64) {
	if k := len(w.upto); k > 0 {
		weight += w.upto[k-1]
	}
	w.nums, w.upto = append(w.nums, n), append(w.upto, weight)
}

func (w *weighted) pick(rnd *rand.Rand) int {
	i, _ := slices.BinarySearch(w.upto, rnd.Float64()*w.upto[len(w.upto)-1])
	return w.nums[min(i, len(w.nums)-1)]
}
