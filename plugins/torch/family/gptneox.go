package family

import (
	"math"
	"slices"

	"surprisal.dev/plugins/torch/graph"
)

// gptNeoX is GPT-NeoX (Black et al., arXiv:2204.06745) and Pythia.
var gptNeoX = definition{modelType: "gpt_neox", config: gptNeoXConfig}

func gptNeoXConfig(f *fields) Model {
	hidden, heads := f.size("hidden_size", 0), f.count("num_attention_heads", 0)
	headSize := f.divided("hidden_size", hidden, "num_attention_heads", heads)
	context := f.size("max_position_embeddings", 0)
	rope := f.gptNeoXRope(headSize, context)
	biased := f.boolean("attention_bias", true)
	a := graph.Architecture{
		Vocabulary: f.size("vocab_size", 0), Hidden: hidden, Context: context,
		TiedHead: f.boolean("tie_word_embeddings", false),
		Norm:     graph.Norm{Kind: graph.LayerNorm, Epsilon: f.positive("layer_norm_eps", 1e-5)},
		Layers: slices.Repeat([]graph.Layer{{
			Mixer:    graph.Attention{Heads: heads, KVHeads: heads, HeadSize: headSize, Scale: 1 / math.Sqrt(float64(headSize)), Rope: rope},
			FFN:      graph.Dense{Width: f.size("intermediate_size", 0), Activation: f.activation("hidden_act", "gelu")},
			PreNorm:  true,
			Parallel: f.boolean("use_parallel_residual", true),
		}}, f.count("num_hidden_layers", 0)),
	}
	return Model{a, Layout{
		Names: gptNeoXNames, Prefix: "gpt_neox.", Unused: computed, View: headByHead(int64(headSize)),
		Biases: union(when(biased, union(attentionBiases, outBias)), normBiases,
			map[string]Presence{"layers.N.mlp.up": Required, "layers.N.mlp.down": Required}),
	}}
}

func (f *fields) gptNeoXRope(headSize, context int) *graph.Rope {
	theta, part := f.positive("rotary_emb_base", 10000), f.positive("rotary_pct", 0.25)
	// Some versions wrote both names.
	f.only("rope_theta", theta)
	f.only("partial_rotary_factor", part)
	parameters := f.ropeParameters()
	return f.scaledRope(parameters, f.partial(parameters, part, ropeSettings{theta: theta, size: headSize}), context)
}

var gptNeoXNames = map[string]string{
	"embedding":              "gpt_neox.embed_in",
	"norm":                   "gpt_neox.final_layer_norm",
	"head":                   "embed_out",
	"layers.N.mixer.norm":    "gpt_neox.layers.N.input_layernorm",
	"layers.N.attention.q":   "gpt_neox.layers.N.attention.query_key_value",
	"layers.N.attention.k":   "gpt_neox.layers.N.attention.query_key_value",
	"layers.N.attention.v":   "gpt_neox.layers.N.attention.query_key_value",
	"layers.N.attention.out": "gpt_neox.layers.N.attention.dense",
	"layers.N.ffn.norm":      "gpt_neox.layers.N.post_attention_layernorm",
	"layers.N.mlp.up":        "gpt_neox.layers.N.mlp.dense_h_to_4h",
	"layers.N.mlp.down":      "gpt_neox.layers.N.mlp.dense_4h_to_h",
}

// headByHead is the view of q, k and v in one tensor in which each head has its rows of all three together.
func headByHead(size int64) func(string, []int64) (View, []int64) {
	return func(key string, shape []int64) (View, []int64) {
		part, fused := map[string]int64{"layers.N.attention.q": 0, "layers.N.attention.k": 1, "layers.N.attention.v": 2}[key]
		if !fused {
			return View{}, shape
		}
		whole := slices.Clone(shape)
		whole[0] *= 3
		return View{Row: func(r int64) int64 { return (r/size*3+part)*size + r%size }}, whole
	}
}
