//go:build torch

package decoder

import (
	"surprisal.dev/plugins/torch/graph"
	"surprisal.dev/plugins/torch/tensor"
)

// dense is graph.Dense with the weights of a rank.
type dense struct {
	graph.Dense
	// in has the rows of gate and up if there is a gate.
	in, down affine
}

func (l *loader) dense(prefix string, described graph.Dense) *dense {
	prefix += "mlp."
	return &dense{Dense: described, in: l.product(prefix + "in"), down: l.affine(prefix + "down")}
}

var activations = map[graph.Activation]tensor.Activation{
	graph.SiLU: tensor.SiLU, graph.GELUTanh: tensor.GELUTanh, graph.GELU: tensor.GELU,
}

// forward computes each token separately. In the comments on shapes, width is the rank's part of the width.
func (d *dense) forward(r *rank, s *tensor.Scope, x, y tensor.Tensor, _ prepared, c Collective) tensor.Tensor {
	mark := s.Mark()
	in := s.Linear(x, d.in.weight, d.in.bias) // [tokens, width], or twice the width if there is a gate
	if d.Gated {
		in = s.Gate(in, activations[d.Activation], false) // [tokens, width]
		s.FreeTo(mark, in)
	} else {
		s.Activate(in, activations[d.Activation], false)
	}
	return r.rowParallel(s, in, d.down, y, c) // [tokens, hidden]
}
