package file

import (
	"context"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/delta"
)

func init() {
	connector.RegisterSink("blackhole", func(connector.Config, []byte) (connector.Sink, error) { return blackhole{}, nil })
}

// blackhole takes rows and keeps none: what a query costs without its sink.
type blackhole struct{}

func (blackhole) Write(context.Context, uint64, *delta.Batch) error { return nil }
func (blackhole) Release(context.Context, uint64) error             { return nil }
func (blackhole) State() []byte                                     { return nil }
func (blackhole) Close() error                                      { return nil }
