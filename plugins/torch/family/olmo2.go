package family

import (
	"maps"

	"surprisal.dev/plugins/torch/graph"
)

// olmo2 is OLMo 2 (arXiv:2501.00656), with norms after attention and MLP instead of before them.
var olmo2 = definition{modelType: "olmo2", config: olmo2Config}

func olmo2Config(f *fields) Model {
	a, headSize := decoderBlocks(f, blockDefaults{}, f.activation("hidden_act", "silu"))
	a.TiedHead = f.boolean("tie_word_embeddings", false)
	a.Norm.Epsilon = f.positive("rms_norm_eps", 1e-5)
	rope := f.rotation(headSize, a.Context)
	for n := range a.Layers {
		a.Layers[n].PreNorm, a.Layers[n].PostNorm = false, true
	}
	eachAttention(&a, func(_ int, at *graph.Attention) { at.Rope, at.QKNorm = rope, graph.FullQKNorm })
	layout := llamaLayout(when(f.boolean("attention_bias", false), union(attentionBiases, outBias)))
	layout.Names = maps.Clone(llamaNames)
	maps.Copy(layout.Names, postnormNames)
	return Model{a, layout}
}
