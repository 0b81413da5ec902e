package wire

import (
	"bytes"
	"io"
	"net"
	"strings"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// Codes that stand where a startup packet has its version.
const (
	cancelCode    = 80877102
	sslCode       = 80877103
	gssCode       = 80877104
	version3      = 3 << 16
	maxStartupLen = 10_000
)

// startup is a client's first packet.
type startup struct {
	cancel      bool
	pid, secret uint32 // of a cancel request

	minor   uint32
	params  map[string]string
	unknown []string // protocol options that are not known here
}

// readStartup reads the first packet; requests for encryption are declined on the way.
func readStartup(conn net.Conn) (*startup, error) {
	for declined := map[uint32]bool{}; ; {
		var head [4]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return nil, err
		}
		n := int(be.Uint32(head[:])) - 4
		if n < 4 || n > maxStartupLen {
			return nil, sqlerr.New(protocolViolation, "invalid length of startup packet")
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(conn, b); err != nil {
			return nil, unexpected(err)
		}
		code, b := be.Uint32(b), b[4:]
		switch {
		case code == cancelCode:
			if len(b) != 8 {
				return nil, sqlerr.New(protocolViolation, "invalid length of cancel request")
			}
			return &startup{cancel: true, pid: be.Uint32(b), secret: be.Uint32(b[4:])}, nil
		case code == sslCode || code == gssCode:
			if declined[code] || len(b) != 0 {
				return nil, sqlerr.New(protocolViolation, "invalid startup packet")
			}
			declined[code] = true
			if _, err := conn.Write([]byte{'N'}); err != nil {
				return nil, err
			}
		case code>>16 == 3:
			return parseStartup(code&0xFFFF, b)
		default:
			return nil, sqlerr.New(sqlerr.FeatureNotSupported,
				"unsupported frontend protocol %d.%d: server supports 3.0 to 3.0", code>>16, code&0xFFFF)
		}
	}
}

// parseStartup reads pairs of strings up to an empty name.
func parseStartup(minor uint32, b []byte) (*startup, error) {
	st := &startup{minor: minor, params: map[string]string{}}
	next := func() (string, bool) {
		i := bytes.IndexByte(b, 0)
		if i < 0 {
			return "", false
		}
		s := string(b[:i])
		b = b[i+1:]
		return s, true
	}
	for {
		name, ok := next()
		if ok && name == "" && len(b) == 0 {
			break
		}
		value, ok2 := next()
		if !ok || !ok2 || name == "" {
			return nil, sqlerr.New(protocolViolation, "invalid startup packet layout: expected terminator as last byte")
		}
		if checkUTF8([]byte(name+value)) != nil {
			return nil, sqlerr.New(sqlerr.CharacterNotInRep, `invalid byte sequence for encoding "UTF8" in a startup packet`)
		}
		if strings.HasPrefix(name, "_pq_.") {
			st.unknown = append(st.unknown, name)
			continue
		}
		st.params[name] = value
	}
	if st.params["user"] == "" {
		return nil, sqlerr.New("28000", "no PostgreSQL user name specified in startup packet")
	}
	if st.params["database"] == "" {
		st.params["database"] = st.params["user"]
	}
	if r := st.params["replication"]; r != "" && r != "false" && r != "off" && r != "no" && r != "0" {
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "replication connections are not supported")
	}
	delete(st.params, "replication")
	if err := st.options(); err != nil {
		return nil, err
	}
	return st, st.encoding()
}

// encoding brings client_encoding to the one that is spoken here.
func (st *startup) encoding() error {
	enc, ok := st.params["client_encoding"]
	if !ok {
		return nil
	}
	plain := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`-_ '"`, r) {
			return -1
		}
		return r
	}, strings.ToLower(enc))
	switch plain {
	case "utf8", "unicode", "sqlascii":
		st.params["client_encoding"] = "UTF8"
		return nil
	}
	return sqlerr.New(sqlerr.InvalidParameter, "invalid value for parameter \"client_encoding\": %q", enc).
		WithHint("Only UTF8 is supported.")
}

// options takes "-c name=value" and "--name=value" out of the parameter options.
// A backslash keeps the next character from parting words.
func (st *startup) options() error {
	all, ok := st.params["options"]
	if !ok {
		return nil
	}
	delete(st.params, "options")
	var words []string
	for i := 0; i < len(all); {
		if strings.IndexByte(" \t\n\r\v\f", all[i]) >= 0 {
			i++
			continue
		}
		var word []byte
		for ; i < len(all) && strings.IndexByte(" \t\n\r\v\f", all[i]) < 0; i++ {
			if all[i] == '\\' && i+1 < len(all) {
				i++
			}
			word = append(word, all[i])
		}
		words = append(words, string(word))
	}
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case w == "-c" && i+1 < len(words):
			i++
			w = words[i]
		case strings.HasPrefix(w, "--"):
			w = w[2:]
		case strings.HasPrefix(w, "-c"):
			w = w[2:]
		default:
			return sqlerr.New(sqlerr.Syntax, "invalid command-line argument for server process: %s", w)
		}
		name, value, ok := strings.Cut(w, "=")
		if !ok || name == "" {
			return sqlerr.New(sqlerr.Syntax, "-c %s requires a value", w)
		}
		name = strings.ReplaceAll(name, "-", "_")
		if name == "user" || name == "database" {
			return sqlerr.New(sqlerr.UndefinedObject, "unrecognized configuration parameter %q", name)
		}
		if _, given := st.params[name]; !given { // a parameter of its own counts more
			st.params[name] = value
		}
	}
	return nil
}
