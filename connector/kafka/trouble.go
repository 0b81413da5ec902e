package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

const (
	codeConnection = "08006" // connection_failure
)

// stale is how long an error that nothing repeats is believed.
const stale = 5 * time.Second

// conn notes what becomes of the connections of a client: franz-go itself tries
// again without a word.
type conn struct {
	mu   sync.Mutex
	err  error
	addr string
	at   time.Time
}

var (
	_ kgo.HookBrokerConnect = (*conn)(nil)
	_ kgo.HookBrokerE2E     = (*conn)(nil)
)

// OnBrokerConnect is called by franz-go after each attempt.
func (c *conn) OnBrokerConnect(b kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		c.note(b, err)
	}
}

// OnBrokerE2E is called by franz-go after each request.
func (c *conn) OnBrokerE2E(b kgo.BrokerMetadata, _ int16, e kgo.BrokerE2E) {
	switch err := e.Err(); {
	case err == nil:
		c.clear()
	case e.ReadErr != nil && errors.Is(e.ReadErr, net.ErrClosed):
		// An idle connection that was given up.
	default:
		c.note(b, err)
	}
}

func (c *conn) note(b kgo.BrokerMetadata, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err, c.addr, c.at = err, net.JoinHostPort(b.Host, fmt.Sprint(b.Port)), time.Now()
}

func (c *conn) clear() {
	c.mu.Lock()
	c.err = nil
	c.mu.Unlock()
}

func (c *conn) trouble() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		return nil
	}
	if errors.Is(c.err, io.EOF) {
		// Brokers that refuse a login or are spoken to in another protocol may
		// hang up without a word.
		return sqlerr.New(codeConnection, "kafka broker %s closed the connection", c.addr).
			WithHint("Check properties.security.protocol and the SASL options.")
	}
	return sqlerr.New(codeConnection, "kafka broker %s: %v", c.addr, c.err)
}

// explain prefers the reason that the connections know over a timeout's.
func (c *conn) explain(err error) error {
	var e *sqlerr.Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	var answer *kerr.Error
	if t := c.trouble(); t != nil && !errors.As(err, &answer) {
		return t
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return sqlerr.New(codeConnection, "the kafka brokers do not answer in time")
	}
	return sqlerr.New(codeConnection, "kafka: %v", err)
}

// troubles are the reasons that a reader does not read, by who found them.
type troubles struct {
	mu     sync.Mutex
	watch  error // as of the watcher's last round
	poll   error
	pollAt time.Time
}

func (t *troubles) watched(err error) {
	t.mu.Lock()
	t.watch = err
	t.mu.Unlock()
}

func (t *troubles) polled(err error) {
	t.mu.Lock()
	t.poll, t.pollAt = err, time.Now()
	t.mu.Unlock()
}

func (t *troubles) get() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.poll != nil && time.Since(t.pollAt) < stale {
		return t.poll
	}
	return t.watch
}
