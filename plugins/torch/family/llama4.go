package family

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"surprisal.dev/plugins/torch/graph"
)

// llama4 is the text decoder of Llama 4: most layers are rotated and see only their chunk of the context, and the others
// see all of it without positions. Experts get their inputs times their scores. llama4WithImages is a checkpoint that
// also has an encoder of images.
var (
	llama4           = definition{modelType: "llama4_text", config: llama4Config}
	llama4WithImages = definition{modelType: "llama4", config: llama4ImagesConfig}
)

func llama4Config(f *fields) Model {
	activation := f.activation("hidden_act", "silu")
	a, headSize := decoderBlocks(f, blockDefaults{vocabulary: 202048, context: 131072, heads: 40, kvHeads: 8, headSize: 128}, activation)
	a.TiedHead = f.boolean("tie_word_embeddings", false)
	a.Norm.Epsilon = f.positive("rms_norm_eps", 1e-5)
	f.ignore("router_jitter_noise") // for training
	f.only("for_llm_compressor", false)
	f.llama4Attention(&a, headSize)
	x := f.experts(expertFields{count: "num_local_experts", defaultCount: 16, active: 1, width: "intermediate_size", defaultWidth: 8192}, activation)
	f.only("num_experts_per_tok", 1) // one score multiplies the input
	x.Router, x.Shared = graph.Router{Sigmoid: true, ScaleInput: true, Scale: 1}, x.Width
	f.llama4FFN(&a, x, graph.Dense{Width: f.size("intermediate_size_mlp", 16384), Activation: activation, Gated: true})
	layout := llamaLayout(when(f.boolean("attention_bias", false), union(attentionBiases, outBias)))
	layout.Names = maps.Clone(layout.Names)
	maps.Copy(layout.Names, llama4Names)
	layout.View = llama4View(int64(headSize))
	return Model{a, layout}
}

// llama4Attention reads which layers are rotated, and which see only a chunk of the context.
func (f *fields) llama4Attention(a *graph.Architecture, headSize int) {
	parameters := f.ropeParameters()
	rope := f.scaledRope(parameters, ropeSettings{theta: f.positive("rope_theta", 500000), size: headSize}, a.Context)
	rotated := f.flags("no_rope_layers", len(a.Layers))
	interval := f.count("no_rope_layer_interval", 4)
	types := f.strings("layer_types")
	if len(types) != 0 && len(types) != len(a.Layers) {
		f.fail("layer_types has %d elements, num_hidden_layers is %d", len(types), len(a.Layers))
		return
	}
	chunk, norms := f.size("attention_chunk_size", 8192), graph.NoQKNorm
	if f.boolean("use_qk_norm", true) {
		norms = graph.UnitQKNorm
	}
	var temperature *graph.Temperature
	if f.switched("attn_temperature_tuning", true) {
		temperature = &graph.Temperature{Floor: f.positive("floor_scale", 8192), Scale: f.positive("attn_scale", 0.1)}
	}
	f.ignore("floor_scale", "attn_scale")
	eachAttention(a, func(n int, at *graph.Attention) {
		rotates := (n+1)%interval != 0
		if len(rotated) > 0 {
			rotates = rotated[n]
		}
		if rotates {
			at.Rope, at.QKNorm = rope, norms
		} else {
			at.Temperature = temperature
		}
		chunked := rotates
		if len(types) > 0 {
			if chunked = types[n] == "chunked_attention"; !chunked && types[n] != "full_attention" {
				f.fail("layer_types[%d] is %q, which is not supported (supported: chunked_attention, full_attention)", n, types[n])
			}
		}
		if chunked {
			at.Chunk = chunk
		}
	})
}

// flags reads a list of n numbers that are 0 or 1; nil if it is missing or empty.
func (f *fields) flags(name string, n int) []bool {
	list := f.integers(name)
	if len(list) == 0 {
		return nil
	}
	flags := make([]bool, n)
	if len(list) != n {
		f.fail("%s has %d elements, num_hidden_layers is %d", name, len(list), n)
		return flags
	}
	for i, x := range list {
		if x != 0 && x != 1 {
			f.fail("%s[%d] is %d, not 0 or 1", name, i, x)
		}
		flags[i] = x == 1
	}
	return flags
}

// switched reads true or false, or a number that is not 0 for true.
func (f *fields) switched(name string, fallback bool) bool {
	value, ok := f.get(name)
	if !ok {
		return fallback
	}
	if x, isNumber := float(value); isNumber {
		return x != 0
	}
	return f.boolean(name, fallback)
}

// llama4FFN reads which layers have experts; the others are dense.
func (f *fields) llama4FFN(a *graph.Architecture, x graph.Experts, dense graph.Dense) {
	_, listed := f.get("moe_layers")
	layers, step := f.integers("moe_layers"), f.count("interleave_moe_layer_step", 1)
	for _, n := range layers {
		if n < 0 || n >= int64(len(a.Layers)) {
			f.fail("moe_layers has %d, but num_hidden_layers is %d", n, len(a.Layers))
		}
	}
	for n := range a.Layers {
		sparse := (n+1)%step == 0
		if listed {
			sparse = slices.Contains(layers, int64(n))
		}
		if a.Layers[n].FFN = dense; sparse {
			a.Layers[n].FFN = x
		}
	}
}

var llama4Names = map[string]string{
	"layers.N.mlp.gate":            "model.layers.N.feed_forward.gate_proj",
	"layers.N.mlp.up":              "model.layers.N.feed_forward.up_proj",
	"layers.N.mlp.down":            "model.layers.N.feed_forward.down_proj",
	"layers.N.experts.router":      "model.layers.N.feed_forward.router",
	"layers.N.experts.gate.weight": "model.layers.N.feed_forward.experts.gate_up_proj",
	"layers.N.experts.up.weight":   "model.layers.N.feed_forward.experts.gate_up_proj",
	"layers.N.experts.down.weight": "model.layers.N.feed_forward.experts.down_proj",
	"layers.N.shared.gate":         "model.layers.N.feed_forward.shared_expert.gate_proj",
	"layers.N.shared.up":           "model.layers.N.feed_forward.shared_expert.up_proj",
	"layers.N.shared.down":         "model.layers.N.feed_forward.shared_expert.down_proj",
}

// llama4View is the view of q and k, in which the rows of a rotated pair are adjacent, and of experts, which are stored
// transposed with gate and up one after the other.
func llama4View(headSize int64) func(string, []int64) (View, []int64) {
	pairs := interleaved(headSize)
	return func(key string, shape []int64) (View, []int64) {
		switch key {
		case "layers.N.experts.gate":
			return View{Transposed: true}, []int64{shape[0], shape[2], 2 * shape[1]}
		case "layers.N.experts.up":
			return View{Transposed: true, First: shape[1]}, []int64{shape[0], shape[2], 2 * shape[1]}
		case "layers.N.experts.down":
			return View{Transposed: true}, []int64{shape[0], shape[2], shape[1]}
		}
		return pairs(key, shape)
	}
}

// llama4ImageTower matches the image encoder, the projection of its output to tokens, and what computed matches.
var llama4ImageTower = regexp.MustCompile(`^(vision_model|multi_modal_projector)\.|` + computed.String())

// llama4ImagesConfig reads the configuration of a multimodal model. Without an image it computes the same as its text
// decoder.
func llama4ImagesConfig(f *fields) Model {
	f.ignore("vision_config", "boi_token_index", "eoi_token_index", "image_token_index", "image_token_id", "boi_token_id", "eoi_token_id")
	f.only("tie_word_embeddings", false)
	text := f.object("text_config")
	if text == nil {
		f.fail("no field text_config")
		text = newFields(f.where, nil)
	}
	text.ignore(irrelevant...)
	text.only("model_type", "llama4_text")
	m := llama4Config(text)
	if err := text.finish(); err != nil && f.err == nil {
		f.err = err
	}
	names := map[string]string{}
	for key, name := range m.Layout.Names {
		names[key] = "language_model." + strings.TrimPrefix(name, "language_model.")
	}
	m.Layout.Names, m.Layout.Prefix, m.Layout.Unused = names, "language_model.model.", llama4ImageTower
	return m
}
