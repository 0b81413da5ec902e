package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
)

// Topic is a topic to have from the start.
type Topic struct {
	Name       string
	Partitions int
	Configs    map[string]string // as kafka-topics --config
}

// User may log in.
type User struct{ Mechanism, Name, Password string } // PLAIN, SCRAM-SHA-256, SCRAM-SHA-512

// Options are what Start does not ask for.
type Options struct {
	Advertise string // the host that clients are told; empty: the one listened on
	Users     []User // not empty: clients must log in
	TLS       *tls.Config
	Configs   map[string]string // of the broker, e.g. message.max.bytes
	Sync      bool              // fsync every write to the data directory
}

// Broker is a running broker.
type Broker struct {
	cluster *kfake.Cluster
	addr    string
}

// Start starts a broker on listenAddr (host:port; port 0 takes a free one).
// dataDir keeps the topics over a restart; empty: they live in memory. Topics
// that are there already stay as they are.
func Start(listenAddr, dataDir string, topics ...Topic) (*Broker, error) {
	return Options{}.Start(listenAddr, dataDir, topics...)
}

// listener tells clients another host than the one it listens on.
type listener struct {
	net.Listener
	addr addr
}

type addr string

func (addr) Network() string      { return "tcp" }
func (a addr) String() string     { return string(a) }
func (l listener) Addr() net.Addr { return l.addr }

// Start is Start with options.
func (o Options) Start(listenAddr, dataDir string, topics ...Topic) (*Broker, error) {
	host, p, err := net.SplitHostPort(listenAddr)
	if err != nil {
		return nil, fmt.Errorf("broker: listen address %q: %w", listenAddr, err)
	}
	port, err := strconv.Atoi(p)
	if err != nil {
		return nil, fmt.Errorf("broker: listen address %q: the port is no number", listenAddr)
	}
	told := o.Advertise
	if told == "" {
		if told = host; told == "" || net.ParseIP(told).IsUnspecified() {
			told = "127.0.0.1"
		}
	}
	var at string
	opts := []kfake.Opt{
		kfake.Ports(port),
		kfake.ClusterID("streamsql"),
		kfake.BrokerConfigs(o.Configs),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			l, err := net.Listen(network, listenAddr)
			if err != nil {
				return nil, err
			}
			at = net.JoinHostPort(told, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
			return listener{l, addr(at)}, nil
		}),
	}
	if dataDir != "" {
		opts = append(opts, kfake.DataDir(dataDir))
		if o.Sync {
			opts = append(opts, kfake.SyncWrites())
		}
	}
	if len(o.Users) > 0 {
		opts = append(opts, kfake.EnableSASL())
	}
	for _, u := range o.Users {
		opts = append(opts, kfake.Superuser(u.Mechanism, u.Name, u.Password))
	}
	if o.TLS != nil {
		opts = append(opts, kfake.TLS(o.TLS))
	}
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	b := &Broker{cluster: c, addr: at}
	for _, t := range topics {
		err := c.CreateTopic(t.Name, int32(max(t.Partitions, 1)), t.Configs)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			b.Close()
			return nil, fmt.Errorf("broker: topic %q: %w", t.Name, err)
		}
	}
	return b, nil
}

// Addr is the address for properties.bootstrap.server.
func (b *Broker) Addr() string { return b.addr }

// Cluster gives access to what tests need: faults, retention, compaction.
func (b *Broker) Cluster() *kfake.Cluster { return b.cluster }

// Close stops the broker; with a data directory, everything is on disk then.
func (b *Broker) Close() { b.cluster.Close() }
