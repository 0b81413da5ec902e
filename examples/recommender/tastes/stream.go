package tastes

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"

	"github.com/streamsql/streamsql/examples/recommender/plain"
)

// StreamOptions are what a Stream does beside the users' tastes.
type StreamOptions struct {
	Seed uint64
	// Disorder is by how much an event may come after later ones, in seconds; 0:
	// the default of 8, within the watermark's 10.
	Disorder float64
	// TooLate is the share of events that come 20 to 60 s late, Broken that of
	// records that are no event.
	TooLate, Broken float64
}

// Stream is the events of a world, one after another. It is for one goroutine.
type Stream struct {
	w   *World
	o   StreamOptions
	rnd *rand.Rand
	n   int64
}

// Stream starts a stream of events.
func (w *World) Stream(o StreamOptions) *Stream {
	if o.Disorder == 0 {
		o.Disorder = 8
	}
	return &Stream{w: w, o: o, rnd: rand.New(rand.NewPCG(o.Seed, w.o.Seed+2))}
}

var eventTypes = []struct {
	upto float64
	name string
}{{0.60, "view"}, {0.85, "click"}, {0.95, "like"}, {1, "purchase"}}

// Next returns the event that arrives at the time at (seconds since 1970), and
// its record. Where the record lands is the caller's to fill in. ok is false for
// a record that is no event.
func (s *Stream) Next(at float64, buf []byte) (e plain.Event, record []byte, ok bool) {
	s.n++
	u := &s.w.Users[s.rnd.IntN(len(s.w.Users))]
	e.UserID, e.ItemID = u.ID, u.Items[s.rnd.IntN(len(u.Items))]
	kind := s.rnd.Float64()
	for _, t := range eventTypes {
		if kind < t.upto {
			e.Type = t.name
			break
		}
	}
	// Most events are prompt, a few nearly as late as the bound allows.
	d := s.rnd.Float64()
	delay := s.o.Disorder * d * d * d * d
	if s.rnd.Float64() < s.o.TooLate {
		delay = 20 + 40*s.rnd.Float64()
	}
	ms := int64(math.Floor((at - delay) * 1000))
	e.EventTime = ms * 1000
	if s.rnd.Float64() < s.o.Broken {
		return e, s.broken(buf, e), false
	}
	return e, AppendRecord(buf, e, float64(ms)/1000, s.n/50), true
}

// AppendRecord appends the event as the topic has it, with its time in seconds.
func AppendRecord(buf []byte, e plain.Event, seconds float64, session int64) []byte {
	return fmt.Appendf(buf, `{"user_id":%q,"item_id":%q,"event_type":%q,"timestamp":%s,"session_id":"session_%d","metadata":{"device":"web"}}`,
		e.UserID, e.ItemID, e.Type, strconv.FormatFloat(seconds, 'f', -1, 64), session)
}

func (s *Stream) broken(buf []byte, e plain.Event) []byte {
	switch s.rnd.IntN(3) {
	case 0: // a key is missing
		return fmt.Appendf(buf, `{"user_id":%q,"item_id":%q,"event_type":%q}`, e.UserID, e.ItemID, e.Type)
	case 1: // one is unknown
		rec := AppendRecord(buf, e, float64(e.EventTime)/1e6, s.n/50)
		return append(rec[:len(rec)-1], `,"colour":"red"}`...)
	default:
		return fmt.Appendf(buf, `{"user_id":%q,`, e.UserID)
	}
}
