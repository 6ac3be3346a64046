package materialize

import (
	"crypto/sha256"
	"encoding/binary"

	"surprisal.dev/runner/artifact"
)

// equals counts the documents that are equal to another one. It holds the hashes of at most artifact.MostDistinct
// documents: of more, those of a sample, which has all documents of a text or none.
type equals struct {
	// documents holds the number of documents by the hash of each.
	documents map[uint64]int64
	// mask selects the bits of a hash that are 0 in the sample.
	mask uint64
}

func (e *equals) add(d *artifact.Document) {
	hash := hashOf(d)
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

// hashOf returns a hash of a text and the beginning of what is scored of it, without a copy of the whole.
func hashOf(d *artifact.Document) uint64 {
	const most = 64 << 10
	h := sha256.New()
	h.Write(binary.LittleEndian.AppendUint32(nil, uint32(d.ScoreStart)))
	for text := d.Text; len(text) > 0; {
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
