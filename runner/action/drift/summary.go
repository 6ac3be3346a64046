package drift

import (
	"math"
	"strconv"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/statistics"
)

// Summary is summary.json of a drift.
type Summary struct {
	Reference Text `json:"reference"`
	Current   Text `json:"current"`
	// Parts are those of the change, the change itself first. With one model they are the part of the text only.
	Parts []Part `json:"parts"`
	// Orders are the parts as they are if the text changes before the model, and if the model changes first. Empty with one
	// model, and where scores are missing.
	Orders []Part `json:"orders"`
	// Larger says which part is the larger one beyond doubt, text or model; "" if that cannot be told.
	Larger string `json:"larger,omitempty"`
	// Explains says which parts there are beyond doubt.
	Explains string `json:"explains"`
	// Measures compare the texts under each model, the current one first.
	Measures []Measure `json:"measures"`
	// Tokenizers are those of the two models: same, different, or "" with one model.
	Tokenizers string   `json:"tokenizers,omitempty"`
	Notes      []string `json:"notes"`
	// Answer is that of the gate; nil without one.
	Gate *Verdict `json:"gate,omitempty"`
	// NoiseBPB is by how much the bits per byte of a document changed at most when it was scored again in a different batch,
	// of two scores together. A smaller change is not evidence.
	NoiseBPB float64 `json:"noiseBpb"`
	// Protocol is the scoring protocol.
	Protocol artifact.ScoringProtocol `json:"scoringProtocol"`
	// ComputedDifferences lists the differences in the hardware and software that computed the scores.
	ComputedDifferences []string `json:"computedDifferences"`
}

// Text is a side: its documents and the model that belongs to them.
type Text struct {
	Model     string `json:"model"`
	Documents int64  `json:"documents"`
	// Units counts documents or clusters with scored bytes.
	Units       int64     `json:"units"`
	ScoredBytes int64     `json:"scoredBytes"`
	BPB         Value     `json:"bpb"`
	Datasets    []Dataset `json:"datasets"`
}

// Dataset is a dataset of a side.
type Dataset struct {
	Name        string `json:"name"`
	Documents   int64  `json:"documents"`
	Units       int64  `json:"units"`
	Bytes       int64  `json:"bytes"`
	ScoredBytes int64  `json:"scoredBytes"`
	// BPB has the bits per byte of the models with scores, the current one last. Difference is that of the current model less
	// those of the one before, on the same documents; null if there is no other.
	BPB        []Value `json:"bpb"`
	Difference *Value  `json:"difference"`
}

// Names of parts.
const (
	Total       = "total"
	OfText      = "text"
	OfModel     = "model"
	Interaction = "interaction"
)

// Part is a part of the change of bits per byte.
type Part struct {
	Name string `json:"name"`
	// Given is the side whose model or text is the same in an order: reference or current.
	Given string `json:"given,omitempty"`
	Change
}

// Change is a difference with what the units tell of it, which is null if they do not suffice.
type Change struct {
	Value float64 `json:"change"`
	*statistics.Estimate
	// Adjusted is the p-value of no change after Holm's correction for the parts, Q the q-value among the measures.
	Adjusted *float64 `json:"adjustedP,omitempty"`
	Q        *float64 `json:"q,omitempty"`
	// Verdict is one of the verdicts.
	Verdict string `json:"verdict"`
	// Needed is how many units on each side would show a change of this size in four of five samples; 0 if the verdict is
	// beyond doubt, or if there is no change.
	Needed int64 `json:"neededUnits,omitempty"`
}

// Verdicts of a change.
const (
	Higher = "higher"
	Lower  = "lower"
	// Equal means that there is no change at all.
	Equal = "equal"
	Open  = gap.VerdictOpen
	Small = gap.VerdictSmall
)

// What explains a change.
const (
	Both    = "text and model"
	Neither = "cannot tell"
)

// Measure compares the two texts under one model.
type Measure struct {
	Name  string `json:"name"`
	Model string `json:"model"`
	// Of is what the values are ratios of: each scored byte, byte or token, of which the sides have so many.
	Of            string `json:"of"`
	Reference     Value  `json:"reference"`
	Current       Value  `json:"current"`
	ReferenceSize int64  `json:"referenceSize"`
	CurrentSize   int64  `json:"currentSize"`
	Change
}

// Verdict is the answer of a gate.
type Verdict struct {
	Answer action.Answer `json:"answer"`
	Gate
	Cases []Case `json:"cases"`
}

// Case is the test of a part.
type Case struct {
	Part   string        `json:"part"`
	Answer action.Answer `json:"answer"`
	// Low and High are the ends of two one-sided intervals; null without one.
	Low  *float64 `json:"low"`
	High *float64 `json:"high"`
	// P is the p-value of a change of at most the margin, and Adjusted is P after Holm's correction for all parts.
	P        *float64 `json:"p"`
	Adjusted *float64 `json:"adjustedP"`
}

// level is the probability of a false verdict.
const level = 1 - statistics.Confidence

// small reports whether a side has too few units or bytes for a verdict.
func (s *Summary) small() bool {
	return gap.TooSmall(s.Reference.Units, s.Reference.ScoredBytes) || gap.TooSmall(s.Current.Units, s.Current.ScoredBytes)
}

// units returns the number of units of the smaller side.
func (s *Summary) units() int64 { return min(s.Reference.Units, s.Current.Units) }

// sample is the number of units of the smaller side, and how many tests share the level of a verdict.
type sample struct {
	units int64
	tests int
}

func (s *Summary) sample(tests int) sample {
	return sample{s.units(), tests}
}

// decide sets the verdict of a change by its corrected p-value. The noise of a change that is not in bits per byte is 0.
func (c *Change) decide(corrected, noise float64, of sample) {
	switch {
	case c.Value == 0 && c.Error == 0:
		c.Verdict = Equal
	case corrected >= level || math.Abs(c.Value) <= noise:
		c.Verdict = Open
		if c.Value != 0 {
			// The test is two-sided, at its share of the level, which is the least that the corrections ask for.
			times := (statistics.NormalQuantile(1-level/2/float64(of.tests)) + statistics.NormalQuantile(0.8)) * c.Error / math.Abs(c.Value)
			c.Needed = int64(min(math.Ceil(float64(of.units)*max(1, times*times)), 1e15))
		}
	case c.Value > 0:
		c.Verdict = Higher
	default:
		c.Verdict = Lower
	}
}

// certain reports whether there is a change beyond doubt.
func (c Change) certain() bool { return c.Verdict == Higher || c.Verdict == Lower }

// Name of measures.
const (
	bitsName     = "bits per byte"
	tokensName   = "tokens per byte"
	unscoredName = "share of bytes without a loss"
)

// quantileName names a quantile of the losses of tokens.
func quantileName(share float64) string {
	return "quantile " + strconv.FormatFloat(share, 'g', -1, 64) + " of token loss in nats"
}

// leastBeyond is the number of tokens beyond a quantile from which it says anything.
const leastBeyond = 10

// measures returns the comparisons of the texts under a model, without their verdicts.
func measures(model string, before, now *cell) []Measure {
	var all []Measure
	for _, of := range []struct {
		name, of string
		x, y     statistics.Sums
	}{
		{bitsName, "scored bytes", before.bits, now.bits}, {tokensName, "bytes", before.tokens, now.tokens},
		{unscoredName, "bytes to score", before.unscored, now.unscored},
	} {
		m := Measure{
			Name: of.name, Model: model, Of: of.of, Reference: valueOf(of.x), Current: valueOf(of.y), ReferenceSize: int64(of.x.W), CurrentSize: int64(of.y.W),
		}
		m.Value = m.Current.Value - m.Reference.Value
		x, known := of.x.Estimate()
		if y, ok := of.y.Estimate(); ok && known {
			if e, ok := y.Less(x); ok {
				m.Estimate = &e
			}
		}
		all = append(all, m)
	}
	for i, share := range shares {
		all = append(all, quantiles(model, i, share, before, now))
	}
	return all
}

// quantiles compares a quantile of the losses of tokens. It has no estimate if too few tokens are beyond it, or if an end
// of the interval of a side is unknown.
func quantiles(model string, i int, share float64, before, now *cell) Measure {
	m := Measure{
		Name: quantileName(share), Model: model, Of: "tokens", ReferenceSize: before.losses.Len(), CurrentSize: now.losses.Len(),
		Reference: Value{Value: before.quantile(share)}, Current: Value{Value: now.quantile(share)},
	}
	m.Value = m.Current.Value - m.Reference.Value
	var of [2]statistics.Quantile
	var below [2]statistics.Estimate
	good := true
	for j, side := range []struct {
		*cell
		to *Value
	}{{before, &m.Reference}, {now, &m.Current}} {
		e, ok := side.below[i].Estimate()
		if !ok || float64(side.losses.Len())*(1-share) < leastBeyond {
			good = false
			continue
		}
		q, ok := side.losses.Interval(share, e)
		if !ok {
			good = false
			continue
		}
		side.to.Low, side.to.High = &q.Low, &q.High
		of[j], below[j] = q, e
	}
	if e, ok := of[1].Less(of[0], below[1], below[0]); good && ok {
		m.Estimate = &e
	}
	return m
}

// judge sets the verdicts of the measures. Their q-values are those of all of them.
func (s *Summary) judge() {
	var p []float64
	var of []*Measure
	for i := range s.Measures {
		m := &s.Measures[i]
		m.Verdict = Small
		if m.Estimate != nil && !s.small() {
			p, of = append(p, m.P), append(of, m)
		}
	}
	for i, q := range statistics.FalseDiscovery(p) {
		noise := 0.0
		if of[i].Name == bitsName {
			noise = s.NoiseBPB
		}
		of[i].Q = &q
		of[i].decide(q, noise, s.sample(len(p)))
	}
}
