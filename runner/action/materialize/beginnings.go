package materialize

import (
	"slices"
	"strings"
)

// What a batch of a backend that computes equal beginnings once has, in bytes for about four to a token.
const (
	// leastRepeated is the smallest beginning that is computed once.
	leastRepeated = 64
	// batchBytes is the maximum of what is computed, and readBytes that of the beginnings in it.
	batchBytes, readBytes = 16 << 10, 1 << 20
	// dividedBytes is what a document counts in addition if it has a part of a beginning.
	dividedBytes = 64
)

// beginnings counts the bytes with which documents begin like others of the same batch. Batches have documents in their
// order.
type beginnings struct {
	repeated int64
	// batch has the beginnings of the batch in the order of their bytes, computed what it computes of documents, and read
	// the length of the beginnings.
	batch          []string
	computed, read int
}

// add adds the next document.
func (b *beginnings) add(text string) {
	beginning := text[:min(len(text), batchBytes)]
	at, same := b.find(beginning)
	computed := len(text) - same
	if same > 0 && computed > 0 {
		computed += dividedBytes
	}
	if len(b.batch) > 0 && (b.computed+computed > batchBytes || b.read+len(beginning) > readBytes) {
		*b = beginnings{repeated: b.repeated}
		at, same, computed = 0, 0, len(text)
	}
	b.repeated += int64(same)
	b.computed, b.read = b.computed+computed, b.read+len(beginning)
	if same < len(beginning) {
		b.batch = slices.Insert(b.batch, at, strings.Clone(beginning))
	}
}

// find returns the place of a beginning in the batch, and how many of its bytes another has, which is next to that place.
func (b *beginnings) find(beginning string) (at, same int) {
	at, _ = slices.BinarySearch(b.batch, beginning)
	for _, other := range b.batch[max(0, at-1):min(len(b.batch), at+1)] {
		same = max(same, shared(beginning, other))
	}
	if same < leastRepeated {
		same = 0
	}
	return at, same
}

// shared returns how many bytes two texts begin with alike. It compares halves, which is faster than to compare each byte.
func shared(a, b string) int {
	same, most := 0, min(len(a), len(b))
	for same < most {
		half := (same + most + 1) / 2
		if a[same:half] == b[same:half] {
			same = half
		} else {
			most = half - 1
		}
	}
	return same
}
