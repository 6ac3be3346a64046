package family

import (
	"maps"

	"surprisal.dev/plugins/torch/graph"
)

// expertFields are the names and the defaults of a family's fields about experts; a default of 0: there is none.
type expertFields struct {
	// count is the number of experts, which some files call otherCount.
	count, otherCount string
	defaultCount      int
	// active is the default of num_experts_per_tok.
	active       int
	width        string
	defaultWidth int
}

// experts reads the fields that mixtures of experts share.
func (f *fields) experts(names expertFields, activation graph.Activation) graph.Experts {
	// These are for training.
	f.ignore("output_router_logits", "router_aux_loss_coef")
	count := names.count
	if names.otherCount != "" {
		_, first := f.get(count)
		if _, second := f.get(names.otherCount); second && !first {
			count = names.otherCount
		} else if second {
			f.only(names.otherCount, f.values[count])
		}
	}
	x := graph.Experts{
		Count: f.count(count, names.defaultCount), Active: f.count("num_experts_per_tok", names.active),
		Width: f.size(names.width, names.defaultWidth), Activation: activation, Router: graph.Router{Scale: 1},
	}
	if x.Active > x.Count {
		f.fail("num_experts_per_tok is %d, but %s is %d: a token cannot use more experts than there are", x.Active, count, x.Count)
	}
	return x
}

// replaceFFN gives experts to the layers for which sparse is true.
func (f *fields) replaceFFN(a *graph.Architecture, x graph.Experts, sparse func(layer int) bool) {
	for n := range a.Layers {
		if sparse(n) {
			a.Layers[n].FFN = x
		}
	}
}

// expertNames are the names of experts in safetensors files of most families, as in transformers.
var expertNames = map[string]string{
	"layers.N.experts.router": "model.layers.N.mlp.gate",
	"layers.N.experts.gate":   "model.layers.N.mlp.experts.E.gate_proj",
	"layers.N.experts.up":     "model.layers.N.mlp.experts.E.up_proj",
	"layers.N.experts.down":   "model.layers.N.mlp.experts.E.down_proj",
}

// expertLayout is llamaLayout with experts.
func expertLayout(biases map[string]Presence) Layout {
	layout := llamaLayout(biases)
	layout.Names = maps.Clone(layout.Names)
	maps.Copy(layout.Names, expertNames)
	return layout
}
