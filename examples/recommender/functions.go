package recommender

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/streamsql/streamsql/udf"
)

func init() {
	udf.RegisterScalar("recommender.EventWeight", EventWeight)
	udf.RegisterScalar("recommender.Rating", Rating)
	udf.RegisterAggregate("recommender.EMA", func() *EMA { return &EMA{} })
	udf.RegisterAggregate("recommender.FoldRating", func() *FoldRating { return &FoldRating{} })
}

// EventWeight is the weight of an event type in a user's interests; a type that
// is not known weighs as little as a view.
func EventWeight(eventType string) float64 {
	switch eventType {
	case "click":
		return 0.3
	case "like":
		return 0.5
	case "purchase":
		return 1.0
	}
	return 0.1
}

// Rating is what an event of the type says about an item, from 1 to 5; a type
// that is not known says as little as a view.
func Rating(eventType string) float64 {
	switch eventType {
	case "click":
		return 2
	case "like":
		return 3
	case "purchase":
		return 5
	}
	return 1
}

// EMA is an exponential moving average that starts at 0. It depends on the
// order of its rows.
type EMA struct{ value float64 }

// Add moves the average by the share alpha, from 0 to 1, towards v.
func (e *EMA) Add(v, alpha float64) error {
	if !(alpha >= 0 && alpha <= 1) {
		return errors.New("the share of a new value must be from 0 to 1")
	}
	// Each product is rounded by itself, on any processor.
	e.value = float64((1-alpha)*e.value) + float64(alpha*v)
	return nil
}

// Result is the average.
func (e *EMA) Result() float64 { return e.value }

// MarshalBinary gives the average's 8 bytes: there is one for each user and
// category.
func (e *EMA) MarshalBinary() ([]byte, error) { return marshalFloat(e.value) }

// UnmarshalBinary takes them back.
func (e *EMA) UnmarshalBinary(b []byte) (err error) { return unmarshalFloat(b, &e.value) }

// FoldRating is a rating that each event moves half way to its own. It starts
// at 0 and depends on the order of its rows.
type FoldRating struct{ value float64 }

// Add folds in the rating of one event.
func (f *FoldRating) Add(rating float64) { f.value = (f.value + rating) / 2 }

// Result is the rating.
func (f *FoldRating) Result() float64 { return f.value }

// MarshalBinary gives the rating's 8 bytes.
func (f *FoldRating) MarshalBinary() ([]byte, error) { return marshalFloat(f.value) }

// UnmarshalBinary takes them back.
func (f *FoldRating) UnmarshalBinary(b []byte) error { return unmarshalFloat(b, &f.value) }

func marshalFloat(f float64) ([]byte, error) {
	return binary.LittleEndian.AppendUint64(nil, math.Float64bits(f)), nil
}

func unmarshalFloat(b []byte, f *float64) error {
	if len(b) != 8 {
		return errors.New("a float's form has 8 bytes")
	}
	*f = math.Float64frombits(binary.LittleEndian.Uint64(b))
	return nil
}
