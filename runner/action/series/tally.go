package series

import (
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/statistics"
)

// part is a slice of the text: everything, a dataset or a group.
type part struct {
	list, name string
	// datasets are positions.
	datasets []int
	// best[i] is the model with the lowest loss before model i, or -1 if there is none.
	best []int
}

// Lists of slices.
const (
	ListOverall  = "overall"
	ListDatasets = "datasets"
	ListGroups   = "groups"
)

// parts returns the slices that have scored bytes, with the best models so far.
func parts(p parameters, scores [][]artifact.ScoreSummary) []part {
	overall := part{list: ListOverall, name: ListOverall}
	var tags [][]string
	var all []part
	for j, dataset := range p.Datasets {
		overall.datasets = append(overall.datasets, j)
		tags = append(tags, p.Tags[dataset])
		all = append(all, part{list: ListDatasets, name: dataset, datasets: []int{j}})
	}
	for _, g := range gap.Groups(p.Datasets, tags) {
		all = append(all, part{list: ListGroups, name: g.Name, datasets: g.Datasets})
	}
	var kept []part
	for _, of := range append([]part{overall}, all...) {
		var bytes int64
		for _, j := range of.datasets {
			bytes += scores[0][j].ScoredBytes
		}
		if bytes > 0 {
			of.findBest(scores)
			kept = append(kept, of)
		}
	}
	return kept
}

// findBest finds the best models so far. All models have the same bytes, and of equal ones the first is the best.
func (p *part) findBest(scores [][]artifact.ScoreSummary) {
	best, lowest := -1, 0.0
	for i := range scores {
		p.best = append(p.best, best)
		nats := 0.0
		for _, j := range p.datasets {
			nats += scores[i][j].Nats
		}
		if best < 0 || nats < lowest {
			best, lowest = i, nats
		}
	}
}

// pair is the difference of a model and an earlier one.
type pair struct{ of, to int }

// sums are those of a dataset: of each model, of the pairs of models, and of the slope.
type sums struct {
	models []statistics.Sums
	pairs  map[pair]*statistics.Sums
	slope  statistics.Sums
}

// tally adds up the units of all datasets.
type tally struct {
	pairs []pair
	// weights are those of the slope: it is the sum of the models' losses with them.
	weights  []float64
	datasets []*sums
}

// newTally returns a tally of the pairs that slices need. x are the places of the models.
func newTally(x []float64, of []part, datasets int) *tally {
	t := &tally{weights: make([]float64, len(x))}
	seen := map[pair]bool{}
	add := func(p pair) {
		if !seen[p] {
			seen[p] = true
			t.pairs = append(t.pairs, p)
		}
	}
	for i := 1; i < len(x); i++ {
		add(pair{i, i - 1})
		for _, p := range of {
			add(pair{i, p.best[i]})
		}
	}
	mean, squares := 0.0, 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		squares += (v - mean) * (v - mean)
	}
	for i, v := range x {
		t.weights[i] = (v - mean) / squares
	}
	for range datasets {
		s := &sums{models: make([]statistics.Sums, len(x)), pairs: map[pair]*statistics.Sums{}}
		for _, p := range t.pairs {
			s.pairs[p] = &statistics.Sums{}
		}
		t.datasets = append(t.datasets, s)
	}
	return t
}

// add adds a unit of a dataset.
func (t *tally) add(dataset int, u unit) {
	s := t.datasets[dataset]
	slope := 0.0
	for i, bits := range u.bits {
		s.models[i].Add(bits, u.bytes)
		// The weights sum to 0. A difference is small, and its rounding too.
		slope += t.weights[i] * (bits - u.bits[0])
	}
	s.slope.Add(slope, u.bytes)
	for _, p := range t.pairs {
		s.pairs[p].Add(u.bits[p.of]-u.bits[p.to], u.bytes)
	}
}

// over returns the sums of the datasets of a slice.
func (t *tally) over(p part) *sums {
	all := &sums{models: make([]statistics.Sums, len(t.weights)), pairs: map[pair]*statistics.Sums{}}
	for _, q := range t.pairs {
		all.pairs[q] = &statistics.Sums{}
	}
	for _, j := range p.datasets {
		of := t.datasets[j]
		for i := range all.models {
			all.models[i].Merge(of.models[i])
		}
		for q, s := range all.pairs {
			s.Merge(*of.pairs[q])
		}
		all.slope.Merge(of.slope)
	}
	return all
}
