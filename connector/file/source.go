package file

import (
	"context"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/connector/json"
	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

func init() { connector.RegisterSource("file", NewSource) }

// poll is how often a file that ended is looked at again.
const poll = 50 * time.Millisecond

// Source reads a file.
type Source struct {
	name    string
	path    string
	csv     bool
	sep     byte
	header  bool
	bounded bool
	json    json.Options
	cols    []connector.Column
}

func invalid(format string, args ...any) *sqlerr.Error {
	return sqlerr.New(sqlerr.InvalidParameter, format, args...)
}

func ioError(err error) error { return sqlerr.New(sqlerr.IOError, "%v", err) }

// format is what the statement says: the option, ENCODE, or json.
func format(cfg connector.Config) string {
	if f := cfg.Options["format"]; f != "" {
		return strings.ToLower(f)
	}
	if cfg.Encode != "" {
		return cfg.Encode
	}
	return "json"
}

func flag(cfg connector.Config, name, off, on string) (bool, error) {
	switch v := strings.ToLower(cfg.Options[name]); v {
	case "", off:
		return false, nil
	case on:
		return true, nil
	}
	return false, invalid(`option %s: "%s" is neither '%s' nor '%s'`, name, cfg.Options[name], off, on)
}

// NewSource makes the source that cfg asks for.
func NewSource(cfg connector.Config) (connector.Source, error) {
	s := &Source{name: cfg.Name, path: cfg.Options["path"], sep: ',', cols: cfg.Columns}
	if s.path == "" {
		return nil, invalid("the connector file needs the option path")
	}
	if n := cfg.UnknownOption("path", "format", "bounded", "header", "delimiter", "missing.field", "unknown.field"); n != "" {
		return nil, invalid(`unknown option "%s"`, n).
			WithHint("Known options: path, format, bounded, header, delimiter, missing.field, unknown.field.")
	}
	switch f := format(cfg); f {
	case "json", "jsonl":
	case "csv":
		s.csv = true
	default:
		return nil, invalid(`option format: "%s" is neither 'json' nor 'csv'`, f)
	}
	if cfg.Format != "" && cfg.Format != "plain" {
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "the connector file has no FORMAT %s", strings.ToUpper(cfg.Format))
	}
	var err error
	for _, o := range []struct {
		to            *bool
		name, off, on string
	}{
		{&s.bounded, "bounded", "false", "true"},
		{&s.header, "header", "false", "true"},
		{&s.json.MissingIsError, "missing.field", "null", "error"},
		{&s.json.UnknownIsError, "unknown.field", "ignore", "error"},
	} {
		if *o.to, err = flag(cfg, o.name, o.off, o.on); err != nil {
			return nil, err
		}
	}
	if d := cfg.Options["delimiter"]; d != "" {
		if d == `\t` {
			d = "\t"
		}
		if len(d) != 1 || strings.ContainsAny(d, "\"\r\n") || d[0] >= 0x80 {
			return nil, invalid(`option delimiter: "%s" is not one ASCII character, or one that CSV needs`, d)
		}
		s.sep = d[0]
	}
	for _, c := range cfg.Columns {
		switch {
		case c.Meta == "":
		case c.Meta == "offset" && c.Type.ID == types.Int8, c.Meta == "partition" && c.Type.ID == types.Int4:
		default:
			return nil, invalid(`column "%s": file has only the metadata offset (bigint) and partition (integer)`, c.Name)
		}
	}
	if _, err := s.decoder(nil); err != nil {
		return nil, err
	}
	st, err := os.Stat(s.path)
	if err != nil && (s.bounded || !os.IsNotExist(err)) {
		return nil, ioError(err)
	}
	if err == nil && !st.Mode().IsRegular() {
		return nil, invalid(`"%s" is no regular file`, s.path)
	}
	return s, nil
}

type decoder interface {
	end(b []byte) int // the length of the first record with its line break; 0: none
	decode(rec []byte) error
	vec(i int) *delta.Vec
	size() int
	take() []*delta.Vec
}

// decoder makes a decoder; header is the record of names, for CSV that has one.
func (s *Source) decoder(header []byte) (decoder, error) {
	d, err := json.New(s.cols, s.json)
	if err != nil || !s.csv {
		return jsonDecoder{d}, err
	}
	c := &csvDecoder{sep: s.sep, exact: !s.header || s.json.UnknownIsError, vecs: d.Take()}
	for _, col := range s.cols {
		c.names = append(c.names, col.Name)
		c.meta = append(c.meta, col.Meta != "")
		c.fields = append(c.fields, -1)
	}
	if !s.header {
		for i := range c.fields {
			if !c.meta[i] {
				c.fields[i] = c.want
				c.want++
			}
		}
		return c, nil
	}
	if header == nil {
		return c, nil
	}
	names, _, err := csvSplit(nil, nil, header, s.sep)
	if err != nil {
		return nil, sqlerr.New(sqlerr.InvalidText, "the header of %s: %v", s.path, err)
	}
	c.want = len(names)
	used := make([]bool, len(names))
	for i, col := range s.cols {
		if c.meta[i] {
			continue
		}
		for k := len(names) - 1; k >= 0; k-- {
			n := string(names[k].b)
			if n == col.Name || c.fields[i] < 0 && strings.EqualFold(n, col.Name) {
				c.fields[i] = k
			}
		}
		if k := c.fields[i]; k >= 0 {
			used[k] = true
		} else if s.json.MissingIsError {
			return nil, sqlerr.New(sqlerr.UndefinedColumn, `the header of %s has no field "%s"`, s.path, col.Name)
		}
	}
	for k, n := range names {
		if !used[k] && s.json.UnknownIsError {
			return nil, sqlerr.New(sqlerr.UndefinedColumn, `there is no column for the field "%s" in the header of %s`, n.b, s.path)
		}
	}
	return c, nil
}

// Start returns the start of the file.
func (s *Source) Start(context.Context) (connector.Positions, error) {
	return connector.Positions{0: 0}, nil
}

// End returns where the last record that is there ends.
func (s *Source) End(ctx context.Context) (connector.Positions, error) {
	f, err := os.Open(s.path)
	if os.IsNotExist(err) && !s.bounded {
		return connector.Positions{0: 0}, nil
	}
	if err != nil {
		return nil, ioError(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, ioError(err)
	}
	end := st.Size()
	// The end of the last whole line.
	buf := make([]byte, 64<<10)
	for at := end; !s.bounded && at > 0; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := min(int64(len(buf)), at)
		at -= n
		if _, err := f.ReadAt(buf[:n], at); err != nil {
			return nil, ioError(err)
		}
		if i := strings.LastIndexByte(string(buf[:n]), '\n'); i >= 0 {
			return connector.Positions{0: at + int64(i) + 1}, nil
		}
		end = 0
	}
	return connector.Positions{0: end}, nil
}

// Close does nothing: readers hold the file.
func (s *Source) Close() error { return nil }

// Open starts a reader.
func (s *Source) Open(_ context.Context, from, until connector.Positions) (connector.Reader, error) {
	for _, ps := range []connector.Positions{from, until} {
		for p, n := range ps {
			if p != 0 || n < 0 {
				return nil, invalid("a file has no partition %d with an offset %d", p, n)
			}
		}
	}
	r := &reader{Source: s, off: from[0], limit: -1, trouble: new(atomic.Pointer[error])}
	if until != nil {
		r.limit = until[0]
	}
	return r, nil
}

// Alterable makes Source a connector.Alterable: records are lines whatever is in them.
func (s *Source) Alterable(option string) bool {
	switch option {
	case "missing.field", "unknown.field", "delimiter":
		return true
	}
	return false
}
