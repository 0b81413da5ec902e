package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/vfs"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

func code(err error) string {
	var e *sqlerr.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return fmt.Sprint(err)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, fs vfs.FS, opts LogOptions) *Log {
	t.Helper()
	l, err := OpenLog(fs, "wal", opts)
	must(t, err)
	return l
}

func add(t *testing.T, l *Log, payload string) uint64 {
	t.Helper()
	seq, err := l.Append([]byte(payload))
	must(t, err)
	must(t, l.Sync())
	return seq
}

type rec struct {
	seq     uint64
	payload string
}

func all(t *testing.T, l *Log, from uint64) []rec {
	t.Helper()
	var got []rec
	must(t, l.Replay(from, func(s uint64, p []byte) error {
		got = append(got, rec{s, string(p)})
		return nil
	}))
	return got
}

func write(t *testing.T, fs vfs.FS, name string, data []byte) {
	t.Helper()
	f, err := fs.Create(name)
	must(t, err)
	if len(data) > 0 {
		_, err = f.Write(bytes.Clone(data)) // Write may change its argument, and does under -race
		must(t, err)
	}
	must(t, f.Close())
}

func read(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	b, err := (&Log{fs: fs}).readFile(name)
	must(t, err)
	return b
}

// script is a run against a file system that may die under it.
type script struct {
	acked     map[uint64]string // durable for certain, not truncated
	tried     map[uint64]string // given to Append last under this number
	truncated uint64            // the greatest upTo given to Truncate
	maxAcked  uint64
}

func (s *script) run(fs vfs.FS) error {
	opts := LogOptions{SegmentBytes: 120}
	n := 0
	for round := range 3 {
		l, err := OpenLog(fs, "wal", opts)
		if err != nil {
			return err
		}
		for i := range 6 {
			var batch []uint64
			for range 1 + i%3 {
				n++
				p := fmt.Sprintf("record %d %s", n, strings.Repeat("x", n%20))
				seq, err := l.Append([]byte(p))
				if err != nil {
					return err
				}
				if _, again := s.tried[seq]; again {
					return fmt.Errorf("sequence number %d was given out twice", seq)
				}
				s.tried[seq] = p
				batch = append(batch, seq)
			}
			if err := l.Sync(); err != nil {
				return err
			}
			for _, seq := range batch {
				s.acked[seq] = s.tried[seq]
				s.maxAcked = seq
			}
			if i == 3 || round == 1 && i == 5 {
				s.truncated = s.maxAcked - 2
				if i == 5 {
					s.truncated = s.maxAcked
				}
				if err := l.Truncate(s.truncated); err != nil {
					return err
				}
			}
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (s *script) check(t *testing.T, fs vfs.FS) {
	t.Helper()
	l := open(t, fs, LogOptions{SegmentBytes: 120})
	if l.NextSeq() <= s.maxAcked {
		t.Fatalf("next sequence number is %d, %d was acknowledged", l.NextSeq(), s.maxAcked)
	}
	var last uint64
	got := map[uint64]bool{}
	for _, r := range all(t, l, 0) {
		if last != 0 && r.seq != last+1 {
			t.Fatalf("%d follows %d", r.seq, last)
		}
		last = r.seq
		if s.tried[r.seq] != r.payload {
			t.Fatalf("record %d is %q, appended was %q", r.seq, r.payload, s.tried[r.seq])
		}
		got[r.seq] = true
	}
	for seq := range s.acked {
		if seq > s.truncated && !got[seq] {
			t.Fatalf("acknowledged record %d is lost", seq)
		}
	}
	if seq := add(t, l, "after"); seq <= s.maxAcked || seq <= last {
		t.Fatalf("sequence number %d was given out again", seq)
	}
	must(t, l.Close())
}

func TestCrashAfterEachCall(t *testing.T) {
	for _, lose := range []bool{true, false} {
		crashes := 0
		for at := 1; ; at++ {
			mem := vfs.NewStrictMem()
			calls, dead := 0, errors.New("crashed")
			what := ""
			fs := &faultFS{FS: mem}
			fs.before = func(string, string) error {
				if calls >= at {
					return dead
				}
				return nil
			}
			fs.after = func(op, name string) {
				if calls++; calls == at {
					what = op + " " + name
					mem.SetIgnoreSyncs(true)
				}
			}
			s := &script{acked: map[uint64]string{}, tried: map[uint64]string{}}
			err := s.run(fs)
			if err != nil && calls < at {
				t.Fatal(err)
			}
			if lose {
				mem.ResetToSyncedState()
			}
			mem.SetIgnoreSyncs(false)
			if !t.Run(fmt.Sprintf("lose=%v/%d %s", lose, at, what), func(t *testing.T) { s.check(t, mem) }) {
				return
			}
			if err == nil && calls < at {
				break
			}
			crashes++
		}
		if crashes < 100 {
			t.Fatalf("only %d crashes", crashes)
		}
	}
}

// three makes a segment of three records and gives their end offsets.
func three(t *testing.T) (*vfs.MemFS, []byte, []int) {
	mem := vfs.NewMem()
	l := open(t, mem, LogOptions{})
	ends := []int{headerSize}
	for _, p := range []string{"one", "", "the third"} {
		add(t, l, p)
		ends = append(ends, ends[len(ends)-1]+recordHead+len(p))
	}
	must(t, l.Close())
	return mem, read(t, mem, "wal/0000000000000001.log"), ends
}

func TestTornTailAtEveryOffset(t *testing.T) {
	const name = "wal/0000000000000001.log"
	mem, data, ends := three(t)
	if len(data) != ends[3] {
		t.Fatalf("the segment has %d bytes, expected %d", len(data), ends[3])
	}
	for cut := range len(data) + 1 {
		for _, fill := range []int{0, 1, 40} { // zeroes a file system may leave behind
			if fill > 0 && cut < headerSize {
				continue
			}
			write(t, mem, name, append(data[:cut:cut], make([]byte, fill)...))
			want := 0
			for want < 3 && ends[want+1] <= cut {
				want++
			}
			// Zeroes can complete a record only if its own bytes there are zero.
			if want < 3 && ends[want+1] <= cut+fill && strings.Trim(string(data[cut:ends[want+1]]), "\x00") == "" {
				want++
			}
			l := open(t, mem, LogOptions{})
			if got := all(t, l, 0); len(got) != want {
				t.Fatalf("cut at %d: %v, expected %d records", cut, got, want)
			}
			if seq := add(t, l, "new"); seq != uint64(want+1) {
				t.Fatalf("cut at %d: the next record got %d", cut, seq)
			}
			must(t, l.Close())
			l = open(t, mem, LogOptions{})
			if got := all(t, l, 0); len(got) != want+1 || got[want].payload != "new" {
				t.Fatalf("cut at %d: after the reopen %v", cut, got)
			}
			must(t, l.Close())
		}
	}
}

func TestDamageInTheMiddleIsRefused(t *testing.T) {
	const name = "wal/0000000000000001.log"
	mem, data, ends := three(t)
	for i := range ends[2] {
		bad := append([]byte(nil), data...)
		bad[i] ^= 0x81
		write(t, mem, name, bad)
		off := 0
		for _, e := range ends {
			if e <= i {
				off = e
			}
		}
		_, err := OpenLog(mem, "wal", LogOptions{})
		if err == nil {
			t.Fatalf("a damaged byte %d was accepted", i)
		}
		if i >= 8 && i < 12 {
			if code(err) != sqlerr.FeatureNotSupported || !strings.Contains(err.Error(), "version") {
				t.Fatalf("byte %d: %v", i, err)
			}
			continue
		}
		if code(err) != "XX001" || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), fmt.Sprintf("offset %d:", off)) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	// A torn segment that is not the last, and one that is missing.
	mem = vfs.NewMem()
	l := open(t, mem, LogOptions{SegmentBytes: 60})
	for range 3 {
		add(t, l, "0123456789012345")
	}
	must(t, l.Close())
	data = read(t, mem, name)
	write(t, mem, name, data[:len(data)-1])
	if _, err := OpenLog(mem, "wal", LogOptions{}); code(err) != "XX001" {
		t.Fatalf("a torn first segment: %v", err)
	}
	write(t, mem, name, data)
	must(t, mem.Remove("wal/0000000000000002.log"))
	if _, err := OpenLog(mem, "wal", LogOptions{}); code(err) != "XX001" {
		t.Fatalf("a missing segment: %v", err)
	}
}

func TestNewerVersionIsRefused(t *testing.T) {
	mem, data, _ := three(t)
	binary.LittleEndian.PutUint32(data[8:], 7)
	for _, n := range []int{12, len(data)} {
		write(t, mem, "wal/0000000000000001.log", data[:n])
		_, err := OpenLog(mem, "wal", LogOptions{})
		if code(err) != sqlerr.FeatureNotSupported || !strings.Contains(err.Error(), "version 7") {
			t.Fatal(err)
		}
	}
}

func TestFailurePoisons(t *testing.T) {
	for _, c := range []struct {
		op    string
		err   error
		short bool
		code  string
	}{
		{"write", syscall.ENOSPC, false, sqlerr.DiskFull},
		{"write", syscall.EIO, false, sqlerr.IOError},
		{"sync", syscall.EIO, false, sqlerr.IOError},
		{"sync", &os.PathError{Op: "sync", Err: syscall.ENOSPC}, false, sqlerr.DiskFull},
		{"", nil, true, sqlerr.IOError},
	} {
		fs := &faultFS{FS: vfs.NewMem()}
		l := open(t, fs, LogOptions{})
		add(t, l, "good")
		calls := 0
		fs.short = c.short
		fs.before = func(op, _ string) error {
			if op == c.op {
				return c.err
			}
			return nil
		}
		_, err := l.Append([]byte("bad record"))
		must(t, err)
		first := l.Sync()
		if code(first) != c.code {
			t.Fatalf("%+v: %v", c, first)
		}
		fs.short = false
		fs.before = func(op, _ string) error { calls++; return nil } // the disk is well again
		_, err = l.Append(nil)
		for _, e := range []error{err, l.Sync(), l.Sync(), l.Truncate(1)} {
			if e != first {
				t.Fatalf("%+v: a later call returned %v", c, e)
			}
		}
		if calls != 0 {
			t.Fatalf("%+v: %d calls reached the file system after the failure", c, calls)
		}
		if got := all(t, l, 0); len(got) != 1 {
			t.Fatalf("replay of a poisoned log: %v", got)
		}
		if e := l.Close(); e != first {
			t.Fatalf("Close returned %v", e)
		}
		l = open(t, fs, LogOptions{})
		if got := all(t, l, 0); len(got) == 0 || got[0] != (rec{1, "good"}) {
			t.Fatalf("after the reopen: %v", got)
		}
		must(t, l.Close())
	}
}

func TestTruncateAndReuse(t *testing.T) {
	mem := vfs.NewMem()
	l := open(t, mem, LogOptions{SegmentBytes: 100})
	for i := range 10 {
		add(t, l, fmt.Sprintf("payload number %02d...", i))
	}
	must(t, l.Truncate(5))
	if f := l.FirstSeq(); f < 4 || f > 6 {
		t.Fatalf("the log begins at %d", f)
	}
	if got := all(t, l, 7); len(got) != 4 || got[0].seq != 7 {
		t.Fatal(got)
	}
	for range 2 {
		must(t, l.Truncate(1<<63))
		must(t, l.Close())
		l = open(t, mem, LogOptions{})
		if got := all(t, l, 0); len(got) != 0 || l.NextSeq() != 11 || l.FirstSeq() != 11 {
			t.Fatal(got, l.NextSeq(), l.FirstSeq())
		}
	}
	if names, _ := mem.List("wal"); len(names) != 1 {
		t.Fatal(names)
	}
	if seq := add(t, l, "x"); seq != 11 {
		t.Fatal(seq)
	}
	must(t, l.Close())
	if _, err := l.Append(nil); code(err) != sqlerr.ObjectNotInState {
		t.Fatal(err)
	}
}

func TestConcurrentAppenders(t *testing.T) {
	const workers, each = 16, 100
	fs := &faultFS{FS: vfs.NewMem()}
	opts := LogOptions{SegmentBytes: 4096, BufferBytes: 256}
	l := open(t, fs, opts)
	var mu sync.Mutex
	want := map[uint64]string{}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				p := fmt.Sprintf("%d/%d", w, i)
				seq, err := l.Append([]byte(p))
				if err == nil {
					err = l.Sync()
				}
				if err == nil && i%25 == 24 {
					err = l.Replay(seq, func(uint64, []byte) error { return nil })
				}
				if err == nil && i%50 == 49 {
					err = l.Truncate(0)
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				want[seq] = p
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	must(t, l.Close())
	l = open(t, fs, opts)
	got := all(t, l, 0)
	if len(got) != workers*each {
		t.Fatalf("%d records", len(got))
	}
	for i, r := range got {
		if r.seq != uint64(i+1) || want[r.seq] != r.payload {
			t.Fatalf("record %d is %v, expected %q", i, r, want[r.seq])
		}
	}
}

// Waiters that come while an fsync runs share the next one.
func TestGroupCommit(t *testing.T) {
	fs := &faultFS{FS: vfs.NewMem()}
	l := open(t, fs, LogOptions{})
	syncs := 0
	entered, gate := make(chan bool, 100), make(chan bool)
	fs.before = func(op, _ string) error {
		if op == "sync" {
			syncs++
			entered <- true
			<-gate
		}
		return nil
	}
	var wg sync.WaitGroup
	run := func() {
		_, err := l.Append([]byte("x"))
		if err != nil {
			t.Error(err)
		}
		wg.Go(func() {
			if err := l.Sync(); err != nil {
				t.Error(err)
			}
		})
	}
	run()
	<-entered
	for range 50 {
		run()
	}
	close(gate)
	wg.Wait()
	if syncs != 2 {
		t.Fatalf("%d fsyncs for 51 waiters, expected 2", syncs)
	}
}
