package materialize

import (
	"cmp"
	"container/heap"
	"context"
	"crypto/sha256"
	"encoding/binary"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
)

// pick returns the ordinals of the rows that the dataset's sample takes: those whose hash of seed, shard and row number
// is smallest among the rows that can become documents. A row's luck depends on nothing else, so rows added to a source
// push out others and change none.
func pick(ctx context.Context, p action.Provider, r protocol.ReadRequest, d *parameters) (map[int64]bool, error) {
	var lots lots
	err := p.Read(ctx, r, func(row protocol.Row) error {
		if problem, reason := check(d, row); problem != "" || reason != "" {
			return nil
		}
		l := lot{draw(d.Sample.Seed, row), row.Ordinal}
		switch {
		case int64(len(lots)) < d.Sample.Documents:
			heap.Push(&lots, l)
		case compareLots(l, lots[0]) < 0:
			lots[0] = l
			heap.Fix(&lots, 0)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	picked := make(map[int64]bool, len(lots))
	for _, l := range lots {
		picked[l.ordinal] = true
	}
	return picked, nil
}

func draw(seed int64, row protocol.Row) uint64 {
	h := binary.BigEndian.AppendUint64([]byte("surprisal/sample/v1\x00"), uint64(seed))
	h = binary.BigEndian.AppendUint64(h, uint64(row.Number))
	sum := sha256.Sum256(append(h, row.Shard...))
	return binary.BigEndian.Uint64(sum[:])
}

type lot struct {
	draw    uint64
	ordinal int64
}

func compareLots(x, y lot) int {
	return cmp.Or(cmp.Compare(x.draw, y.draw), cmp.Compare(x.ordinal, y.ordinal))
}

// lots is a heap with the largest draw first.
type lots []lot

func (l lots) Len() int           { return len(l) }
func (l lots) Less(i, j int) bool { return compareLots(l[i], l[j]) > 0 }
func (l lots) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *lots) Push(x any)        { *l = append(*l, x.(lot)) }
func (l *lots) Pop() any {
	old := *l
	last := old[len(old)-1]
	*l = old[:len(old)-1]
	return last
}
