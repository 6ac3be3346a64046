package protocol

import (
	"fmt"
	"math"
)

// CheckRequest reports whether the answer of a model m has what s requests, and nothing else. The answer has passed
// Check.
func (s Settings) CheckRequest(a ScoredDocument, m LoadedModel) error {
	if !s.EOS && a.EOSNLL != 0 {
		return fmt.Errorf("the answer has a loss of %v nats for an end-of-text token that was not asked for", a.EOSNLL)
	}
	if !s.EOS && a.EndUnscored() {
		return fmt.Errorf("the answer has an unscored end-of-text token that was not asked for")
	}
	n, masses := a.Confidence.Len(), len(a.Confidence.TopKMass)
	switch {
	case !s.Confidence && n > 0:
		return fmt.Errorf("the answer has the confidence of %d tokens, which was not asked for", n)
	case s.Confidence && n != len(a.TokenIDs):
		return fmt.Errorf("the answer has the confidence of %d tokens, asked for all %d", n, len(a.TokenIDs))
	case s.TopK == 0 && masses > 0:
		return fmt.Errorf("the answer has the mass of the top tokens for %d tokens, which was not asked for", masses)
	case s.TopK > 0 && masses != len(a.TokenIDs):
		return fmt.Errorf("the answer has the mass of the top tokens for %d tokens, asked for all %d", masses, len(a.TokenIDs))
	}
	if err := s.checkRange(a); err != nil {
		return err
	}
	return a.Activations.check(s.ActivationThreshold, m)
}

// checkRange checks that exactly the tokens outside the range are marked as not requested, that the others have a loss
// but for one without context, and that none of them is missing.
func (s Settings) checkRange(a ScoredDocument) error {
	r := s.Range
	whole, at := r == TokenRange{}, int32(0)
	ranges := rangeReader(a.Unscored)
	for i := range a.TokenIDs {
		start, end := a.TokenStarts[i], a.TokenEnds[i]
		if u, ok := ranges.find(at, start, ReasonNotRequested); ok {
			return fmt.Errorf("no token covers the bytes [%d, %d) before token %d, which are marked %q; only tokens from %d on may be missing",
				max(at, u.Start), min(u.End, start), i, u.Reason, r.To)
		}
		at = end
		requested := whole || int64(i) >= r.Score && int64(i) < r.To
		if end == start {
			if !requested && a.TokenNLL[i] != 0 {
				return fmt.Errorf("token %d at byte %d has a loss of %v nats; the requested tokens are %v", i, start, a.TokenNLL[i], r)
			}
			continue
		}
		u, ok := ranges.find(start, end, "")
		skipped := ok && u.Reason == ReasonNotRequested
		first := s.Prefix == PrefixNone && int64(i) == r.From && u.Reason == ReasonNoContext
		switch {
		case skipped && requested:
			return fmt.Errorf("token %d, [%d, %d), is marked %q; the requested tokens are %v", i, start, end, u.Reason, r)
		case !skipped && !requested:
			return fmt.Errorf("token %d, [%d, %d), is not marked %q; the requested tokens are %v", i, start, end, ReasonNotRequested, r)
		case ok && requested && !whole && !first:
			return fmt.Errorf("token %d, [%d, %d), has no loss (%s); the requested tokens are %v", i, start, end, u.Reason, r)
		}
	}
	if u, ok := ranges.find(at, math.MaxInt32, ReasonNotRequested); ok && (whole || int64(len(a.TokenIDs)) < r.To) {
		return fmt.Errorf("the bytes [%d, %d) after %d tokens are marked %q; the requested tokens are %v",
			u.Start, u.End, len(a.TokenIDs), u.Reason, r)
	}
	return nil
}

// rangeReader has the ranges that do not end before the bytes that were last searched.
type rangeReader []Unscored

// find returns the first range with bytes of [from, to) and that reason, or any if it is empty. from does not decrease.
func (r *rangeReader) find(from, to int32, reason string) (Unscored, bool) {
	for len(*r) > 0 && (*r)[0].End <= from {
		*r = (*r)[1:]
	}
	for _, u := range *r {
		if u.Start >= to || from == to {
			break
		}
		if reason == "" || u.Reason == reason {
			return u, true
		}
	}
	return Unscored{}, false
}

// check checks activations for a threshold, which is 0 if none are requested.
func (a Activations) check(threshold float64, m LoadedModel) error {
	switch {
	case threshold == 0:
		if a.Positions != 0 || len(a.Sites) > 0 || len(a.Dimensions) > 0 {
			return fmt.Errorf("the answer has activations at %d sites, which were not asked for", len(a.Sites))
		}
		return nil
	case len(a.Sites) != len(m.Sites):
		return fmt.Errorf("the answer has activations at %d sites, and the model has %d", len(a.Sites), len(m.Sites))
	case a.Positions < 0:
		return fmt.Errorf("the answer has activations at %d positions", a.Positions)
	}
	greatest := float32(0)
	for i, s := range a.Sites {
		if !(s.Median >= 0 && s.Median <= s.Largest) || !finite(s.Largest) {
			return fmt.Errorf("the activations at site %d have the median magnitude %v and the largest %v; these must be finite, at least 0 and in order",
				i, s.Median, s.Largest)
		}
		greatest = max(greatest, s.Largest)
	}
	last := int32(-1)
	for _, d := range a.Dimensions {
		if d.Dimension <= last || int64(d.Dimension) >= m.HiddenSize {
			return fmt.Errorf("the activations of dimension %d follow those of dimension %d; dimensions must ascend and be below %d",
				d.Dimension, last, m.HiddenSize)
		}
		if err := d.check(threshold, a); err != nil {
			return fmt.Errorf("the activations of dimension %d: %w", d.Dimension, err)
		}
		if d.Largest > greatest {
			return fmt.Errorf("the activations of dimension %d: the largest magnitude %v exceeds that of all sites, %v", d.Dimension, d.Largest, greatest)
		}
		last = d.Dimension
	}
	return nil
}

// check checks a dimension of a.
func (d DimensionActivations) check(threshold float64, a Activations) error {
	sites := len(a.Sites)
	switch {
	case !finite(d.Largest) || float64(d.Largest) < threshold:
		return fmt.Errorf("the largest magnitude is %v; it must be finite and reach the threshold of %v", d.Largest, threshold)
	case d.Positions < 1 || d.Positions > a.Positions:
		return fmt.Errorf("it reaches the threshold at %d positions; these must be between 1 and %d", d.Positions, a.Positions)
	case len(d.Sites) != (sites+7)/8:
		return fmt.Errorf("its sites have %d bytes; %d sites have %d", len(d.Sites), sites, (sites+7)/8)
	}
	any := byte(0)
	for _, b := range d.Sites {
		any |= b
	}
	switch {
	case any == 0:
		return fmt.Errorf("it reaches the threshold at no site")
	case sites%8 != 0 && d.Sites[len(d.Sites)-1]>>(sites%8) != 0:
		return fmt.Errorf("it reaches the threshold at a site past the last of %d", sites)
	}
	return nil
}

func finite(x float32) bool { return !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0) }
