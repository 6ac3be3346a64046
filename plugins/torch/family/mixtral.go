package family

import (
	"maps"

	"surprisal.dev/plugins/torch/graph"
)

// mixtral is Mixtral (Jiang et al., arXiv:2401.04088): Mistral with experts.
var mixtral = definition{modelType: "mixtral", config: mixtralConfig}

func mixtralConfig(f *fields) Model {
	activation := f.activation("hidden_act", "silu")
	a, headSize := decoderBlocks(f, blockDefaults{vocabulary: 32000, context: 131072, heads: 32, kvHeads: 8}, activation)
	a.TiedHead = f.boolean("tie_word_embeddings", false)
	a.Norm.Epsilon = f.positive("rms_norm_eps", 1e-5)
	parameters := f.ropeParameters()
	rope := f.scaledRope(parameters, ropeSettings{theta: f.positive("rope_theta", 1e6), size: headSize}, a.Context)
	window := f.windowOr(0)
	eachAttention(&a, func(_ int, at *graph.Attention) { at.Rope, at.Window = rope, window })
	f.ignore("router_jitter_noise") // for training
	x := f.experts(expertFields{count: "num_local_experts", defaultCount: 8, active: 2, width: "intermediate_size"}, activation)
	x.Router.Normalize = true
	f.replaceFFN(&a, x, func(int) bool { return true })
	layout := expertLayout(nil)
	layout.Names = maps.Clone(layout.Names)
	maps.Copy(layout.Names, mixtralNames)
	return Model{a, layout}
}

var mixtralNames = map[string]string{
	"layers.N.experts.router": "model.layers.N.block_sparse_moe.gate",
	"layers.N.experts.gate":   "model.layers.N.block_sparse_moe.experts.E.w1",
	"layers.N.experts.up":     "model.layers.N.block_sparse_moe.experts.E.w3",
	"layers.N.experts.down":   "model.layers.N.block_sparse_moe.experts.E.w2",
}
