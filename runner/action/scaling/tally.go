package scaling

import (
	"math"
	"strings"

	"github.com/clipperhouse/uax29/v2/sentences"

	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/artifact"
)

// lastSentence is the position from which sentences of a document are counted together.
const lastSentence = 20

// sums are losses of each model over the same text.
type sums struct {
	parts int64
	nats  []float64
	bytes []int64
}

func newSums(models int) *sums {
	return &sums{nats: make([]float64, models), bytes: make([]int64, models)}
}

// bpb returns the bits per byte of model i, or nil without bytes.
func (s *sums) bpb(i int) *float64 {
	if s.bytes[i] == 0 {
		return nil
	}
	v := artifact.BitsPerByte(s.nats[i], s.bytes[i])
	return &v
}

// part is a range of bytes of a document and what its losses are added to.
type part struct {
	to         *sums
	start, end int
}

// tokenSum is the loss of a token of a model's vocabulary.
type tokenSum struct {
	text  string
	count int64
	nats  float64
}

// tally adds up losses over all documents.
type tally struct {
	models  int
	tokens  []map[int32]*tokenSum
	buckets map[string]*sums
	// sentences[i] is the sum of the sentences at position i+1 of their documents.
	sentences []*sums
	// Reused for each document.
	parts  []part
	losses []float64
	before []float64 // before[i] is the loss of the bytes in front of byte i
}

func newTally(models int) *tally {
	t := &tally{models: models, buckets: map[string]*sums{}}
	for range models {
		t.tokens = append(t.tokens, map[int32]*tokenSum{})
	}
	for range lastSentence {
		t.sentences = append(t.sentences, newSums(models))
	}
	return t
}

// split finds the sentences and the segments of the scored span of a document.
func (t *tally) split(d *artifact.ScoredDocument) {
	t.parts = t.parts[:0]
	start, position := 0, 0
	for s := sentences.FromString(d.Text); s.Next(); {
		end := start + len(s.Value())
		if strings.TrimSpace(s.Value()) != "" {
			t.add(t.sentences[min(position, lastSentence-1)], max(start, int(d.ScoreStart)), min(end, int(d.ScoreEnd)))
			position++
		}
		start = end
	}
	gap.Buckets(d.Text, int(d.ScoreStart), int(d.ScoreEnd), func(bucket string, start, end int) {
		to := t.buckets[bucket]
		if to == nil {
			to = newSums(t.models)
			t.buckets[bucket] = to
		}
		t.add(to, start, end)
	})
}

func (t *tally) add(to *sums, start, end int) {
	if start < end {
		to.parts++
		t.parts = append(t.parts, part{to, start, end})
	}
}

// loss is the loss of one model on a document's scored span.
type loss struct {
	nats          float64
	bytes, tokens int64
}

func (l loss) bpb() float64 { return artifact.BitsPerByte(l.nats, l.bytes) }

// perplexity returns that per token, or nil if there is none or it is too large for a float64.
func (l loss) perplexity() *float64 { return perplexityOf(l.nats, l.tokens) }

func perplexityOf(nats float64, tokens int64) *float64 {
	p := math.Exp(nats / float64(tokens))
	if tokens == 0 || math.IsInf(p, 0) {
		return nil
	}
	return &p
}

// count adds the losses of model i on a document that split has seen.
func (t *tally) count(i int, d *artifact.ScoredDocument) loss {
	t.losses = d.Losses(t.losses)
	if cap(t.before) <= len(t.losses) {
		t.before = make([]float64, len(t.losses)+1+len(t.losses)/8)
	}
	before := t.before[:len(t.losses)+1]
	l := loss{bytes: scoredBytes(d, int(d.ScoreStart), int(d.ScoreEnd))}
	for j, nats := range t.losses {
		before[j+1] = before[j] + nats
		if j >= int(d.ScoreStart) && j < int(d.ScoreEnd) {
			l.nats += nats
		}
	}
	for _, p := range t.parts {
		p.to.nats[i] += before[p.end] - before[p.start]
		p.to.bytes[i] += scoredBytes(d, p.start, p.end)
	}
	d.EachScored(func(k int, start, end int32) {
		l.tokens++
		id := d.TokenIDs[k]
		s := t.tokens[i][id]
		if s == nil {
			// A substring would keep the whole text in memory.
			s = &tokenSum{text: strings.Clone(d.Text[start:end])}
			t.tokens[i][id] = s
		}
		s.count++
		s.nats += d.TokenNLL[k]
	})
	return l
}
