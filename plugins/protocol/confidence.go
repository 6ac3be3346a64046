package protocol

import (
	"fmt"
	"math"
)

// Confidence describes the distributions over the vocabulary that predicted the tokens of a document. Its slices are
// empty, or parallel to TokenIDs. All values of a token without a loss are 0.
//
// Tokens are ordered by their probability, the greatest first, and tokens of equal probability by id.
type Confidence struct {
	// Top is the id of the first token in this order, TopNLL its loss in nats.
	Top    []int32
	TopNLL []float64
	// Ranks holds the position of the document's own token in this order, from 1. It is 1 if and only if the token is
	// the top token.
	Ranks []int32
	// Entropies holds the entropy of each distribution in nats.
	Entropies []float64
	// TopKMass holds the logarithm of the total probability of the Settings.TopK most probable tokens, at most 0. It is
	// empty unless Settings.TopK requests it.
	TopKMass []float64
}

// Len is the length of the longest slice.
func (c Confidence) Len() int {
	return max(len(c.Top), len(c.TopNLL), len(c.Ranks), len(c.Entropies), len(c.TopKMass))
}

// confidenceTolerance bounds rounding in nats: sums over a large vocabulary may be in float32.
const confidenceTolerance = 1e-3

// CheckConfidence checks the confidence, if there is one, against the tokens, their losses and the size of the vocabulary
// (0: unknown).
func (s ScoredDocument) CheckConfidence(vocabulary int64) error {
	c, n := s.Confidence, len(s.TokenIDs)
	if c.Len() == 0 {
		return nil
	}
	if len(c.Top) != n || len(c.TopNLL) != n || len(c.Ranks) != n || len(c.Entropies) != n {
		return fmt.Errorf("its confidence has %d top tokens, %d losses of them, %d ranks and %d entropies for %d tokens",
			len(c.Top), len(c.TopNLL), len(c.Ranks), len(c.Entropies), n)
	}
	if len(c.TopKMass) != 0 && len(c.TopKMass) != n {
		return fmt.Errorf("its confidence has the mass of the top tokens for %d of %d tokens", len(c.TopKMass), n)
	}
	if vocabulary <= 0 {
		vocabulary = math.MaxInt32
	}
	bounds := vocabularyBounds{size: vocabulary, entropy: math.Log(float64(vocabulary))}
	unscored := s.Unscored
	for i := range n {
		start, end := s.TokenStarts[i], s.TokenEnds[i]
		for len(unscored) > 0 && unscored[0].End <= start {
			unscored = unscored[1:]
		}
		lossless := end == start && s.TokenNLL[i] == 0 && c.Ranks[i] == 0 // its range has no bytes that tell
		if lossless || end > start && len(unscored) > 0 && unscored[0].Start < end {
			if mass := c.mass(i); c.Top[i] != 0 || c.TopNLL[i] != 0 || c.Ranks[i] != 0 || c.Entropies[i] != 0 || mass != 0 {
				return fmt.Errorf("token %d at byte %d has no loss, but the confidence %d, %v, %d, %v, %v; these must be 0",
					i, start, c.Top[i], c.TopNLL[i], c.Ranks[i], c.Entropies[i], mass)
			}
			continue
		}
		if err := bounds.check(&c, i, s.TokenIDs[i], s.TokenNLL[i]); err != nil {
			return fmt.Errorf("token %d at byte %d: %w", i, start, err)
		}
	}
	return nil
}

// mass returns TopKMass[i], or 0 without it.
func (c Confidence) mass(i int) float64 {
	if len(c.TopKMass) == 0 {
		return 0
	}
	return c.TopKMass[i]
}

// vocabularyBounds is what the size of a vocabulary bounds: ids and ranks by size, and entropies by its logarithm.
type vocabularyBounds struct {
	size    int64
	entropy float64
}

// check checks the values of token i, which has that id and loss.
func (v *vocabularyBounds) check(c *Confidence, i int, id int32, nll float64) error {
	top, topNLL, rank, entropy := c.Top[i], c.TopNLL[i], c.Ranks[i], c.Entropies[i]
	within := confidenceTolerance * max(1, math.Abs(nll))
	switch {
	case top < 0 || int64(top) >= v.size:
		return fmt.Errorf("the top token %d is outside the vocabulary of %d", top, v.size)
	case rank < 1 || int64(rank) > v.size:
		return fmt.Errorf("the rank %d is not in [1, %d], the size of the vocabulary", rank, v.size)
	case (rank == 1) != (top == id):
		return fmt.Errorf("the rank is %d and the top token is %d; the rank of token %d is 1 exactly if it is the top token", rank, top, id)
	case !(topNLL >= LossFloor && topNLL <= nll+within):
		return fmt.Errorf("the top token has the loss %v nats; it must be between 0 and the token's own loss of %v", topNLL, nll)
	case rank == 1 && topNLL < nll-within:
		return fmt.Errorf("the top token has the loss %v nats, the same token has %v", topNLL, nll)
	}
	if mass := c.mass(i); !(mass <= 0 && mass >= -topNLL-confidenceTolerance*max(1, topNLL)) {
		return fmt.Errorf("the logarithm of the top tokens' probability is %v; it must be between %v, that of the top token alone, and 0", mass, -topNLL)
	}
	if !(entropy >= -confidenceTolerance && entropy <= v.entropy+confidenceTolerance) {
		return fmt.Errorf("the entropy is %v nats; it must be between 0 and %v, the logarithm of the vocabulary's size", entropy, v.entropy)
	}
	return nil
}
