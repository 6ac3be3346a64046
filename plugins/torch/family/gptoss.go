package family

import (
	"maps"

	"surprisal.dev/plugins/torch/graph"
)

// gptOSS is gpt-oss (arXiv:2508.10925): experts with clamped gates and biases, and attention with sinks.
var gptOSS = definition{modelType: "gpt_oss", config: gptOSSConfig, architecture: "gpt-oss", metadata: gptOSSMetadata}

func gptOSSConfig(f *fields) Model {
	defaults := blockDefaults{vocabulary: 201088, context: 131072, heads: 64, kvHeads: 8, headSize: 64}
	a, headSize := decoderBlocks(f, defaults, f.activation("hidden_act", "silu"))
	a.TiedHead = f.boolean("tie_word_embeddings", false)
	a.Norm.Epsilon = f.positive("rms_norm_eps", 1e-5)
	// Files repeat what is fixed, or what rope_scaling has.
	f.ignore("initial_context_length", "experts_per_token")
	f.gptOSSQuantization()
	rope := f.gptOSSRope(headSize, a.Context)
	f.layerWindows(&a, f.windowOr(128), func(n int) bool { return n%2 == 0 })
	eachAttention(&a, func(_ int, at *graph.Attention) { at.Rope, at.Sinks = rope, true })
	x := f.experts(expertFields{count: "num_local_experts", otherCount: "num_experts", defaultCount: 128, active: 4, width: "intermediate_size"}, graph.SiLU)
	x.Router.Normalize = true
	x.Clamp = &graph.Clamp{Limit: f.positive("swiglu_limit", 7), Alpha: f.positive("swiglu_alpha", 1.702)}
	f.replaceFFN(&a, x, func(int) bool { return true })
	layout := llamaLayout(union(when(f.boolean("attention_bias", true), union(attentionBiases, outBias)), gptOSSBiases))
	layout.Names = maps.Clone(layout.Names)
	maps.Copy(layout.Names, gptOSSNames)
	layout.View, layout.BlockView = gptOSSView(true), gptOSSView(false)
	return Model{a, layout}
}

// gptOSSQuantization accepts weights of experts in MXFP4. Which tensors have it is seen from the files.
func (f *fields) gptOSSQuantization() {
	q := f.object("quantization_config")
	if q == nil {
		return
	}
	q.only("quant_method", "mxfp4")
	q.ignore("modules_to_not_convert", "dequantize")
	if err := q.finish(); err != nil && f.err == nil {
		f.err = err
	}
}

func (f *fields) gptOSSRope(headSize, context int) *graph.Rope {
	settings := ropeSettings{theta: f.positive("rope_theta", 150000), size: headSize}
	if parameters := f.ropeParameters(); parameters != nil {
		return f.scaledRope(parameters, settings, context)
	}
	settings.scaling, settings.factor, settings.originalContext = "yarn", 32, 4096
	settings.yarn = yarn{fast: 32, slow: 1, attention: defaultAttention(32, 1)}
	if f.err != nil {
		return nil
	}
	return settings.rope()
}

var gptOSSBiases = map[string]Presence{
	"layers.N.experts.router": Required, "layers.N.experts.gate": Required, "layers.N.experts.up": Required, "layers.N.experts.down": Required,
}

var gptOSSNames = map[string]string{
	"layers.N.attention.sinks.weight": "model.layers.N.self_attn.sinks",
	"layers.N.experts.router":         "model.layers.N.mlp.router",
	"layers.N.experts.gate.weight":    "model.layers.N.mlp.experts.gate_up_proj",
	"layers.N.experts.up.weight":      "model.layers.N.mlp.experts.gate_up_proj",
	"layers.N.experts.down.weight":    "model.layers.N.mlp.experts.down_proj",
	"layers.N.experts.gate.bias":      "model.layers.N.mlp.experts.gate_up_proj_bias",
	"layers.N.experts.up.bias":        "model.layers.N.mlp.experts.gate_up_proj_bias",
	"layers.N.experts.down.bias":      "model.layers.N.mlp.experts.down_proj_bias",
}

// gptOSSView is the view of gates and other rows in turn in one tensor. Matrices are stored [experts, inputs, outputs] if
// transposed is true, and [experts, outputs, inputs] in blocks.
func gptOSSView(transposed bool) func(string, []int64) (View, []int64) {
	return func(key string, shape []int64) (View, []int64) {
		part, joined := map[string]int64{"layers.N.experts.gate": 0, "layers.N.experts.up": 1}[key]
		if !joined && key != "layers.N.experts.down" {
			return View{}, shape
		}
		outputs, v := shape[1], View{}
		if joined {
			outputs *= 2
			v.Row = func(r int64) int64 { return 2*r + part }
		}
		switch {
		case len(shape) == 2: // biases
			return v, []int64{shape[0], outputs}
		case transposed:
			v.Transposed = true
			return v, []int64{shape[0], shape[2], outputs}
		}
		return v, []int64{shape[0], outputs, shape[2]}
	}
}

// gptOSSMetadata reads a GGUF file. Windows alternate as in all models of the family.
func gptOSSMetadata(f *fields, tensors Tensors) Model {
	a, _ := metadataBlocks(f, tensors, 150000)
	f.withExperts(a)
	window := f.size("attention.sliding_window", 0)
	eachAttention(&a, func(n int, at *graph.Attention) {
		at.Sinks = true
		if n%2 == 0 {
			at.Window = window
		}
	})
	eachExperts(&a, func(x *graph.Experts) { x.Clamp = &graph.Clamp{Limit: 7, Alpha: 1.702} })
	layout := metadataLayout(union(attentionBiases, outBias, gptOSSBiases))
	layout.Names = maps.Clone(layout.Names)
	// The name of a norm after attention in other families.
	layout.Names["layers.N.ffn.norm"] = "blk.N.post_attention_norm"
	return Model{a, layout}
}
