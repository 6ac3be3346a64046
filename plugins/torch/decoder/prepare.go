//go:build torch

package decoder

import (
	"math"
	"slices"

	"surprisal.dev/plugins/torch/graph"
	"surprisal.dev/plugins/torch/tensor"
)

// prepared is the data of a batch that layers need, on the rank's device.
type prepared struct {
	tokens    int64
	sequences tensor.Sequences
	rotations map[*ropeTable]rotation
	// observed is nil if nothing is.
	observed *tensor.Observation
}

// rotation holds the cosines and sines of the angles of a batch's tokens, float32 [tokens, half the rotated size].
type rotation struct{ cosines, sines tensor.Tensor }

func (r *rank) prepare(s *tensor.Scope, b *batch) prepared {
	p := prepared{tokens: int64(len(b.tokens)), sequences: tensor.NewSequences(s, b.ends, r.device), rotations: map[*ropeTable]rotation{}}
	p.observed = r.observation(s, b, p.sequences)
	if len(r.ropes) == 0 {
		return p
	}
	positions := r.indices(s, b.positions) // [tokens]
	for _, table := range r.ropes {
		n, half := int(slices.Max(b.positions)+1), len(table.rope.InverseFrequencies)
		table.grow(n)
		rows := func(all []float32) tensor.Tensor {
			t := tensor.New(s, all[:n*half], tensor.Float32, int64(n), int64(half)) // [positions, half]
			return s.Rows(r.onDevice(s, t, tensor.Float32), positions)              // [tokens, half]
		}
		p.rotations[table] = rotation{rows(table.cosines), rows(table.sines)}
	}
	return p
}

// ropeTable holds the cosines and sines of the first positions, one after the other.
type ropeTable struct {
	rope           *graph.Rope
	cosines, sines []float32
}

// grow extends the table to at least n positions.
func (t *ropeTable) grow(n int) {
	half := len(t.rope.InverseFrequencies)
	for position := len(t.cosines) / max(half, 1); position < n; position++ {
		for _, frequency := range t.rope.InverseFrequencies {
			sine, cosine := math.Sincos(float64(float32(position) * frequency))
			t.cosines, t.sines = append(t.cosines, float32(cosine*t.rope.Factor)), append(t.sines, float32(sine*t.rope.Factor))
		}
	}
}
