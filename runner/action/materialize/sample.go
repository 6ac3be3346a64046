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

// pick returns the ordinals of the rows in the dataset's sample: among the rows that can become documents, those with
// the smallest hash of seed, shard and row number. A row's hash depends on nothing else. Rows added to a source can
// displace others, but do not change them.
func pick(ctx context.Context, p action.Provider, r protocol.ReadRequest, d *parameters) (map[int64]bool, error) {
	var sample candidates
	err := p.Read(ctx, r, func(row protocol.Row) error {
		if problem, reason := check(d, row); problem != "" || reason != "" {
			return nil
		}
		c := candidate{sampleHash(d.Sample.Seed, row), row.Ordinal}
		switch {
		case int64(len(sample)) < d.Sample.Documents:
			heap.Push(&sample, c)
		case compareCandidates(c, sample[0]) < 0:
			sample[0] = c
			heap.Fix(&sample, 0)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	picked := make(map[int64]bool, len(sample))
	for _, c := range sample {
		picked[c.ordinal] = true
	}
	return picked, nil
}

func sampleHash(seed int64, row protocol.Row) uint64 {
	h := binary.BigEndian.AppendUint64([]byte("surprisal/sample/v1\x00"), uint64(seed))
	h = binary.BigEndian.AppendUint64(h, uint64(row.Number))
	sum := sha256.Sum256(append(h, row.Shard...))
	return binary.BigEndian.Uint64(sum[:])
}

// candidate is a row that may be sampled.
type candidate struct {
	hash    uint64
	ordinal int64
}

func compareCandidates(x, y candidate) int {
	return cmp.Or(cmp.Compare(x.hash, y.hash), cmp.Compare(x.ordinal, y.ordinal))
}

// candidates is a heap with the largest hash first.
type candidates []candidate

func (c candidates) Len() int           { return len(c) }
func (c candidates) Less(i, j int) bool { return compareCandidates(c[i], c[j]) > 0 }
func (c candidates) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *candidates) Push(x any)        { *c = append(*c, x.(candidate)) }
func (c *candidates) Pop() any {
	old := *c
	last := old[len(old)-1]
	*c = old[:len(old)-1]
	return last
}
