package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	stdpem "encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/connector/kafka/broker"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// TestLarge: records of many megabytes, plain and packed, end no reader.
func TestLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("moves more than half a gigabyte")
	}
	b, err := broker.Options{Configs: map[string]string{"message.max.bytes": "200000000"}}.Start("127.0.0.1:0", "",
		broker.Topic{Name: "t", Partitions: 1, Configs: map[string]string{"max.message.bytes": "200000000"}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	const size = 100 << 20
	huge := []byte(`{"n":1,"s":"` + strings.Repeat("x", size) + `"}`)
	p := producer(t, b, kgo.ProducerBatchMaxBytes(200<<20), kgo.BrokerMaxWriteBytes(256<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	send(t, p, 0, 0, 1)
	p.Send("t", 0, nil, huge)
	send(t, p, 0, 2, 3)
	packed := producer(t, b, kgo.ProducerBatchMaxBytes(200<<20), kgo.BrokerMaxWriteBytes(256<<20), kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	packed.Send("t", 0, nil, huge)
	send(t, packed, 0, 4, 5)
	cols := append(rowCols[:3:3], connector.Column{Name: "s", Type: types.Of(types.Text)})

	g := open(t, source(t, config(b, cols)), nil, nil)
	g.until("all", func() bool { return g.next[0] == 5 })
	if g.count() != 3 || len(g.dead) != 2 || g.dead[0].Offset != 1 || !strings.Contains(g.dead[0].Reason, "scan.max.record.bytes") {
		t.Errorf("%d rows, dead letters at %v", g.count(), len(g.dead))
	}
	g.r.Close()
	// What unpacks to more than allowed is not unpacked at all.
	g = open(t, source(t, config(b, cols, "scan.max.batch.bytes", "10000000")), nil, nil)
	g.until("all", func() bool { return g.next[0] == 5 })
	if len(g.dead) != 2 || !strings.Contains(g.dead[1].Reason, "scan.max.batch.bytes") {
		t.Errorf("%d rows, dead letters %+v", g.count(), g.dead)
	}
	g.r.Close()
	g = open(t, source(t, config(b, cols, "scan.max.record.bytes", "200000000")), nil, nil)
	g.rowsUntil(5)
	g.r.Close()
	// A response that may not be received says which option to raise.
	g = open(t, source(t, config(b, cols, "properties.receive.message.max.bytes", "50000000")), nil, nil)
	g.fails(sqlerr.TooComplex, "properties.receive.message.max.bytes")
	if g.count() != 1 {
		t.Errorf("%d rows before it", g.count())
	}
}

// TestGroup: a group shows the positions, and nothing reads them back.
func TestGroup(t *testing.T) {
	b := startBroker(t, broker.Topic{Name: "t", Partitions: 1})
	p := producer(t, b)
	send(t, p, 0, 0, 10)
	s := source(t, config(b, rowCols, "properties.group.id", "g", "properties.auto.commit.interval.ms", "50"))
	committed := func() int64 {
		os, err := kadm.NewClient(p.Client()).FetchOffsets(t.Context(), "g")
		if err != nil {
			return -1
		}
		o, _ := os.Lookup("t", 0)
		return o.At
	}
	g := open(t, s, nil, nil)
	g.rowsUntil(10)
	eventually(t, "the group is at 10", func() bool { return committed() == 10 })
	g.r.(*reader).Release(connector.Positions{0: 4})
	g.r.Close()
	if at := committed(); at != 4 {
		t.Errorf("after a release of 4, the group is at %d", at)
	}
	g = open(t, s, nil, nil)
	g.rowsUntil(10)
}

func TestSecurity(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca := string(stdpem.EncodeToMemory(&stdpem.Block{Type: "CERTIFICATE", Bytes: der}))
	b, err := broker.Options{
		TLS: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		Users: []broker.User{{Mechanism: "PLAIN", Name: "u", Password: "p1"}, {Mechanism: "SCRAM-SHA-256", Name: "u", Password: "p2"},
			{Mechanism: "SCRAM-SHA-512", Name: "u", Password: "p3"}},
	}.Start("127.0.0.1:0", "", broker.Topic{Name: "t", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, c := range []struct {
		mechanism, password, text string
		opts                      []string
	}{
		{"PLAIN", "p1", "", []string{"properties.ssl.ca.pem", ca}},
		{"SCRAM-SHA-256", "p2", "", []string{"properties.ssl.ca.pem", ca}},
		{"SCRAM-SHA-512", "p3", "", []string{"properties.ssl.ca.pem", ca, "properties.ssl.endpoint.identification.algorithm", "none"}},
		{"SCRAM-SHA-512", "p3", "", []string{"properties.enable.ssl.certificate.verification", "false"}},
		{"SCRAM-SHA-512", "p3", "certificate", nil},
		{"SCRAM-SHA-512", "p3", "certificate", []string{"properties.ssl.endpoint.identification.algorithm", "none"}},
		{"PLAIN", "wrong", "closed the connection", []string{"properties.ssl.ca.pem", ca}},
		{"SCRAM-SHA-256", "wrong", "closed the connection", []string{"properties.ssl.ca.pem", ca}},
	} {
		begin := time.Now()
		s, err := connector.NewSource(config(b, rowCols, append(c.opts, "properties.security.protocol", "SASL_SSL",
			"properties.sasl.mechanism", c.mechanism, "properties.sasl.username", "u", "properties.sasl.password", c.password)...))
		switch {
		case c.text != "":
			if err == nil || !strings.Contains(err.Error(), c.text) || time.Since(begin) > 5*time.Second {
				t.Errorf("%s, %s: %v after %v", c.mechanism, c.password, err, time.Since(begin))
			}
		case err != nil:
			t.Errorf("%s, %v: %v", c.mechanism, c.opts, err)
		}
		if err == nil {
			if end, err := s.End(context.Background()); err != nil || end[0] != 0 {
				t.Errorf("%s: the end is %v, %v", c.mechanism, end, err)
			}
			s.Close()
		}
	}
}
