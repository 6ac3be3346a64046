package gap

import (
	"math"

	"surprisal.dev/runner/statistics"
)

// Verdicts of a row.
const (
	// VerdictA and VerdictB mean that the model is worse beyond doubt: the q-value is below 5% and the gap is above the
	// noise of scoring.
	VerdictA = "a is worse"
	VerdictB = "b is worse"
	// VerdictOpen means that the units do not tell.
	VerdictOpen = "cannot tell"
	// VerdictSmall means that there are too few units or bytes to say anything.
	VerdictSmall = "too small to tell"
)

// Smaller rows are too small to tell.
const (
	leastUnits = 20
	leastBytes = 2000
)

// level is the rate of false discoveries among the rows of a list with a verdict.
const level = 1 - statistics.Confidence

// judge sets the q-values and verdicts of the rows of a list.
func judge(rows []Row, noise float64) {
	var p []float64
	var large []*Row
	for i := range rows {
		if r := &rows[i]; r.tooSmall() {
			r.Verdict = VerdictSmall
		} else {
			p, large = append(p, *r.P), append(large, r)
		}
	}
	for i, q := range statistics.FalseDiscovery(p) {
		large[i].Q = &q
		large[i].decide(q, noise)
	}
}

// judgeOne sets the verdict of a row that is not part of a list.
func judgeOne(r *Row, noise float64) {
	if r.tooSmall() {
		r.Verdict = VerdictSmall
		return
	}
	r.decide(*r.P, noise)
}

func (r *Row) tooSmall() bool { return r.P == nil || TooSmall(r.Units, r.Bytes) }

// TooSmall reports whether there are too few units or bytes to say anything.
func TooSmall(units, bytes int64) bool { return units < leastUnits || bytes < leastBytes }

func (r *Row) decide(q, noise float64) {
	switch {
	case q >= level || math.Abs(*r.GapBPB) <= noise:
		r.Verdict = VerdictOpen
	case r.DeltaBits > 0:
		r.Verdict = VerdictA
	default:
		r.Verdict = VerdictB
	}
}

// noise is the largest noise of a side's scores, in bits per byte.
func (s Side) noise() float64 {
	noise := 0.0
	for _, t := range s.Datasets {
		noise = max(noise, t.NoiseBPB)
	}
	return noise
}
