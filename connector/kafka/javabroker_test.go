package kafka

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/connector/kafka/broker"
)

// apacheKafka is Apache Kafka in a process of its own. The class path is that
// of .ci/kafka/pom.xml, in the file named by KAFKA_CLASSPATH_FILE.
type apacheKafka struct {
	t     *testing.T
	cp    string
	dir   string
	addr  string
	props string
	cmd   *exec.Cmd
	out   bytes.Buffer
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func startApacheKafka(t *testing.T) *apacheKafka {
	t.Helper()
	file := os.Getenv("KAFKA_CLASSPATH_FILE")
	if file == "" {
		t.Skip("no Apache Kafka: KAFKA_CLASSPATH_FILE is not set (see .ci/run)")
	}
	if _, err := exec.LookPath("java"); err != nil {
		t.Skip("no java to run Apache Kafka with")
	}
	cp, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	k := &apacheKafka{t: t, cp: strings.TrimSpace(string(cp)), dir: t.TempDir(), addr: freeAddr(t)}
	k.props = filepath.Join(k.dir, "server.properties")
	controller := freeAddr(t)
	err = os.WriteFile(k.props, fmt.Appendf(nil, `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%[2]s
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
advertised.listeners=PLAINTEXT://%[1]s
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=%[3]s/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
`, k.addr, controller, k.dir), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := k.java("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", k.props).CombinedOutput(); err != nil {
		t.Fatalf("formatting Kafka's directory: %v\n%s", err, out)
	}
	k.start()
	t.Cleanup(k.kill)
	return k
}

func (k *apacheKafka) java(args ...string) *exec.Cmd {
	return exec.Command("java", append([]string{"-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", k.cp}, args...)...)
}

func (k *apacheKafka) start() {
	k.t.Helper()
	k.cmd = k.java("kafka.Kafka", k.props)
	k.cmd.Stdout, k.cmd.Stderr = &k.out, &k.out
	if err := k.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	for range 600 {
		c, err := net.DialTimeout("tcp", k.addr, time.Second)
		if err == nil {
			c.Close()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	k.kill()
	k.t.Fatalf("Apache Kafka does not come up:\n%s", k.out.String())
}

func (k *apacheKafka) kill() {
	if k.cmd != nil {
		_ = k.cmd.Process.Kill()
		_ = k.cmd.Wait()
		k.cmd = nil
	}
}

// TestApacheKafka reads from Apache Kafka itself: transactions, a broker that is
// killed and comes back, a topic that is made anew.
func TestApacheKafka(t *testing.T) {
	k := startApacheKafka(t)
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := adm.CreateTopic(ctx, 2, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	p, err := broker.NewProducer(k.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	send(t, p, 0, 0, 3000)

	cfg := connector.Config{Name: "s", Columns: rowCols, Options: map[string]string{
		"connector": "kafka", "topic": "t", "properties.bootstrap.server": k.addr,
		"scan.topic-partition-discovery.interval": "200ms", "on_topic_recreated": "earliest",
	}}
	s := source(t, cfg)
	g := open(t, s, nil, nil)
	g.rowsUntil(3000)
	g.want(map[int32][]int64{0: ints(0, 3000)})

	// A committed transaction is read, an aborted one is not.
	tx, err := kgo.NewClient(kgo.SeedBrokers(k.addr), kgo.TransactionalID("tx"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	for i, commit := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for n := range 10 {
			r := &kgo.Record{Topic: "t", Partition: 1, Value: fmt.Appendf(nil, `{"n":%d}`, 1000*i+n)}
			if err := tx.ProduceSync(ctx, r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.EndTransaction(ctx, commit); err != nil {
			t.Fatal(err)
		}
	}
	g.rowsUntil(3010)
	g.want(map[int32][]int64{0: ints(0, 3000), 1: ints(1000, 1010)})

	// The broker is killed and comes back.
	k.kill()
	eventually(t, "the outage is seen", func() bool {
		away, stop := context.WithTimeout(ctx, 20*time.Millisecond)
		defer stop()
		if fs, err := g.r.Fetch(away, 100); err == nil {
			for _, f := range fs {
				g.take(f)
			}
		}
		return g.r.Trouble() != nil
	})
	k.start()
	send(t, p, 0, 3000, 3100)
	g.rowsUntil(3110)

	// A topic made anew is read from its start, as the option says.
	if _, err := adm.DeleteTopics(ctx, "t"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the topic can be made again", func() bool {
		_, err := adm.CreateTopic(ctx, 1, 1, nil, "t")
		return err == nil
	})
	p2, err := broker.NewProducer(k.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer p2.Close()
	send(t, p2, 0, 5000, 5005)
	g.rowsUntil(3115)
	if len(g.resets) == 0 {
		t.Error("the new topic came without a word")
	}
}
