package wire

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// encoded is what a client sends for some messages.
func encoded(f *testing.F, msgs ...pgproto3.FrontendMessage) []byte {
	var out []byte
	for _, m := range msgs {
		var err error
		if out, err = m.Encode(out); err != nil {
			f.Fatal(err)
		}
	}
	return out
}

// FuzzServer gives a connection any bytes, with or without a startup before them:
// no panic, and the session ends with its client.
func FuzzServer(f *testing.F) {
	startup := encoded(f, &pgproto3.StartupMessage{ProtocolVersion: 3 << 16, Parameters: map[string]string{"user": "u", "options": "-c a=b"}})
	sync, run := &pgproto3.Sync{}, &pgproto3.Execute{MaxRows: 1}
	for _, b := range [][]byte{
		startup[4:],
		encoded(f, &pgproto3.SSLRequest{}, &pgproto3.GSSEncRequest{}, &pgproto3.CancelRequest{ProcessID: 1, SecretKey: []byte("1234")}),
		encoded(f, &pgproto3.Query{String: "series 3; fail"}, &pgproto3.Query{String: "begin; notice"}, &pgproto3.Terminate{}),
		encoded(f, &pgproto3.Parse{Name: "s", Query: "echo integer text numeric integer[]", ParameterOIDs: []uint32{20}},
			&pgproto3.Describe{ObjectType: 'S', Name: "s"},
			&pgproto3.Bind{PreparedStatement: "s", ParameterFormatCodes: []int16{1, 0, 1, 1}, ResultFormatCodes: []int16{1},
				Parameters: [][]byte{make([]byte, 8), []byte("x"), make([]byte, 8), {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 23}}}, run, sync),
		encoded(f, &pgproto3.Parse{Query: "series 3"}, &pgproto3.Bind{DestinationPortal: "p"}, &pgproto3.Describe{ObjectType: 'P', Name: "p"},
			&pgproto3.Execute{Portal: "p", MaxRows: 2}, &pgproto3.Flush{}, &pgproto3.Close{ObjectType: 'P', Name: "p"}, sync),
		encoded(f, &pgproto3.CopyData{Data: []byte("x")}, &pgproto3.CopyDone{}, &pgproto3.CopyFail{}, sync),
		[]byte("B\x00\x00\x00\x10\x00\x00\x00\x00\x00\x01\xff\xff\xff\xfe\x00\x00"),
		[]byte("F\x00\x00\x00\x06\x00\x01Q\x00\x00\x00\x04"),
	} {
		f.Add(true, b)
		f.Add(false, b)
	}
	f.Fuzz(func(t *testing.T, started bool, b []byte) {
		backend := &fake{}
		s := New(backend, Config{MaxMessage: 4096, StartupTimeout: time.Second, WriteTimeout: time.Second})
		s.onPanic = func(p any) {
			if p != "a statement panics" {
				t.Errorf("panic: %v", p)
			}
		}
		client, server := net.Pipe()
		if !s.open(server) {
			t.Fatal("the connection is refused")
		}
		ended := make(chan struct{})
		go func() {
			s.serve(server)
			close(ended)
		}()
		go io.Copy(io.Discard, client)
		if started {
			b = bytes.Join([][]byte{startup, b}, nil)
		}
		client.SetWriteDeadline(time.Now().Add(time.Second)) // a statement that hangs takes no more
		client.Write(b)
		client.Close()
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			t.Fatal("the session outlives its client")
		}
		if !backend.idle() {
			t.Error("something was left open")
		}
	})
}
