// Package simulate draws nights of a gate whose truth is known, for tests and for the benchmark of gates.
//
// It imports runner/action, runner/action/gap, runner/action/gate and runner/statistics.
package simulate

import (
	"math"
	"math/rand/v2"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/action/gate"
	"surprisal.dev/runner/statistics"
)

// Corpus describes the documents of a slice, with log-normal lengths.
type Corpus struct {
	Documents int
	// Truth is the gap in bits per byte.
	Truth float64
	// Shared is the standard deviation of a document's gap that all nights have in common, and Own that of each night.
	Shared, Own float64
}

// Sample is a draw of documents, which many nights are scored on.
type Sample struct {
	corpus        Corpus
	lengths, gaps []float64
	random        *rand.Rand
}

// Draw draws the documents of a sample. Its nights have one slice, "overall".
func (c Corpus) Draw(r *rand.Rand) *Sample {
	s := &Sample{corpus: c, random: r}
	for range c.Documents {
		s.lengths = append(s.lengths, math.Ceil(math.Exp(6+r.NormFloat64())))
		s.gaps = append(s.gaps, c.Truth+c.Shared*r.NormFloat64())
	}
	return s
}

// Row draws the row of a night.
func (s *Sample) Row(name string) gap.Row {
	var sums statistics.Sums
	for i, w := range s.lengths {
		sums.Add(w*(s.gaps[i]+s.corpus.Own*s.random.NormFloat64()), w)
	}
	return Row(name, sums)
}

// Row returns the row of sums, which are those of two documents or more.
func Row(name string, sums statistics.Sums) gap.Row {
	e, _ := sums.Estimate()
	return gap.Row{
		Name: name, Units: sums.Units, Bytes: int64(sums.W), GapBPB: &e.Value, Error: &e.Error, Low: &e.Low, High: &e.High, P: &e.P,
		Detectable: &e.Detectable, Effective: &e.Effective, Verdict: gap.VerdictOpen,
	}
}

// Night draws a night.
func (s *Sample) Night() *gap.Summary { return &gap.Summary{Overall: s.Row("overall")} }

// Overall returns the test of everything against a margin.
func Overall(margin float64) gate.Test {
	return gate.Test{Lists: []string{"overall"}, Margin: margin, Confidence: 0.95}
}

// Answers are the shares of nights with each answer.
func Answers(t gate.Test, nights int, draw func() *gap.Summary) (map[action.Answer]float64, error) {
	shares := map[action.Answer]float64{}
	for range nights {
		v, err := t.Decide(draw(), nil)
		if err != nil {
			return nil, err
		}
		shares[v.Answer] += 1 / float64(nights)
	}
	return shares, nil
}

// Alarms are the shares of runs of nights in which at least one night fails.
type Alarms struct {
	// Alone needs no confirmation. Again also needs the night before to fail, and Fresh other documents.
	Alone, Again, Fresh float64
}

// Runs draws runs of nights on the same documents, and tests each night with and without confirmation.
func Runs(r *rand.Rand, c Corpus, margin float64, runs, nights int) (a Alarms, err error) {
	t := Overall(margin)
	for range runs {
		documents, fresh := c.Draw(r), c.Draw(r)
		before := documents.Night()
		var failed [3]bool
		for range nights {
			night := documents.Night()
			for i, second := range []*gate.Second{nil, {Name: "before", Of: before}, {Name: gate.OtherDocuments, Of: fresh.Night()}} {
				v, err := t.Decide(night, second)
				if err != nil {
					return a, err
				}
				failed[i] = failed[i] || v.Answer == action.Fail
			}
			before = night
		}
		for i, to := range []*float64{&a.Alone, &a.Again, &a.Fresh} {
			if failed[i] {
				*to += 1 / float64(runs)
			}
		}
	}
	return a, nil
}

// Detectable returns the gap that nights show in four of five, from far more nights than one.
func (c Corpus) Detectable(r *rand.Rand) (size float64) {
	const nights = 1000
	for range nights {
		size += *c.Draw(r).Row("overall").Detectable / nights
	}
	return size
}
