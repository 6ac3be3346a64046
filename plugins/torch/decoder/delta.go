//go:build torch

package decoder

import (
	"surprisal.dev/plugins/torch/graph"
	"surprisal.dev/plugins/torch/tensor"
)

// delta is graph.GatedDelta with the weights of a rank.
type delta struct {
	graph.GatedDelta
	in, rates, out affine
	weights        tensor.DeltaWeights
}

func (l *loader) delta(prefix string, described graph.GatedDelta) *delta {
	prefix += "delta."
	return &delta{
		GatedDelta: described, in: l.affine(prefix + "in"), rates: l.affine(prefix + "rates"), out: l.affine(prefix + "out"),
		weights: tensor.DeltaWeights{
			Convolution: l.weight(prefix + "convolution"), Decay: l.weight(prefix + "decay"), Step: l.weight(prefix + "step"),
			Norm: l.weight(prefix + "norm"),
		},
	}
}

// forward goes from token to token of each sequence.
func (d *delta) forward(r *rank, s *tensor.Scope, x, y tensor.Tensor, in prepared, c Collective) tensor.Tensor {
	o := tensor.DeltaOptions{
		Group: d.ValueHeads / d.KeyHeads, KeySize: d.KeySize, ValueSize: d.ValueSize, Kernel: d.Kernel, Epsilon: r.architecture.Norm.Epsilon,
	}
	columns := s.Linear(x, d.in.weight, d.in.bias)                     // [tokens, columns of the rank's key heads]
	rates := s.Linear(x, d.rates.weight, d.rates.bias)                 // [tokens, two for each of the rank's value heads]
	values := s.GatedDelta(columns, rates, d.weights, in.sequences, o) // [tokens, values of the rank's heads]
	return r.rowParallel(s, values, d.out, y, c)                       // [tokens, hidden]
}
