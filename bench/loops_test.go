package bench

import (
	"math/big"

	"github.com/streamsql/streamsql/sql/delta"
	"github.com/streamsql/streamsql/sql/types"
)

// The queries by hand, as a Go programmer would write them who knows the answer
// is wanted once: ordinary maps, no retractions, no recovery.

func loopQ0(t map[string][]*delta.Batch) (out int) {
	for _, b := range t["bid"] {
		for i := range b.N {
			if len(b.Cols[3].Bytes(i)) >= 0 && b.Cols[2].I[i] >= 0 {
				out++
			}
		}
	}
	return out
}

var sinkBytes []byte

func loopQ1(t map[string][]*delta.Batch) (out int) {
	for _, b := range t["bid"] {
		buf := sinkBytes[:0]
		for _, p := range b.Cols[2].I {
			// 0.908 × price, exactly.
			buf = append(buf, types.NumericOf(big.NewInt(908*p), 3)...)
		}
		sinkBytes = buf
		out += b.N
	}
	return out
}

func loopQ3(t map[string][]*delta.Batch) (out int) {
	sellers := map[int64]int{} // auctions of category 10 by seller
	for _, b := range t["auction"] {
		for i, c := range b.Cols[8].I {
			if c == 10 {
				sellers[b.Cols[7].I[i]]++
			}
		}
	}
	for _, b := range t["person"] {
		for i, id := range b.Cols[0].I {
			switch string(b.Cols[5].Bytes(i)) {
			case "OR", "ID", "CA":
				out += sellers[id]
			}
		}
	}
	return out
}

const second = 1_000_000

func loopQ5(t map[string][]*delta.Batch) (out int) {
	type key struct{ start, auction int64 }
	counts := map[key]int64{}
	best := map[int64]int64{}
	for _, b := range t["bid"] {
		auctions, times := b.Cols[0].I, b.Cols[5].I
		for i, a := range auctions {
			last := times[i] - times[i]%(2*second)
			for s := last; s > times[i]-10*second; s -= 2 * second {
				k := key{s, a}
				n := counts[k] + 1
				counts[k] = n
				if n > best[s] {
					best[s] = n
				}
			}
		}
	}
	for k, n := range counts {
		if n == best[k.start] {
			out++
		}
	}
	return out
}

func loopQ8(t map[string][]*delta.Batch) (out int) {
	type key struct{ id, start int64 }
	people := map[key]string{}
	for _, b := range t["person"] {
		for i, id := range b.Cols[0].I {
			at := b.Cols[6].I[i]
			people[key{id, at - at%(10*second)}] = string(b.Cols[1].Bytes(i))
		}
	}
	found := map[key]bool{}
	for _, b := range t["auction"] {
		for i, seller := range b.Cols[7].I {
			at := b.Cols[5].I[i]
			k := key{seller, at - at%(10*second)}
			if _, ok := people[k]; ok && !found[k] {
				found[k] = true
				out++
			}
		}
	}
	return out
}
