package state

// capture is what a tree's changelog held between two captures, or the whole tree
// where nothing was captured before.
type capture struct {
	t    *Tree
	seq  uint64
	mem  int64
	logs []*changelog
	sure bool // the durable state is known to be what was before logs
	all  *Snapshot
}

// Dirty returns the bytes of the changes that the next Capture will write; keys
// changed more than once count each time.
func (t *Tree) Dirty() int64 {
	if !t.tracked {
		return t.bytes
	}
	n := t.log.bytes()
	for _, j := range t.failed {
		n += j.bytes()
	}
	return n
}

// Capture takes the changes since the last capture, which costs nothing. The
// first Capture of a tree without Load takes the whole tree.
func (t *Tree) Capture() Capture {
	if t.inStep || t.open != nil {
		panic("state: Capture within a step or another capture")
	}
	c := &capture{t: t, seq: t.seq, sure: len(t.failed) == 0}
	t.seq++
	if !t.tracked {
		t.tracked = true
		c.all = t.Snapshot()
	} else {
		log := t.log
		t.log = changelog{}
		c.logs = append(t.failed, &log)
		t.failed = nil
		for _, j := range c.logs {
			c.mem += j.mem
		}
	}
	t.open = c
	return c
}

func (c *capture) Write(w Writer) {
	var buf []byte
	if c.all != nil {
		for cur := c.all.Cursor(); cur.Next(); {
			buf = AppendWeight(buf[:0], cur.Weight())
			w.Set(cur.Key(), buf)
		}
		return
	}
	netChanges(c.logs, !c.sure, func(key []byte, old, now int64) {
		if now == 0 {
			w.Delete(key)
			return
		}
		buf = AppendWeight(buf[:0], now)
		w.Set(key, buf)
	})
}

func (c *capture) Done(durable bool) {
	t := c.t
	if t.open != c {
		panic("state: Done twice")
	}
	t.open = nil
	if c.all != nil {
		c.all.Release()
	}
	switch {
	case durable:
		t.durable = c.seq
		for _, j := range c.logs {
			j.free()
		}
	case c.all != nil: // what came since is in the whole tree too
		t.tracked = false
		t.log.free()
	default:
		t.failed = c.logs
	}
}
