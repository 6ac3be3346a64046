package family

import (
	"maps"

	"surprisal.dev/plugins/torch/graph"
)

// phi3 is Phi-3 (Abdin et al., arXiv:2404.14219) and Phi-4: Llama with q, k and v in one tensor, and gate and up in
// another. The rotation longrope, of models with long contexts, is rejected.
var phi3 = definition{modelType: "phi3", config: phi3Config}

func phi3Config(f *fields) Model {
	// auto_map names code from before transformers had this family; only longrope uses the original context.
	f.ignore("auto_map", "original_max_position_embeddings")
	f.only("attention_bias", false)
	a, headSize := decoderBlocks(f, blockDefaults{}, f.activation("hidden_act", "silu"))
	a.TiedHead = f.boolean("tie_word_embeddings", false)
	a.Norm.Epsilon = f.positive("rms_norm_eps", 1e-5)
	rope := f.phi3Rope(headSize, a.Context)
	window := f.windowOr(0)
	var queries, keys int64
	eachAttention(&a, func(_ int, at *graph.Attention) {
		at.Rope, at.Window = rope, window
		queries, keys = int64(at.Heads*headSize), int64(at.KVHeads*headSize)
	})
	layout := llamaLayout(nil)
	layout.Names = maps.Clone(llamaNames)
	maps.Copy(layout.Names, phi3Names)
	layout.View = phi3View(queries, keys)
	return Model{a, layout}
}

func (f *fields) phi3Rope(headSize, context int) *graph.Rope {
	parameters := f.ropeParameters()
	if parameters != nil {
		parameters.only("rope_type", "default")
		parameters.only("type", "default")
	}
	settings := ropeSettings{theta: f.positive("rope_theta", 10000), size: headSize}
	return f.scaledRope(parameters, f.partial(parameters, f.positive("partial_rotary_factor", 1), settings), context)
}

var phi3Names = map[string]string{
	"layers.N.attention.q": "model.layers.N.self_attn.qkv_proj",
	"layers.N.attention.k": "model.layers.N.self_attn.qkv_proj",
	"layers.N.attention.v": "model.layers.N.self_attn.qkv_proj",
	"layers.N.mlp.gate":    "model.layers.N.mlp.gate_up_proj",
	"layers.N.mlp.up":      "model.layers.N.mlp.gate_up_proj",
}

// phi3View is the view of tensors whose rows are those of q, k and v, or of gate and up, one after the other. queries
// and keys are the numbers of rows of q and of k.
func phi3View(queries, keys int64) func(string, []int64) (View, []int64) {
	return func(key string, shape []int64) (View, []int64) {
		switch key {
		case "layers.N.attention.q":
			return View{}, []int64{queries + 2*keys, shape[1]}
		case "layers.N.attention.k":
			return View{First: queries}, []int64{queries + 2*keys, shape[1]}
		case "layers.N.attention.v":
			return View{First: queries + keys}, []int64{queries + 2*keys, shape[1]}
		case "layers.N.mlp.gate":
			return View{}, []int64{2 * shape[0], shape[1]}
		case "layers.N.mlp.up":
			return View{First: shape[0]}, []int64{2 * shape[0], shape[1]}
		}
		return View{}, shape
	}
}
