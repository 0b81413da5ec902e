package exec

import (
	"math/rand"
	"testing"

	"github.com/streamsql/streamsql/sql/expr"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/types"
)

// closing is a trial of an operator that closes what its input's watermark has
// passed: what it was given in time, and what came too late.
type closing struct {
	t         *testing.T
	p         *pipeline
	in        *plan.Node // the scan; its Time is what closes
	all, late *zset
	wm        int64
}

func newClosing(t *testing.T, root, in *plan.Node) *closing {
	return &closing{t: t, p: newPipeline(t, root, &expr.Env{}), in: in, all: newZset(), late: newZset(), wm: NoWatermark}
}

func (c *closing) closed(row []types.Datum) bool {
	ts := row[c.in.TimeCol()]
	return !ts.Null && c.wm != NoWatermark && (c.in.TimeEnd && c.wm >= ts.I || c.wm > ts.I)
}

// step carries out changes around time now; one step in four is undone.
func (c *closing) step(rng *rand.Rand, cs []change, now int64) {
	c.t.Helper()
	next := max(c.wm, now-rng.Int63n(3))
	undo := rng.Intn(4) == 0
	if err := c.p.step(rng, cs, next, undo); err != nil {
		c.t.Fatal(err)
	}
	if undo {
		return
	}
	for _, x := range cs {
		if c.closed(x.row) {
			c.late.add(c.in.Out, x.row, x.w)
		} else {
			c.all.add(c.in.Out, x.row, x.w)
		}
	}
	c.wm = next
}

// open is the number of different rows that are not closed.
func (c *closing) open() (n int) {
	c.all.each(func(row []types.Datum, _ int64) {
		if !c.closed(row) {
			n++
		}
	})
	return n
}
