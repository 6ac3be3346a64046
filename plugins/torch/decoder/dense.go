//go:build torch

package decoder

import (
	"surprisal.dev/plugins/torch/graph"
	"surprisal.dev/plugins/torch/tensor"
)

// dense is graph.Dense with the weights of a rank.
type dense struct {
	graph.Dense
	gate, up, down affine
}

func (l *loader) dense(prefix string, described graph.Dense) *dense {
	prefix += "mlp."
	d := &dense{Dense: described, up: l.affine(prefix + "up"), down: l.affine(prefix + "down")}
	if described.Gated {
		d.gate = l.affine(prefix + "gate")
	}
	return d
}

var activations = map[graph.Activation]tensor.Activation{
	graph.SiLU: tensor.SiLU, graph.GELUTanh: tensor.GELUTanh, graph.GELU: tensor.GELU,
}

// forward computes each token separately. In the comments on shapes, width is the rank's part of the width.
func (d *dense) forward(r *rank, s *tensor.Scope, x, y tensor.Tensor, _ prepared, c Collective) tensor.Tensor {
	up := s.Linear(x, d.up.weight, d.up.bias) // [tokens, width]
	if !d.Gated {
		s.Activate(up, tensor.Tensor{}, activations[d.Activation], false)
		return r.rowParallel(s, up, d.down, y, c) // [tokens, hidden]
	}
	gate := s.Linear(x, d.gate.weight, d.gate.bias) // [tokens, width]
	s.Activate(gate, up, activations[d.Activation], false)
	return r.rowParallel(s, gate, d.down, y, c) // [tokens, hidden]
}
