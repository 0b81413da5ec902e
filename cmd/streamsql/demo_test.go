package main

import (
	"bytes"
	"context"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestDemo: a few seconds of the demo show recommendations, and what is asked for
// ends it in order. The port that it would like is taken.
func TestDemo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var out, errs bytes.Buffer
	if code := run(context.Background(), []string{"demo", "--for", "7s", "--rate", "2000", "--listen", l.Addr().String()}, &out, &errs); code != 0 {
		t.Fatalf("exit %d\n%s\n%s", code, out.String(), errs.String())
	}
	for _, want := range []string{
		`is taken: SQL is served on another port`,
		`\n +\d+ s +[\d,]+ events, [\d,]+/s +lag 0 `,
		`user_0 +[a-z]+ 0\.\d\d +item_\d+ +[a-z]+ +0\.\d{3}  (Similar to items you liked|Users with similar)`,
		`\ntry: psql -h 127.0.0.1 -p \d+ -c "SELECT`,
		`\n1\d,\d{3} events in \d+ s, [\d,]+ recommendations for \d+ users`,
		`times as many\.\n$`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("the output does not match %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("escape sequences are no use in a buffer")
	}
}

// TestDemoInterrupted: an interrupt at any moment ends it with exit 0.
func TestDemoInterrupted(t *testing.T) {
	for _, after := range []time.Duration{0, 50 * time.Millisecond, 1500 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(context.Background(), after)
		var out, errs bytes.Buffer
		if code := run(ctx, []string{"demo", "--listen", "127.0.0.1:0"}, &out, &errs); code != 0 {
			t.Errorf("after %v: exit %d\n%s\n%s", after, code, out.String(), errs.String())
		}
		cancel()
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
