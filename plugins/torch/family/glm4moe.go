package family

import (
	"fmt"
	"maps"
	"regexp"

	"surprisal.dev/plugins/torch/graph"
)

// glm4MoE is GLM-4.5 and GLM-4.5-Air (arXiv:2508.06471): the first layers are dense, the others have experts that are
// chosen by corrected sigmoids, and a shared expert. Layers that predict further tokens are not used.
var glm4MoE = definition{modelType: "glm4_moe", config: glm4MoEConfig}

func glm4MoEConfig(f *fields) Model {
	activation := f.activation("hidden_act", "silu")
	a, headSize := decoderBlocks(f, blockDefaults{vocabulary: 151552, context: 131072, heads: 96, kvHeads: 8}, activation)
	a.TiedHead = f.boolean("tie_word_embeddings", false)
	a.Norm.Epsilon = f.positive("rms_norm_eps", 1e-5)
	parameters := f.ropeParameters()
	settings := ropeSettings{theta: f.positive("rope_theta", 10000), size: headSize}
	rope := f.scaledRope(parameters, f.partial(parameters, f.positive("partial_rotary_factor", 0.5), settings), a.Context)
	norms := graph.NoQKNorm
	if f.boolean("use_qk_norm", false) {
		norms = graph.HeadQKNorm
	}
	eachAttention(&a, func(_ int, at *graph.Attention) { at.Rope, at.QKNorm = rope, norms })
	// Experts in groups, of which some are chosen first, are for other sizes of this design.
	f.only("n_group", 1)
	f.only("topk_group", 1)
	x := f.experts(expertFields{count: "n_routed_experts", defaultCount: 128, active: 8, width: "moe_intermediate_size", defaultWidth: 1408}, activation)
	x.Router = graph.Router{
		Sigmoid: true, Correction: true, Normalize: f.boolean("norm_topk_prob", true), Scale: f.positive("routed_scaling_factor", 1),
	}
	x.Shared = x.Width * f.count("n_shared_experts", 1)
	dense := f.whole("first_k_dense_replace", 1)
	f.replaceFFN(&a, x, func(n int) bool { return n >= dense })
	layout := expertLayout(when(f.boolean("attention_bias", false), attentionBiases))
	maps.Copy(layout.Names, glm4MoENames)
	layout.Unused = furtherLayers(len(a.Layers), f.whole("num_nextn_predict_layers", f.whole("num_mtp_layers", 1)))
	return Model{a, layout}
}

var glm4MoENames = map[string]string{
	"layers.N.experts.correction.weight": "model.layers.N.mlp.gate.e_score_correction_bias",
	"layers.N.shared.gate":               "model.layers.N.mlp.shared_experts.gate_proj",
	"layers.N.shared.up":                 "model.layers.N.mlp.shared_experts.up_proj",
	"layers.N.shared.down":               "model.layers.N.mlp.shared_experts.down_proj",
}

// furtherLayers matches a number of layers after the last, and what computed matches.
func furtherLayers(first, count int) *regexp.Regexp {
	expression := computed.String()
	for n := first; n < first+count; n++ {
		expression += fmt.Sprintf(`|^model\.layers\.%d\.`, n)
	}
	return regexp.MustCompile(expression)
}
