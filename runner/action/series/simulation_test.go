package series

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"surprisal.dev/runner/action/scaling"
	"surprisal.dev/runner/artifact"
)

// draw draws a series of models on the same documents, whose loss is higher by worse from the last one on.
func draw(r *rand.Rand, models, documents int, worse float64) Slice {
	scores := make([][]artifact.ScoreSummary, models)
	values := map[string]float64{}
	s := &Summary{}
	for i := range models {
		name := fmt.Sprint(i)
		scores[i] = make([]artifact.ScoreSummary, 1)
		s.Models, values[name] = append(s.Models, name), float64(i)
	}
	s.X = scaling.Steps(values)
	var units []unit
	for range documents {
		u := unit{bytes: math.Ceil(math.Exp(6 + r.NormFloat64())), bits: make([]float64, models)}
		hard := 1 + 0.3*r.NormFloat64()
		for i := range models {
			bpb := hard + 0.05*r.NormFloat64()
			if i == models-1 {
				bpb += worse
			}
			u.bits[i] = bpb * u.bytes
			scores[i][0].ScoredBytes += int64(u.bytes)
			scores[i][0].Nats += u.bits[i] * math.Ln2
		}
		units = append(units, u)
	}
	of := parts(parameters{Models: s.Models, Datasets: []string{"d"}}, scores)
	x := s.places()
	sum := newTally(x, of, 1)
	for _, u := range units {
		sum.add(0, u)
	}
	return s.slice(of[0], sum.over(of[0]), x)
}

// Of series of equal models, at most 5% have a model that is worse than the one before, or than the best before, beyond
// doubt. The best was chosen by the same documents, which the correction accounts for. A model that is worse is found.
func TestEqualModelsBySimulation(t *testing.T) {
	const series, models, documents = 400, 10, 100
	r := rand.New(rand.NewPCG(1, 2))
	previous, best, found := 0, 0, 0
	for range series {
		wrong := [2]bool{}
		for _, p := range draw(r, models, documents, 0).Points[1:] {
			wrong[0], wrong[1] = wrong[0] || p.Previous.Verdict == Worse || p.Previous.Verdict == Better, wrong[1] || p.Best.Verdict == Worse
		}
		if wrong[0] {
			previous++
		}
		if wrong[1] {
			best++
		}
		if draw(r, models, documents, 0.05).Points[models-1].Best.Verdict == Worse {
			found++
		}
	}
	t.Logf("of %d series, %d have a wrong step and %d a wrong best; %d of the worse models are found", series, previous, best, found)
	if previous > series*7/100 || best > series*7/100 || found < series*9/10 {
		t.Errorf("of %d series, %d have a wrong step and %d a wrong best; %d of the worse models are found", series, previous, best, found)
	}
}
