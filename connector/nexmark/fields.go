package nexmark

import (
	"github.com/streamsql/streamsql/sql/types"
)

// field is a column that events may have; per kind of event, what computes it.
type field struct {
	name string
	typ  types.ID // Int8, Varchar, Timestamp; Int4 is event_type alone
	ints [3]func(g *generator, id int64) int64
	text [3]func(g *generator, dst []byte, id int64) []byte
}

// The numbers of the fields' random streams. They must stay as they are.
const (
	fName = iota + 1
	fEmail
	fCard
	fCity
	fState
	fPersonExtra
	fItem
	fDescription
	fInitial
	fReserve
	fExpires
	fSeller
	fCategory
	fAuctionExtra
	fAuction
	fBidder
	fPrice
	fChannel
	fBidExtra
)

type (
	intFn  = func(g *generator, id int64) int64
	textFn = func(g *generator, dst []byte, id int64) []byte
)

func pick(field uint64, from []string) textFn {
	return func(g *generator, dst []byte, id int64) []byte {
		r := g.random(id, field)
		return append(dst, from[r.below(int64(len(from)))]...)
	}
}

func words(field uint64, most int64) textFn {
	return func(g *generator, dst []byte, id int64) []byte {
		r := g.random(id, field)
		return r.words(dst, most)
	}
}

var (
	city        = pick(fCity, cities)
	state       = pick(fState, states)
	item        = words(fItem, 20)
	description = words(fDescription, 100)
)

func name(g *generator, dst []byte, id int64) []byte {
	r := g.random(id, fName)
	dst = append(dst, firstNames[r.below(int64(len(firstNames)))]...)
	dst = append(dst, ' ')
	return append(dst, lastNames[r.below(int64(len(lastNames)))]...)
}

func email(g *generator, dst []byte, id int64) []byte {
	r := g.random(id, fEmail)
	dst = append(r.letters(dst, 3+r.below(4)), '@')
	dst = r.letters(dst, 3+r.below(2))
	return append(dst, ".com"...)
}

func card(g *generator, dst []byte, id int64) []byte {
	r := g.random(id, fCard)
	for i := range 16 {
		if i > 0 && i%4 == 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, '0'+byte(r.below(10)))
	}
	return dst
}

func personExtra(g *generator, dst []byte, id int64) []byte {
	at := len(dst)
	dst = state(g, city(g, card(g, email(g, name(g, dst, id), id), id), id), id)
	size := int64(8 + len(dst) - at)
	r := g.random(id, fPersonExtra)
	return r.pad(dst[:at], size, g.personBytes)
}

func initialBid(g *generator, id int64) int64 {
	r := g.random(id, fInitial)
	return r.price()
}

func reserve(g *generator, id int64) int64 {
	r := g.random(id, fReserve)
	return initialBid(g, id) + r.price()
}

// expires ends an auction within twice the time that as many events take as are
// needed for the auctions in flight.
func expires(g *generator, id int64) int64 {
	now := g.micros(id)
	horizon := (g.micros(id+g.inFlight*perEpoch/auctions) - now) / 1000
	r := g.random(id, fExpires)
	return now + (1+r.below(max(2*horizon, 1)))*1000
}

func seller(g *generator, id int64) int64 {
	r := g.random(id, fSeller)
	if r.hot(g.hotSeller) {
		return firstPerson + lastPerson(id)/hotStep*hotStep
	}
	return g.anyPerson(&r, id)
}

func category(g *generator, id int64) int64 {
	r := g.random(id, fCategory)
	return firstCategory + r.below(categories)
}

func auctionExtra(g *generator, dst []byte, id int64) []byte {
	at := len(dst)
	dst = description(g, item(g, dst, id), id)
	size := int64(6*8 + len(dst) - at)
	r := g.random(id, fAuctionExtra)
	return r.pad(dst[:at], size, g.auctionBytes)
}

func bidAuction(g *generator, id int64) int64 {
	r := g.random(id, fAuction)
	if r.hot(g.hotAuction) {
		return firstAuction + lastAuction(id)/hotStep*hotStep
	}
	return g.anyAuction(&r, id)
}

func bidder(g *generator, id int64) int64 {
	r := g.random(id, fBidder)
	if r.hot(g.hotBidder) {
		return firstPerson + lastPerson(id)/hotStep*hotStep + 1
	}
	return g.anyPerson(&r, id)
}

func price(g *generator, id int64) int64 {
	r := g.random(id, fPrice)
	return r.price()
}

func channelOf(g *generator, id int64) *channel {
	r := g.random(id, fChannel)
	if r.hot(hotChannel) {
		return &channelTable()[r.below(int64(len(hotChannels)))]
	}
	return &channelTable()[int64(len(hotChannels))+r.below(channels)]
}

func channelName(g *generator, dst []byte, id int64) []byte {
	return append(dst, channelOf(g, id).name...)
}

func url(g *generator, dst []byte, id int64) []byte {
	return append(dst, channelOf(g, id).url...)
}

func bidExtra(g *generator, dst []byte, id int64) []byte {
	r := g.random(id, fBidExtra)
	return r.pad(dst, 4*8, g.bidBytes)
}

func eventType(_ *generator, id int64) int64 { return int64(kindOf(id)) }
func personID(_ *generator, id int64) int64  { return firstPerson + lastPerson(id) }
func auctionID(_ *generator, id int64) int64 { return firstAuction + lastAuction(id) }
func dateTime(g *generator, id int64) int64  { return g.micros(id) }

// fields are all columns, in the order of Columns.
var fields = []field{
	{name: "event_type", typ: types.Int4, ints: [3]intFn{eventType, eventType, eventType}},
	{name: "id", typ: types.Int8, ints: [3]intFn{personID, auctionID, nil}},
	{name: "name", typ: types.Varchar, text: [3]textFn{name, nil, nil}},
	{name: "email_address", typ: types.Varchar, text: [3]textFn{email, nil, nil}},
	{name: "credit_card", typ: types.Varchar, text: [3]textFn{card, nil, nil}},
	{name: "city", typ: types.Varchar, text: [3]textFn{city, nil, nil}},
	{name: "state", typ: types.Varchar, text: [3]textFn{state, nil, nil}},
	{name: "item_name", typ: types.Varchar, text: [3]textFn{nil, item, nil}},
	{name: "description", typ: types.Varchar, text: [3]textFn{nil, description, nil}},
	{name: "initial_bid", typ: types.Int8, ints: [3]intFn{nil, initialBid, nil}},
	{name: "reserve", typ: types.Int8, ints: [3]intFn{nil, reserve, nil}},
	{name: "auction", typ: types.Int8, ints: [3]intFn{nil, nil, bidAuction}},
	{name: "bidder", typ: types.Int8, ints: [3]intFn{nil, nil, bidder}},
	{name: "price", typ: types.Int8, ints: [3]intFn{nil, nil, price}},
	{name: "channel", typ: types.Varchar, text: [3]textFn{nil, nil, channelName}},
	{name: "url", typ: types.Varchar, text: [3]textFn{nil, nil, url}},
	{name: "date_time", typ: types.Timestamp, ints: [3]intFn{dateTime, dateTime, dateTime}},
	{name: "expires", typ: types.Timestamp, ints: [3]intFn{nil, expires, nil}},
	{name: "seller", typ: types.Int8, ints: [3]intFn{nil, seller, nil}},
	{name: "category", typ: types.Int8, ints: [3]intFn{nil, category, nil}},
	{name: "extra", typ: types.Varchar, text: [3]textFn{personExtra, auctionExtra, bidExtra}},
}
