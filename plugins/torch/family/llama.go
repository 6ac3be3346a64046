package family

import "surprisal.dev/plugins/torch/graph"

// llama is Llama 1 to 3 (Grattafiori et al., arXiv:2407.21783), and models with the same graph.
var llama = definition{modelType: "llama", config: llamaConfig, architecture: "llama", metadata: llamaMetadata}

func llamaConfig(f *fields) Model {
	a, headSize := decoderBlocks(f, blockDefaults{}, f.activation("hidden_act", "silu"))
	a.TiedHead = f.boolean("tie_word_embeddings", false)
	rope := f.rotation(headSize, a.Context)
	eachAttention(&a, func(_ int, at *graph.Attention) { at.Rope = rope })
	return Model{a, llamaLayout(union(
		when(f.boolean("attention_bias", false), union(attentionBiases, outBias)),
		when(f.boolean("mlp_bias", false), mlpBiases)))}
}

// llamaLayout is the layout of the safetensors files of Llama and its descendants.
func llamaLayout(biases map[string]Presence) Layout {
	return Layout{Names: llamaNames, Prefix: "model.", Unused: computed, Biases: biases}
}

// llamaNames are the names in safetensors files of Llama and its descendants, as in transformers.
var llamaNames = map[string]string{
	"embedding":                "model.embed_tokens",
	"norm":                     "model.norm",
	"head":                     "lm_head",
	"layers.N.mixer.norm":      "model.layers.N.input_layernorm",
	"layers.N.attention.q":     "model.layers.N.self_attn.q_proj",
	"layers.N.attention.k":     "model.layers.N.self_attn.k_proj",
	"layers.N.attention.v":     "model.layers.N.self_attn.v_proj",
	"layers.N.attention.qnorm": "model.layers.N.self_attn.q_norm",
	"layers.N.attention.knorm": "model.layers.N.self_attn.k_norm",
	"layers.N.attention.out":   "model.layers.N.self_attn.o_proj",
	"layers.N.ffn.norm":        "model.layers.N.post_attention_layernorm",
	"layers.N.mlp.gate":        "model.layers.N.mlp.gate_proj",
	"layers.N.mlp.up":          "model.layers.N.mlp.up_proj",
	"layers.N.mlp.down":        "model.layers.N.mlp.down_proj",
}

// postnormNames are the names of descendants that have norms after attention and MLP (Gemma 3, OLMo 2).
var postnormNames = map[string]string{
	"layers.N.mixer.postnorm": "model.layers.N.post_attention_layernorm",
	"layers.N.ffn.norm":       "model.layers.N.pre_feedforward_layernorm",
	"layers.N.ffn.postnorm":   "model.layers.N.post_feedforward_layernorm",
}

func llamaMetadata(f *fields, tensors Tensors) Model {
	a, headSize := metadataBlocks(f, tensors, 10000)
	biases := map[string]Presence{}
	for _, name := range []string{"attention.q", "attention.k", "attention.v", "attention.out", "mlp.gate", "mlp.up", "mlp.down"} {
		biases["layers.N."+name] = Optional
	}
	// Files of Mixtral say that they are Llama's.
	layout := metadataLayout(biases)
	layout.View = interleaved(int64(headSize))
	return Model{a, layout}
}

// interleaved is the view of q and k in GGUF files of Llama. Within a head, the rows of a rotated pair, which are half
// a head apart in the graph, are adjacent.
func interleaved(headSize int64) func(string, []int64) (View, []int64) {
	return func(key string, shape []int64) (View, []int64) {
		if key != "layers.N.attention.q" && key != "layers.N.attention.k" {
			return View{}, shape
		}
		return View{Row: func(r int64) int64 {
			head, i := r/headSize, r%headSize
			return head*headSize + i%(headSize/2)*2 + i/(headSize/2)
		}}, shape
	}
}
