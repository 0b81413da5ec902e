package kafka

import (
	"strings"
	"testing"
	"time"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

func TestOptions(t *testing.T) {
	parse := func(kv ...string) (*options, error) {
		m := map[string]string{"connector": "kafka", "topic": "t", "properties.bootstrap.server": "h"}
		for i := 0; i < len(kv); i += 2 {
			if m[kv[i]] = kv[i+1]; kv[i+1] == "-" {
				delete(m, kv[i])
			}
		}
		return parseOptions(m)
	}
	o, err := parse("properties.bootstrap.server", "-", "properties.bootstrap.servers", "a:1, b ,[::1]:3", "engine.option", "x")
	if err != nil || strings.Join(o.brokers, " ") != "a:1 b:9092 [::1]:3" {
		t.Errorf("brokers %v, %v", o, err)
	}
	for v, want := range map[string]time.Duration{"500": 500 * time.Millisecond, "10 s": 10 * time.Second, "1 min": time.Minute, "2m": 2 * time.Minute} {
		if o, err := parse("scan.topic-partition-discovery.interval", v); err != nil || o.discovery != want {
			t.Errorf("%s: %v", v, err)
		}
	}
	o, err = parse("properties.security.protocol", "SASL_PLAINTEXT", "properties.sasl.mechanism", "scram-sha-512",
		"properties.sasl.jaas.config", `org.apache.kafka.common.security.scram.ScramLoginModule required username="u" password="p";`)
	if err != nil || o.user != "u" || o.password != "p" || o.mechanism != "SCRAM-SHA-512" {
		t.Errorf("jaas: %+v, %v", o, err)
	}
	for text, kv := range map[string][]string{
		"needs the option topic":               {"topic", "-"},
		"needs the option properties.bootstra": {"properties.bootstrap.server", "-"},
		"is no host:port":                      {"properties.bootstrap.server", "h:x"},
		"are the same and differ":              {"properties.bootstrap.servers", "other"},
		"'earliest', 'latest'":                 {"scan.startup.mode", "middle"},
		"'group-offsets' is not supported":     {"scan.startup.mode", "group-offsets"},
		"needs the option scan.startup.timest": {"scan.startup.mode", "timestamp"},
		"needs scan.startup.mode 'timestamp'":  {"scan.startup.mode", "latest", "scan.startup.timestamp.millis", "5"},
		"is no whole number":                   {"scan.startup.timestamp.millis", "yesterday"},
		"needs the option scan.startup.specif": {"scan.startup.mode", "specific-offsets"},
		"is not like partition:0,offset:42":    {"scan.startup.specific-offsets", "0:42"},
		`"perhaps" is none of 'earliest'`:      {"on_offset_out_of_range", "perhaps"},
		"is no duration":                       {"scan.topic-partition-discovery.interval", "often"},
		`unknown option "properties.foo"`:      {"properties.foo", "1"},
		"'PLAINTEXT', 'SSL'":                   {"properties.security.protocol", "TLS"},
		"needs the option properties.sasl.mec": {"properties.security.protocol", "SASL_SSL"},
		"the SASL options need":                {"properties.sasl.username", "u"},
		"the TLS options need":                 {"properties.ssl.ca.pem", "x"},
		"no certificate in PEM form":           {"properties.security.protocol", "SSL", "properties.ssl.ca.pem", "x"},
		"ssl.ca.location: open /none":          {"properties.security.protocol", "SSL", "properties.ssl.ca.location", "/none"},
		"no username":                          {"properties.sasl.jaas.config", "secret"},
	} {
		_, err := parse(kv...)
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: the error is %v", kv, err)
		} else if c := sqlerr.From(err).Code; c != sqlerr.InvalidParameter && c != sqlerr.IOError {
			t.Errorf("%q: the code is %s", kv, c)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the message shows a secret: %v", err)
		}
	}
}
