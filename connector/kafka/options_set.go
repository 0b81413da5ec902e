package kafka

import (
	"net"
	"strconv"
	"strings"

	"github.com/streamsql/streamsql/connector"
)

func setBrokers(o *options, v string) error {
	o.brokers = nil
	for _, b := range strings.Split(v, ",") {
		b = strings.TrimSpace(b)
		if b == "" {
			continue
		}
		if !strings.Contains(b, ":") {
			b += ":9092"
		}
		host, port, err := net.SplitHostPort(b)
		if n, perr := strconv.Atoi(port); err != nil || perr != nil || host == "" || n < 1 || n > 65535 {
			return invalid(`option properties.bootstrap.server: "%s" is no host:port`, b)
		}
		o.brokers = append(o.brokers, b)
	}
	return nil
}

func setMode(o *options, v string) error {
	o.hasMode = true
	switch strings.ToLower(v) {
	case "earliest", "earliest-offset":
		o.mode = earliest
	case "latest", "latest-offset":
		o.mode = latest
	case "timestamp":
		o.mode = byTimestamp
	case "specific-offsets":
		o.mode = byOffset
	case "group-offsets":
		return invalid("scan.startup.mode 'group-offsets' is not supported").
			WithHint("Positions are kept with the engine's checkpoints; start with 'earliest', 'latest', 'timestamp' or 'specific-offsets'.")
	default:
		return invalid(`option scan.startup.mode: "%s" is none of 'earliest', 'latest', 'timestamp', 'specific-offsets'`, v)
	}
	return nil
}

// setOffsets reads partition:0,offset:42;partition:1,offset:300.
func setOffsets(o *options, v string) error {
	o.offsets = connector.Positions{}
	for _, part := range strings.Split(v, ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		p, off, ok := strings.Cut(part, ",")
		ps, okP := strings.CutPrefix(strings.TrimSpace(p), "partition:")
		os, okO := strings.CutPrefix(strings.TrimSpace(off), "offset:")
		n, err := strconv.ParseInt(ps, 10, 32)
		at, err2 := strconv.ParseInt(os, 10, 64)
		if !ok || !okP || !okO || err != nil || err2 != nil || n < 0 || at < 0 {
			return invalid(`option scan.startup.specific-offsets: "%s" is not like partition:0,offset:42`, part)
		}
		o.offsets[int32(n)] = at
	}
	return nil
}
