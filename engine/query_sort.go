package engine

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/exec"
	"github.com/streamsql/streamsql/sql/plan"
	"github.com/streamsql/streamsql/sql/sqlerr"
	"github.com/streamsql/streamsql/sql/types"
)

// sorter puts a query's rows in order, and keeps those alone that LIMIT lets
// through. Rows equal in the sort keys are in the order of all their columns, so
// that an answer does not depend on how its rows came.
type sorter struct {
	order   []plan.Order
	ties    bool
	limit   int64 // rows to keep, the offset's included; -1: all
	offset  int64
	max     int64 // bytes
	bytes   int64
	batches []*delta.Batch
	keys    []byte
	rows    []sortRow
}

// sortRow is a row: where it is, and its key within sorter.keys.
type sortRow struct {
	batch, row int32
	at         int // the key's start
	sort, all  int // lengths: of the sort keys, of those and all columns
}

func newSorter(q *plan.Query, limit, offset, max int64) *sorter {
	s := &sorter{order: q.Sort, ties: q.Ties, limit: -1, offset: offset, max: max}
	if limit >= 0 && limit <= 1<<62-offset {
		s.limit = limit + offset
	}
	return s
}

func (s *sorter) key(r sortRow) []byte { return s.keys[r.at : r.at+r.all] }

func (s *sorter) compare(a, b sortRow) int {
	if c := bytes.Compare(s.key(a), s.key(b)); c != 0 {
		return c
	}
	return cmp.Compare(a.at, b.at)
}

// add takes a batch of the result.
func (s *sorter) add(b *delta.Batch) error {
	for i := range b.N {
		w := b.Weight(i)
		if w < 0 {
			return sqlerr.New(sqlerr.Internal, "a query took back a row")
		}
		if s.limit >= 0 && !s.ties {
			w = min(w, s.limit)
		}
		for range w {
			r := sortRow{batch: int32(len(s.batches)), row: int32(i), at: len(s.keys)}
			s.keys = appendSortKey(s.keys, b, i, s.order)
			r.sort = len(s.keys) - r.at
			for _, v := range b.Cols {
				s.keys = types.AppendKey(s.keys, v.T, cellOf(v, i), false)
			}
			r.all = len(s.keys) - r.at
			s.rows = append(s.rows, r)
		}
	}
	s.batches = append(s.batches, b)
	s.bytes += batchSize(b)
	if s.limit >= 0 && int64(len(s.rows)) > 2*s.limit+8*delta.MaxRows {
		s.shrink()
	}
	if s.max > 0 && s.bytes+int64(len(s.keys))+int64(len(s.rows))*32 > s.max {
		s.shrink()
		if s.bytes+int64(len(s.keys))+int64(len(s.rows))*32 > s.max {
			return sqlerr.New(sqlerr.OutOfMemory, "out of memory").
				WithDetail("The result to be sorted exceeds the statement's memory of %d bytes.", s.max)
		}
	}
	return nil
}

func appendSortKey(dst []byte, b *delta.Batch, i int, order []plan.Order) []byte {
	for _, o := range order {
		v := b.Cols[o.Col]
		null := v.Null(i)
		if o.NullsFirst != o.Desc { // not where the encoding has them
			switch {
			case null == o.NullsFirst:
				dst = append(dst, 0)
			default:
				dst = append(dst, 1)
			}
			if null {
				continue
			}
		}
		at := len(dst)
		dst = types.AppendEq(dst, v.T, cellOf(v, i))
		if o.Desc {
			for k := at; k < len(dst); k++ {
				dst[k] = ^dst[k]
			}
		}
	}
	return dst
}

// shrink sorts, and drops the rows that LIMIT does not let through.
func (s *sorter) shrink() {
	slices.SortFunc(s.rows, s.compare)
	if s.limit < 0 || int64(len(s.rows)) <= s.limit {
		return
	}
	n := int(s.limit)
	if s.ties && n > 0 {
		last := s.rows[n-1]
		for n < len(s.rows) && bytes.Equal(s.keys[last.at:last.at+last.sort], s.keys[s.rows[n].at:s.rows[n].at+s.rows[n].sort]) {
			n++
		}
	}
	// The rows kept move to batches and keys of their own.
	var keys []byte
	rows := s.rows[:n]
	var batches []*delta.Batch
	for rest := rows; len(rest) > 0; rest = rest[min(len(rest), delta.MaxRows):] {
		batches = append(batches, s.gather(rest[:min(len(rest), delta.MaxRows)]))
	}
	for i := range rows {
		r := &rows[i]
		k := s.key(*r)
		r.at = len(keys)
		keys = append(keys, k...)
		r.batch, r.row = int32(i/delta.MaxRows), int32(i%delta.MaxRows)
	}
	s.rows, s.keys, s.batches, s.bytes = rows, keys, batches, 0
	for _, b := range batches {
		s.bytes += batchSize(b)
	}
}

// gather copies rows into a batch, in their order.
func (s *sorter) gather(rows []sortRow) *delta.Batch {
	b := &delta.Batch{N: len(rows)}
	for c, v := range s.batches[0].Cols {
		o := delta.NewVec(v.T, len(rows))
		for _, r := range rows {
			o.AppendFrom(s.batches[r.batch].Cols[c], int(r.row))
		}
		b.Cols = append(b.Cols, o)
	}
	return b
}

// emit gives the rows in order.
func (s *sorter) emit(out func(*delta.Batch) error) error {
	s.shrink()
	rows := s.rows
	rows = rows[min(s.offset, int64(len(rows))):]
	for len(rows) > 0 {
		n := min(len(rows), delta.MaxRows)
		if err := out(s.gather(rows[:n])); err != nil {
			if err == exec.ErrDone {
				return nil
			}
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// batchSize is about what a batch holds, in bytes.
func batchSize(b *delta.Batch) int64 {
	n := int64(len(b.W)) * 8
	for _, v := range b.Cols {
		n += int64(len(v.I)+len(v.F))*8 + int64(len(v.Off))*4 + int64(len(v.Buf)) + int64(len(v.Nulls))*8
	}
	return n
}
