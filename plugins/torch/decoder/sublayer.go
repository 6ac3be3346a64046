//go:build torch

package decoder

import (
	"fmt"

	"surprisal.dev/plugins/torch/graph"
	"surprisal.dev/plugins/torch/tensor"
)

// sublayer is the mixer or the feed-forward part of a layer with the weights of a rank.
type sublayer interface {
	// forward returns the output [tokens, hidden], the same on all ranks, for x [tokens, hidden], plus y [tokens, hidden]
	// unless that is none.
	forward(r *rank, s *tensor.Scope, x, y tensor.Tensor, in prepared, c Collective) tensor.Tensor
}

// mixer reads the weights of a mixer; prefix is that of the layer's names.
func (l *loader) mixer(prefix string, described graph.Mixer) sublayer {
	switch m := described.(type) {
	case graph.Attention:
		return l.attention(prefix, m)
	case graph.GatedDelta:
		return l.delta(prefix, m)
	}
	l.unknown(prefix, described)
	return nil
}

// ffn reads the weights of a feed-forward part.
func (l *loader) ffn(prefix string, described graph.FFN) sublayer {
	switch m := described.(type) {
	case graph.Dense:
		return l.dense(prefix, m)
	case graph.Experts:
		return l.experts(prefix, m)
	}
	l.unknown(prefix, described)
	return nil
}

func (l *loader) unknown(prefix string, part graph.Part) {
	if l.err == nil {
		l.err = fmt.Errorf("%s: the decoder cannot compute %T", prefix, part)
	}
}
