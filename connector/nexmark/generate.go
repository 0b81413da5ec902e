package nexmark

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"sync"
)

// Of every 50 events one is a person, three are auctions, and 46 are bids.
const (
	perEpoch = 50
	persons  = 1
	auctions = 3
)

const (
	firstPerson   = 1000
	firstAuction  = 1000
	firstCategory = 10
	categories    = 5
	idLead        = 10 // ids drawn may be of the near future
	hotStep       = 100
	hotChannel    = 2
	channels      = 10_000
)

type kind uint8

const (
	person kind = iota
	auction
	bid
)

// generator is what the options say of the events.
type generator struct {
	seed         int64
	base         int64 // µs
	rate         int64 // events a second, of event time
	group        int64 // events whose order is shuffled
	active       int64 // people
	inFlight     int64 // auctions
	hotAuction   int64
	hotBidder    int64
	hotSeller    int64
	personBytes  int64
	auctionBytes int64
	bidBytes     int64
}

// id is the event that is the n-th to come: the order within a group is shuffled.
func (g *generator) id(n int64) int64 {
	if g.group == 1 {
		return n
	}
	return n/g.group*g.group + n%g.group*(953%g.group)%g.group
}

func kindOf(id int64) kind {
	switch off := id % perEpoch; {
	case off < persons:
		return person
	case off < persons+auctions:
		return auction
	}
	return bid
}

// micros is the time of event id, in whole milliseconds.
func (g *generator) micros(id int64) int64 {
	us := id/g.rate*1_000_000 + id%g.rate*1_000_000/g.rate
	return g.base + us/1000*1000
}

func lastPerson(id int64) int64 { return id / perEpoch }

func lastAuction(id int64) int64 {
	epoch, off := id/perEpoch, id%perEpoch
	if off < persons {
		return epoch*auctions - 1
	}
	return epoch*auctions + min(off-persons, auctions-1)
}

// random is the splitmix64 generator.
type random uint64

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// random starts the numbers of one field of an event: a field's value must not
// depend on the other columns that a source has.
func (g *generator) random(id int64, field uint64) random {
	return random(mix(mix(uint64(id)+0x9E3779B97F4A7C15*uint64(g.seed+1)) ^ field*0xD1342543DE82EF95))
}

func (r *random) next() uint64 {
	*r += 0x9E3779B97F4A7C15
	return mix(uint64(*r))
}

func (r *random) below(n int64) int64 {
	hi, _ := bits.Mul64(r.next(), uint64(n))
	return int64(hi)
}

// hot tells whether a draw with this ratio takes the hot one: (ratio-1)/ratio do.
func (r *random) hot(ratio int64) bool { return r.below(ratio) > 0 }

const priceSteps = 1024

// priceTable is 100·10^(6u) at u = i/priceSteps.
var priceTable = sync.OnceValue(func() *[priceSteps + 1]float64 {
	var out [priceSteps + 1]float64
	for i := range out {
		out[i] = 100 * math.Pow(10, 6*float64(i)/priceSteps)
	}
	return &out
})

// price is 100·10^(6u) for a uniform u, on straight lines between the table's
// points. The conversions keep processors from fusing what others do not.
func (r *random) price() int64 {
	w, table := r.next(), priceTable()
	i := w >> 54
	u := float64(w<<10>>11) / (1 << 53)
	return int64(table[i] + float64(u*(table[i+1]-table[i])) + 0.5)
}

func (g *generator) anyPerson(r *random, id int64) int64 {
	known := lastPerson(id) + 1
	active := min(known, g.active)
	return firstPerson + known - active + r.below(active+idLead)
}

func (g *generator) anyAuction(r *random, id int64) int64 {
	last := lastAuction(id)
	least := max(last-g.inFlight, 0)
	return firstAuction + least + r.below(last-least+1+idLead)
}

// letters appends n random letters, eight at a time: byte x becomes 'a' + x*26/256.
func (r *random) letters(dst []byte, n int64) []byte {
	const (
		even = 0x00FF00FF00FF00FF
		as   = 0x6161616161616161
	)
	for ; n > 0; n -= 8 {
		w := r.next()
		w = w&even*26>>8&even | w>>8&even*26&^even
		dst = binary.LittleEndian.AppendUint64(dst, w+as)
	}
	return dst[:int64(len(dst))+n]
}

// words appends three to most letters, one in 13 a space, but none at the ends.
func (r *random) words(dst []byte, most int64) []byte {
	start := len(dst)
	dst = r.letters(dst, 3+r.below(most-3))
	for i := start + 1; i < len(dst)-1; i++ {
		if r.below(13) == 0 {
			dst[i] = ' '
		}
	}
	return dst
}

// pad appends what brings an event of size bytes to about the average wanted.
func (r *random) pad(dst []byte, size, want int64) []byte {
	if want -= size; want <= 0 {
		return dst
	}
	vary := (want + 2) / 5
	n := want - vary
	if vary > 0 {
		n += r.below(2 * vary)
	}
	return r.letters(dst, n)
}

var (
	firstNames  = []string{"Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"}
	lastNames   = []string{"Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"}
	cities      = []string{"Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"}
	states      = []string{"AZ", "CA", "ID", "OR", "WA", "WY"}
	hotChannels = []string{"Google", "Facebook", "Baidu", "Apple"}
)

type channel struct{ name, url string }

// channelTable holds the hot channels and then the others: a channel keeps its url.
var channelTable = sync.OnceValue(func() []channel {
	g := generator{}
	out := make([]channel, 0, len(hotChannels)+channels)
	for i := range len(hotChannels) + channels {
		r := g.random(int64(i), 99)
		url := []byte("https://www.nexmark.com/")
		for range 3 {
			url = append(r.letters(url, 5), '/')
		}
		url = append(url, "item.htm?query=1"...)
		if i < len(hotChannels) {
			out = append(out, channel{hotChannels[i], string(url)})
			continue
		}
		n := i - len(hotChannels)
		if r.below(10) > 0 {
			c := int64(int32(bits.Reverse32(uint32(n))))
			url = strconv.AppendInt(append(url, "&channel_id="...), max(c, -c), 10)
		}
		out = append(out, channel{"channel-" + strconv.Itoa(n), string(url)})
	}
	return out
})
