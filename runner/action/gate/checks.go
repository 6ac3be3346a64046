package gate

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/series"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/statistics"
)

// Check is a further check of a gate and its answer.
type Check struct {
	Name   string        `json:"name"`
	Answer action.Answer `json:"answer"`
	// Warning means that a reader should know what a check that passes found.
	Warning bool `json:"warning,omitempty"`
	// Measurements are those that fail first, then those that are inconclusive.
	Measurements []Measurement `json:"measurements"`
}

// Measurement is what a check measured on a dataset or on a slice.
type Measurement struct {
	// On is the name of a dataset or of a slice.
	On string `json:"on"`
	// What names the value and its unit.
	What   string        `json:"what"`
	Answer action.Answer `json:"answer"`
	// Candidate and Against are those of the two models; null if there is none.
	Candidate *float64 `json:"candidate"`
	Against   *float64 `json:"against"`
	// Value is compared with Bound. Low and High are the ends of two one-sided intervals; null if there is none.
	Value *float64 `json:"value"`
	Low   *float64 `json:"low"`
	High  *float64 `json:"high"`
	Bound *float64 `json:"bound"`
	// P is the p-value of a value of at most the bound. Adjusted is P after Holm's correction for the measurements.
	P        *float64 `json:"p"`
	Adjusted *float64 `json:"adjustedP"`
	// Reason says why nothing was measured.
	Reason string `json:"reason,omitempty"`
}

// Names of checks.
const (
	checkBest        = "best"
	checkTokenizer   = "tokenizer"
	checkInvariance  = "batchInvariance"
	checkCalibration = "calibration"
	checkCoverage    = "coverage"
	checkTails       = "tails"
)

// unmeasured returns a measurement without a value.
func unmeasured(on, what, reason string) Measurement {
	return Measurement{On: on, What: what, Answer: action.Inconclusive, Reason: reason}
}

// plain returns a measurement without an interval: of everything that there is, not of a sample.
func plain(on, what string, value, bound float64) Measurement {
	m := Measurement{On: on, What: what, Answer: action.Pass, Value: &value, Bound: &bound}
	if value > bound {
		m.Answer = action.Fail
	}
	return m
}

// estimated returns a measurement with an interval, without its answer. times corrects its p-value.
func (t Test) estimated(on, what string, e statistics.Estimate, bound, times float64) Measurement {
	half := e.Half(t.Confidence)
	low, high, p := e.Value-half, e.Value+half, min(e.Above(bound)*times, 1)
	return Measurement{On: on, What: what, Value: &e.Value, Low: &low, High: &high, Bound: &bound, P: &p}
}

// check returns a check of measurements. It sets the answers of those with an interval, and sorts them.
func (t Test) check(name string, all []Measurement) Check {
	var p []float64
	var of []*Measurement
	for i := range all {
		if m := &all[i]; m.P != nil {
			p, of = append(p, *m.P), append(of, m)
		}
	}
	for i, adjusted := range statistics.FamilyWise(p) {
		of[i].Adjusted = &adjusted
		of[i].Answer = answer(*of[i].High, *of[i].Bound, adjusted, t.Confidence)
	}
	c := Check{Name: name, Answer: action.Pass, Measurements: []Measurement{}}
	for _, answer := range severity {
		for _, m := range all {
			if m.Answer == answer {
				c.Measurements = append(c.Measurements, m)
			}
		}
	}
	for _, m := range all {
		c.Answer = worse(c.Answer, m.Answer)
	}
	if len(all) == 0 {
		c.Answer = action.Inconclusive
	}
	return c
}

// best tests the candidate against the best model before it in a series. Lists of slices that a series does not have are
// left out.
func (t Test) best(candidate string, of *series.Summary) Check {
	const what = "bits per byte less those of the best before"
	var all []Measurement
	for _, slice := range of.Slices {
		if !t.tests(slice.List) {
			continue
		}
		for i, p := range slice.Points {
			switch {
			case p.Model != candidate:
			case p.Best == nil:
				m := unmeasured(slice.Name, what, "no model is before the candidate")
				m.Answer = action.Pass
				all = append(all, m)
			case slice.TooSmall || p.Best.Estimate == nil:
				all = append(all, unmeasured(slice.Name, what, "too few documents or bytes"))
			default:
				// The same documents chose the best of i models: Bonferroni's correction.
				m := t.estimated(slice.Name, what, *p.Best.Estimate, t.margin(slice.Name), float64(i))
				best := p.BPB - p.Best.Gap
				m.Candidate, m.Against = &p.BPB, &best
				all = append(all, m)
			}
		}
	}
	return t.check(checkBest, small(all))
}

// small leaves out the slices that are too small to test, unless there are no others.
func small(all []Measurement) []Measurement {
	var tested []Measurement
	for _, m := range all {
		if m.Reason == "" || m.Answer == action.Pass {
			tested = append(tested, m)
		}
	}
	if len(tested) == 0 {
		return all
	}
	return tested
}

// largest sorts measurements by their values, the largest first.
func largest(all []Measurement) []Measurement {
	slices.SortStableFunc(all, func(a, b Measurement) int {
		if a.Value == nil || b.Value == nil {
			return 0
		}
		return cmp.Compare(*b.Value, *a.Value)
	})
	return all
}

// tests reports whether the gate tests a list of slices.
func (t Test) tests(list string) bool {
	return slices.Contains(t.Lists, list)
}

// scored are the scores of both models on a dataset.
type scored struct {
	dataset string
	// shards means that the dataset's shards are clusters.
	shards             bool
	candidate, against artifact.ScoreSummary
	// tokens are the digests of the tables of tokens; "" if no check reads them.
	tokens [2]string
	// vocabulary are the sizes of the vocabularies, and losses is the path of the candidate's table of losses.
	vocabulary [2]int64
	losses     string
}

// sameTokens reports whether both models have the same tokens on a dataset: the same texts under the same numbers, as
// often.
func (s scored) sameTokens() bool {
	return s.tokens[0] == s.tokens[1] && s.vocabulary[0] == s.vocabulary[1]
}

// tokenizer compares the tokenizers.
func (t Test) tokenizer(all []scored) Check {
	c := Check{Name: checkTokenizer, Answer: action.Pass, Measurements: []Measurement{}}
	for _, s := range all {
		m := Measurement{On: s.dataset, What: "tokens for each byte", Answer: action.Pass}
		x, y := rate(s.candidate), rate(s.against)
		m.Candidate, m.Against = &x, &y
		if !s.sameTokens() {
			switch t.Also.Tokenizer {
			case "fail":
				m.Answer = action.Fail
			case "warn":
				c.Warning = true
			}
			m.Reason = fmt.Sprintf("the tokenizers differ: vocabularies of %d and %d", s.vocabulary[0], s.vocabulary[1])
		}
		c.Answer = worse(c.Answer, m.Answer)
		c.Measurements = append(c.Measurements, m)
	}
	return c
}

// rate returns the number of tokens for each byte.
func rate(s artifact.ScoreSummary) float64 {
	if s.Bytes == 0 {
		return 0
	}
	return float64(s.Tokens) / float64(s.Bytes)
}

// invariance bounds the noise of scoring of the candidate.
func (t Test) invariance(all []scored) Check {
	const what = "change of bits per byte in another batch"
	var of []Measurement
	for _, s := range all {
		if s.candidate.Rescoring.Documents == 0 {
			of = append(of, unmeasured(s.dataset, what, "no document was scored again"))
			continue
		}
		of = append(of, plain(s.dataset, what, s.candidate.Rescoring.MaxBitsPerByte, *t.Also.BatchInvariance))
	}
	return t.check(checkInvariance, largest(small(of)))
}

// coverage bounds the share of the bytes without a loss.
func (t Test) coverage(all []scored) Check {
	const what = "share of bytes without a loss"
	var of []Measurement
	for _, s := range all {
		var unscored int64
		for _, n := range s.candidate.Ledger.UnscoredBytes {
			unscored += n
		}
		total := s.candidate.ScoredBytes + unscored
		if total == 0 {
			of = append(of, unmeasured(s.dataset, what, "the dataset has no bytes to score"))
			continue
		}
		of = append(of, plain(s.dataset, what, float64(unscored)/float64(total), *t.Also.Coverage))
	}
	return t.check(checkCoverage, largest(small(of)))
}

// leastUnits is the number of documents or clusters from which the interval of a calibration error says anything.
const leastUnits = 20

// calibration bounds by how much the calibration errors of the candidate are worse. The interval of a difference combines
// those of the two errors as if they were independent. Errors of the same documents cancel in part, so that it is too
// wide rather than too narrow.
func (t Test) calibration(all []scored) Check {
	var of []Measurement
	for _, kind := range []struct {
		what  string
		bound *float64
		of    func(*artifact.ConfidenceSummary) artifact.Calibration
	}{
		{"calibration error of the top token", t.Also.Top, func(c *artifact.ConfidenceSummary) artifact.Calibration { return c.Top }},
		{"calibration error of the truth in nats", t.Also.Truth, func(c *artifact.ConfidenceSummary) artifact.Calibration { return c.Entropy }},
	} {
		if kind.bound == nil {
			continue
		}
		for _, s := range all {
			if s.candidate.Confidence == nil || s.against.Confidence == nil {
				of = append(of, unmeasured(s.dataset, kind.what, "a backend does not tell its confidence"))
				continue
			}
			x, y := kind.of(s.candidate.Confidence), kind.of(s.against.Confidence)
			units := min(x.Of(s.shards).Units, y.Of(s.shards).Units)
			if units < leastUnits {
				of = append(of, unmeasured(s.dataset, kind.what, "too few documents or clusters"))
				continue
			}
			e := statistics.Estimate{Value: x.Error - y.Error, Error: math.Hypot(deviation(x, s.shards), deviation(y, s.shards)), Effective: float64(units)}
			m := t.estimated(s.dataset, kind.what, e, *kind.bound, 1)
			m.Candidate, m.Against = &x.Error, &y.Error
			of = append(of, m)
		}
	}
	return t.check(checkCalibration, small(of))
}
