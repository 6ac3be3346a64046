package family

import "surprisal.dev/plugins/torch/graph"

// gptOSSOriginal is gpt-oss in the layout in which OpenAI published it, in the directory original of its repositories.
// transformers cannot read it. Its configuration names no family.
var gptOSSOriginal = definition{modelType: "gpt_oss", config: gptOSSOriginalConfig}

// isGPTOSSOriginal reports whether a configuration is of this layout.
func isGPTOSSOriginal(values map[string]any) bool {
	return values["model_type"] == nil && values["rope_ntk_alpha"] != nil && values["num_experts"] != nil
}

func gptOSSOriginalConfig(f *fields) Model {
	// The defaults are those of gpt-oss-120b, as in OpenAI's code.
	a, headSize := decoderBlocks(f, blockDefaults{vocabulary: 201088, context: 131072, heads: 64, kvHeads: 8, headSize: 64}, graph.SiLU)
	a.Norm.Epsilon = 1e-5
	context := f.size("initial_context_length", 4096)
	factor := f.positive("rope_scaling_factor", 32)
	a.Context = int(float64(context) * factor)
	s := ropeSettings{theta: f.positive("rope_theta", 150000), size: headSize, scaling: "yarn", factor: factor, originalContext: float64(context)}
	s.yarn = yarn{fast: f.positive("rope_ntk_beta", 32), slow: f.positive("rope_ntk_alpha", 1), attention: defaultAttention(factor, 1)}
	if factor <= 1 {
		s.scaling = "default"
	}
	window := f.size("sliding_window", 128)
	x := graph.Experts{
		Count: f.count("num_experts", 128), Active: f.count("experts_per_token", 4), Width: f.size("intermediate_size", 2880),
		Activation: graph.SiLU, Router: graph.Router{Scale: 1, Normalize: true}, Clamp: &graph.Clamp{Limit: f.positive("swiglu_limit", 7), Alpha: 1.702},
	}
	if x.Active > x.Count {
		f.fail("experts_per_token is %d, but num_experts is %d: a token cannot use more experts than there are", x.Active, x.Count)
	}
	f.replaceFFN(&a, x, func(int) bool { return true })
	if f.err != nil {
		return Model{Architecture: a}
	}
	rope := s.rope()
	layout := Layout{Names: gptOSSOriginalNames, Biases: union(attentionBiases, outBias, gptOSSBiases)}
	eachAttention(&a, func(n int, at *graph.Attention) {
		at.Rope, at.Sinks = rope, true
		if n%2 == 0 {
			at.Window = window
		}
		layout.View = gptOSSOriginalView(int64(at.Heads*headSize), int64(at.KVHeads*headSize))
	})
	return Model{a, layout}
}

var gptOSSOriginalNames = map[string]string{
	"embedding":                       "embedding",
	"norm.weight":                     "norm.scale",
	"head":                            "unembedding",
	"layers.N.mixer.norm.weight":      "block.N.attn.norm.scale",
	"layers.N.attention.q":            "block.N.attn.qkv",
	"layers.N.attention.k":            "block.N.attn.qkv",
	"layers.N.attention.v":            "block.N.attn.qkv",
	"layers.N.attention.sinks.weight": "block.N.attn.sinks",
	"layers.N.attention.out":          "block.N.attn.out",
	"layers.N.ffn.norm.weight":        "block.N.mlp.norm.scale",
	"layers.N.experts.router":         "block.N.mlp.gate",
	"layers.N.experts.gate.weight":    "block.N.mlp.mlp1_weight",
	"layers.N.experts.up.weight":      "block.N.mlp.mlp1_weight",
	"layers.N.experts.down.weight":    "block.N.mlp.mlp2_weight",
	"layers.N.experts.gate.bias":      "block.N.mlp.mlp1_bias",
	"layers.N.experts.up.bias":        "block.N.mlp.mlp1_bias",
	"layers.N.experts.down.bias":      "block.N.mlp.mlp2_bias",
}

// gptOSSOriginalView is the view of q, k and v, one after the other, and of experts, whose rows are those of gate and up
// in turn.
func gptOSSOriginalView(queries, keys int64) func(string, []int64) (View, []int64) {
	experts := gptOSSView(false)
	first := map[string]int64{"layers.N.attention.q": 0, "layers.N.attention.k": queries, "layers.N.attention.v": queries + keys}
	return func(key string, shape []int64) (View, []int64) {
		from, joined := first[key]
		if !joined {
			return experts(key, shape)
		}
		whole := append([]int64{queries + 2*keys}, shape[1:]...)
		return View{First: from}, whole
	}
}
