package broker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestRestart: what was written is there after a restart on the same port.
func TestRestart(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	dir := t.TempDir()
	addr := "127.0.0.1:0"
	for round := range 2 {
		b, err := Start(addr, dir, Topic{Name: "t", Partitions: 2})
		if err != nil {
			t.Fatal(err)
		}
		addr = b.Addr()
		p, err := NewProducer(addr)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			p.Send("t", 1, nil, fmt.Appendf(nil, `{"n":%d}`, round*10+i))
		}
		if err := p.Produce(ctx, "t", []byte("{}"), []byte("{}")); err != nil {
			t.Fatal(err)
		}
		p.Close()
		b.Close()
	}
	b, err := Start(addr, dir, Topic{Name: "t", Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.ConsumeTopics("t"), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	given, n := 0, 0
	for n < 24 {
		f := cl.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("after %d records: %v", n, err)
		}
		for _, r := range f.Records() {
			n++
			if string(r.Value) == fmt.Sprintf(`{"n":%d}`, given) && r.Partition == 1 {
				given++
			}
		}
	}
	if given != 20 || n != 24 {
		t.Fatalf("%d records, %d of them in order in the partition they were sent to", n, given)
	}
}

func TestStartFails(t *testing.T) {
	for _, addr := range []string{"", "nonsense", "127.0.0.1:x"} {
		if b, err := Start(addr, ""); err == nil {
			b.Close()
			t.Errorf("%q is taken as an address", addr)
		}
	}
	b, err := Start("127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if c, err := Start(b.Addr(), ""); err == nil {
		c.Close()
		t.Error("two brokers listen on one port")
	}
}
