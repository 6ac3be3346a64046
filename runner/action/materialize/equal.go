package materialize

import (
	"crypto/sha256"
	"encoding/binary"

	"surprisal.dev/runner/artifact"
)

// equals counts the documents that are equal to another one. It holds the hashes of at most artifact.MostDistinct
// documents: of more, those of a sample, which has all documents of a text or none.
type equals struct {
	// documents holds the number of documents by the hash of their text.
	documents map[uint64]int64
	// mask selects the bits of a hash that are 0 in the sample.
	mask uint64
}

func (e *equals) add(text string) {
	hash := hashOf(text)
	if hash&e.mask != 0 {
		return
	}
	if e.documents == nil {
		e.documents = map[uint64]int64{}
	}
	e.documents[hash]++
	for len(e.documents) > artifact.MostDistinct {
		e.mask = e.mask<<1 | 1
		for hash := range e.documents {
			if hash&e.mask != 0 {
				delete(e.documents, hash)
			}
		}
	}
}

// hashOf returns a hash of a text without a copy of the whole.
func hashOf(text string) uint64 {
	const most = 64 << 10
	h := sha256.New()
	for len(text) > 0 {
		n := min(len(text), most)
		h.Write([]byte(text[:n]))
		text = text[n:]
	}
	return binary.LittleEndian.Uint64(h.Sum(nil))
}

// count returns the number of documents of all that are equal to another one, an estimate if there is a sample.
func (e *equals) count(all int64) int64 {
	var equal, sampled int64
	for _, n := range e.documents {
		sampled += n
		if n > 1 {
			equal += n
		}
	}
	if e.mask == 0 || sampled == 0 {
		return equal
	}
	return int64(float64(equal) / float64(sampled) * float64(all))
}
