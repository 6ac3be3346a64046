package score

import (
	"math"
	"math/bits"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
)

// Bins of losses in nats: fine ones for quantiles, and coarse ones to show.
const (
	resolution = 1. / 128
	fineBins   = 64 * 128
	coarse     = 64 // fine bins in a coarse one
)

// Bins of calibration: of a probability, and of an entropy in nats. Models with a larger vocabulary reach greater
// entropies, which share the last bin.
const (
	probabilityBins = 15
	entropyBins     = 24
	entropyWidth    = 0.5
)

// tally summarizes the tokens with a loss on the scored span, in constant memory.
type tally struct {
	settings  protocol.Settings
	tokens    int64
	nats, max float64
	fine      [fineBins]int64 // the last has no upper limit
	positions [65]position    // by the number of bits of the position

	confident    int64 // tokens with a confidence
	top, entropy *calibration
	ranks        [4]int64 // how many are among the first of rankLimits
	reciprocals  float64
}

type position struct {
	tokens, confident int64
	nats, entropy     float64
}

var rankLimits = [4]int32{1, 5, 10, 100}

func newTally(s protocol.Settings) *tally {
	return &tally{
		settings: s, max: math.Inf(-1), top: newCalibration(probabilityBins, 1./probabilityBins),
		entropy: newCalibration(entropyBins, entropyWidth),
	}
}

// add adds a document and returns its number of tokens with a loss on the scored span.
func (t *tally) add(d protocol.Document, answer protocol.ScoredDocument) int64 {
	before := t.tokens
	on := span{start: d.ScoreStart, end: d.ScoreEnd, unscored: answer.Unscored}
	for w := range t.settings.Windows(answer.TokenStarts) {
		for i := w.Score; i < w.End; i++ {
			if on.scores(answer.TokenStarts[i], answer.TokenEnds[i]) {
				t.token(i-w.Start, answer, i)
			}
		}
	}
	t.top.endDocument(d.Shard, d.Cluster)
	t.entropy.endDocument(d.Shard, d.Cluster)
	return t.tokens - before
}

// token adds token i of an answer, which is at a position of its window.
func (t *tally) token(at int, answer protocol.ScoredDocument, i int) {
	nll := answer.TokenNLL[i]
	t.tokens++
	t.nats += nll
	t.max = max(t.max, nll)
	t.fine[int(min(max(nll, 0)/resolution, fineBins-1))]++
	p := &t.positions[bits.Len(uint(at))]
	p.tokens++
	p.nats += nll
	c := answer.Confidence
	if c.Len() == 0 || c.Ranks[i] == 0 {
		return
	}
	t.confident++
	p.confident++
	p.entropy += c.Entropies[i]
	hit := 0.0
	if c.Ranks[i] == 1 {
		hit = 1
	}
	t.top.add(math.Exp(-c.TopNLL[i]), hit)
	t.entropy.add(c.Entropies[i], nll)
	for j, limit := range rankLimits {
		if c.Ranks[i] <= limit {
			t.ranks[j]++
		}
	}
	t.reciprocals += 1 / float64(c.Ranks[i])
}

// losses returns the summary of the losses, or nil without tokens.
func (t *tally) losses() *artifact.TokenLosses {
	if t.tokens == 0 {
		return nil
	}
	s := &artifact.TokenLosses{
		Mean: t.nats / float64(t.tokens), Max: t.max, Resolution: resolution,
		Histogram: artifact.Histogram{Width: coarse * resolution},
	}
	var count int64
	for i, n := range t.fine {
		if count += n; n > 0 {
			for len(s.Histogram.Counts) <= i/coarse {
				s.Histogram.Counts = append(s.Histogram.Counts, 0)
			}
			s.Histogram.Counts[i/coarse] += n
		}
	}
	for _, share := range []float64{0.5, 0.9, 0.99, 0.999} {
		s.Quantiles = append(s.Quantiles, artifact.Quantile{Share: share, Nats: t.quantile(share)})
	}
	for i, p := range t.positions {
		if p.tokens == 0 {
			continue
		}
		of := artifact.Position{From: int64(1) << i >> 1, To: int64(1) << i, Tokens: p.tokens, Mean: p.nats / float64(p.tokens)}
		if p.confident > 0 {
			entropy := p.entropy / float64(p.confident)
			of.MeanEntropy = &entropy
		}
		s.Positions = append(s.Positions, of)
	}
	return s
}

// quantile returns the middle of the fine bin that contains a quantile.
func (t *tally) quantile(share float64) float64 {
	target := int64(math.Ceil(share * float64(t.tokens)))
	var count int64
	for i, n := range t.fine[:fineBins-1] {
		if count += n; count >= target {
			return min((float64(i)+0.5)*resolution, t.max)
		}
	}
	return t.max
}

// confidence returns the summary of the confidence, or nil without one.
func (t *tally) confidence() *artifact.ConfidenceSummary {
	if t.confident == 0 {
		return nil
	}
	n := float64(t.confident)
	return &artifact.ConfidenceSummary{
		Tokens: t.confident, Top: t.top.summary(), Entropy: t.entropy.summary(),
		Ranks: artifact.Ranks{
			First: float64(t.ranks[0]) / n, First5: float64(t.ranks[1]) / n, First10: float64(t.ranks[2]) / n,
			First100: float64(t.ranks[3]) / n, MeanReciprocal: t.reciprocals / n,
		},
	}
}

// span tells which tokens have a loss on the scored span of a document.
type span struct {
	start, end int32
	unscored   []protocol.Unscored // those that do not end before the last token
}

// scores reports whether a token has a loss and overlaps the span. It is called in the order of the tokens. A token
// without bytes overlaps the span that its place is in.
func (s *span) scores(start, end int32) bool {
	end = max(end, start+1)
	if end <= s.start || start >= s.end {
		return false
	}
	for len(s.unscored) > 0 && s.unscored[0].End <= start {
		s.unscored = s.unscored[1:]
	}
	return len(s.unscored) == 0 || s.unscored[0].Start >= end
}
