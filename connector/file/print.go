package file

import (
	"context"
	"io"
	"os"
	"sync"

	"github.com/streamsql/streamsql/connector"
	"github.com/streamsql/streamsql/sql/delta"
)

func init() { connector.RegisterSink("print", newPrint) }

var (
	stdoutMu sync.Mutex
	stdout   io.Writer = os.Stdout
)

// printer writes rows to standard output as they come; after a restart, those
// of epochs that were not durable come again.
type printer struct {
	prefix string
	rows   rows
	buf    []byte
}

func newPrint(cfg connector.Config, _ []byte) (connector.Sink, error) {
	cfg.Retracts = false // the sign says it
	r, err := newRows(cfg)
	return &printer{prefix: cfg.Name + "> ", rows: r}, err
}

// Write prints a line for each row: the sink's name, + or -, and the row.
func (p *printer) Write(_ context.Context, _ uint64, b *delta.Batch) error {
	if err := p.rows.check(b); err != nil {
		return err
	}
	p.buf = p.buf[:0]
	each(b, func(i int, leaves bool) {
		sign := "+ "
		if leaves {
			sign = "- "
		}
		p.buf = append(append(p.buf, p.prefix...), sign...)
		p.buf = p.rows.line(p.buf, b, i, false)
	})
	stdoutMu.Lock()
	defer stdoutMu.Unlock()
	if _, err := stdout.Write(p.buf); err != nil {
		return ioError(err)
	}
	return nil
}

func (p *printer) Release(context.Context, uint64) error { return nil }
func (p *printer) State() []byte                         { return nil }
func (p *printer) Close() error                          { return nil }
