//go:build torch

package decoder

import (
	"math"
	"slices"
	"sync"

	"surprisal.dev/plugins/torch/graph"
	"surprisal.dev/plugins/torch/tensor"
)

// prepared is the data of a batch that layers need, on the rank's device.
type prepared struct {
	tokens    int64
	sequences tensor.Sequences
	rotations map[*ropeTable]rotation
	// positions are those of the tokens, and ends the index after the last row of each segment.
	positions, ends []int64
	// observed is nil if nothing is.
	observed *tensor.Observation
}

// rotation holds the cosines and sines of the angles of a batch's tokens, float32 [tokens, half the rotated size].
type rotation struct{ cosines, sines tensor.Tensor }

func (r *rank) prepare(s *tensor.Scope, b *batch) prepared {
	p := prepared{tokens: int64(len(b.tokens)), sequences: tensor.NewSegments(s, b.segments, r.device), rotations: map[*ropeTable]rotation{}}
	p.positions, p.ends = b.positions, b.ends()
	p.observed = r.observation(s, b, p.sequences)
	if len(r.ropes) == 0 {
		return p
	}
	positions := r.indices(s, b.positions) // [tokens]
	for _, table := range r.ropes {
		n, chosen := int(slices.Max(b.positions)+1), positions
		if table.rope.Long != nil {
			chosen = r.indices(s, b.angles(n, table.rope.Long.From))
		}
		cosines, sines := table.first(n)
		half := int64(len(table.rope.InverseFrequencies))
		rows := func(all []float32) tensor.Tensor {
			t := tensor.New(s, all, tensor.Float32, int64(len(all))/half, half) // [angles, half]
			return s.Rows(r.onDevice(s, t, tensor.Float32), chosen)             // [tokens, half]
		}
		p.rotations[table] = rotation{rows(cosines), rows(sines)}
	}
	return p
}

// angles returns the position of each token, plus n in sequences of at least long tokens. Sequences share no segments.
func (b *batch) angles(n, long int) []int64 {
	all := slices.Clone(b.positions)
	from := int64(0)
	for _, g := range b.segments {
		if g.End-from >= int64(long) {
			for i := from; i < g.End; i++ {
				all[i] += int64(n)
			}
		}
		from = g.End
	}
	return all
}

// ropeTable holds the cosines and sines of the first positions.
type ropeTable struct {
	rope *graph.Rope
	// mutex guards sets.
	mutex sync.Mutex
	// sets are those of the frequencies of short sequences, and of long ones if they have others.
	sets []angleSet
}

// angleSet holds the cosines and sines of positions, one after the other.
type angleSet struct{ frequencies, cosines, sines []float32 }

func newRopeTable(rope *graph.Rope) *ropeTable {
	t := &ropeTable{rope: rope, sets: []angleSet{{frequencies: rope.InverseFrequencies}}}
	if rope.Long != nil {
		t.sets = append(t.sets, angleSet{frequencies: rope.Long.InverseFrequencies})
	}
	return t
}

// first returns the cosines and sines of the first n positions, those of long sequences after the others.
func (t *ropeTable) first(n int) (cosines, sines []float32) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for i := range t.sets {
		set := &t.sets[i]
		set.grow(n, t.rope.Factor)
		size := n * len(set.frequencies)
		if len(t.sets) == 1 {
			return set.cosines[:size], set.sines[:size]
		}
		cosines, sines = append(cosines, set.cosines[:size]...), append(sines, set.sines[:size]...)
	}
	return cosines, sines
}

// grow extends the set to at least n positions.
func (a *angleSet) grow(n int, factor float64) {
	for position := len(a.cosines) / max(len(a.frequencies), 1); position < n; position++ {
		for _, frequency := range a.frequencies {
			sine, cosine := math.Sincos(float64(float32(position) * frequency))
			a.cosines, a.sines = append(a.cosines, float32(cosine*factor)), append(a.sines, float32(sine*factor))
		}
	}
}
