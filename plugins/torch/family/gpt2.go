package family

import (
	"maps"
	"math"
	"slices"

	"surprisal.dev/plugins/torch/graph"
)

// gpt2 is GPT-2 (Radford et al., "Language Models are Unsupervised Multitask Learners").
var gpt2 = definition{modelType: "gpt2", config: gpt2Config, architecture: "gpt2", metadata: gpt2Metadata}

func gpt2Config(f *fields) Model {
	f.ignore("n_ctx", "layer_norm_eps", "reorder_and_upcast_attn", "summary_type", "summary_use_proj", "summary_activation",
		"summary_proj_to_labels", "summary_first_dropout", "n_special", "predict_special_tokens")
	hidden, heads := f.size("n_embd", 0), f.count("n_head", 0)
	positions := f.size("n_positions", 1024)
	headSize := f.divided("n_embd", hidden, "n_head", heads)
	scale := 1.0
	if f.boolean("scale_attn_weights", true) {
		scale = 1 / math.Sqrt(float64(headSize))
	}
	byLayer := f.boolean("scale_attn_by_inverse_layer_idx", false)
	a := graph.Architecture{
		Vocabulary: f.size("vocab_size", 50257), Hidden: hidden, Context: positions, Positions: positions,
		TiedHead: f.boolean("tie_word_embeddings", true),
		Norm:     graph.Norm{Kind: graph.LayerNorm, Epsilon: f.positive("layer_norm_epsilon", 1e-5)},
		Layers: slices.Repeat([]graph.Layer{{
			Mixer:   graph.Attention{Heads: heads, KVHeads: heads, HeadSize: headSize, Scale: scale},
			FFN:     graph.Dense{Width: f.size("n_inner", 4*hidden), Activation: f.activation("activation_function", "gelu_new")},
			PreNorm: true,
		}}, f.count("n_layer", 0)),
	}
	if byLayer {
		eachAttention(&a, func(n int, at *graph.Attention) { at.Scale = scale / float64(n+1) })
	}
	return Model{a, Layout{Names: gpt2Names, Prefix: "transformer.", Unused: computed, View: conv1D, Biases: gpt2Biases}}
}

var gpt2Biases = union(attentionBiases, outBias, normBiases, map[string]Presence{"layers.N.mlp.up": Required, "layers.N.mlp.down": Required})

// gpt2Metadata reads a GGUF file, which has matrices as the graph does, with the rows of q, k and v in one.
func gpt2Metadata(f *fields, tensors Tensors) Model {
	hidden, heads := f.size("embedding_length", 0), f.count("attention.head_count", 0)
	headSize := f.divided("embedding_length", hidden, "attention.head_count", heads)
	f.only("attention.head_count_kv", heads)
	_, untied := tensors("output.weight")
	positions := f.size("context_length", 0)
	a := graph.Architecture{
		Vocabulary: f.metadataVocabulary(tensors), Hidden: hidden, Context: positions, Positions: positions, TiedHead: !untied,
		Norm: graph.Norm{Kind: graph.LayerNorm, Epsilon: f.positive("attention.layer_norm_epsilon", 0)},
		Layers: slices.Repeat([]graph.Layer{{
			Mixer:   graph.Attention{Heads: heads, KVHeads: heads, HeadSize: headSize, Scale: 1 / math.Sqrt(float64(headSize))},
			FFN:     graph.Dense{Width: f.size("feed_forward_length", 0), Activation: graph.GELUTanh},
			PreNorm: true,
		}}, f.count("block_count", 0)),
	}
	layout := metadataLayout(gpt2Biases)
	layout.Names = maps.Clone(layout.Names)
	maps.Copy(layout.Names, map[string]string{
		"positions": "position_embd", "layers.N.attention.q": "blk.N.attn_qkv", "layers.N.attention.k": "blk.N.attn_qkv", "layers.N.attention.v": "blk.N.attn_qkv",
	})
	layout.View = func(key string, shape []int64) (View, []int64) {
		part, joined := map[string]int64{"layers.N.attention.q": 0, "layers.N.attention.k": 1, "layers.N.attention.v": 2}[key]
		if !joined {
			return View{}, shape
		}
		whole := slices.Clone(shape)
		whole[0] *= 3
		return View{First: part * shape[0]}, whole
	}
	return Model{a, layout}
}

var gpt2Names = map[string]string{
	"embedding":              "transformer.wte",
	"positions":              "transformer.wpe",
	"norm":                   "transformer.ln_f",
	"head":                   "lm_head",
	"layers.N.mixer.norm":    "transformer.h.N.ln_1",
	"layers.N.attention.q":   "transformer.h.N.attn.c_attn",
	"layers.N.attention.k":   "transformer.h.N.attn.c_attn",
	"layers.N.attention.v":   "transformer.h.N.attn.c_attn",
	"layers.N.attention.out": "transformer.h.N.attn.c_proj",
	"layers.N.ffn.norm":      "transformer.h.N.ln_2",
	"layers.N.mlp.up":        "transformer.h.N.mlp.c_fc",
	"layers.N.mlp.down":      "transformer.h.N.mlp.c_proj",
}

// conv1D is the view of GPT-2's matrices, which are stored [inputs, outputs], with q, k and v side by side.
func conv1D(key string, shape []int64) (View, []int64) {
	v := View{First: map[string]int64{"layers.N.attention.k": shape[0], "layers.N.attention.v": 2 * shape[0]}[key]}
	outputs := shape[0]
	switch key {
	case "layers.N.attention.q", "layers.N.attention.k", "layers.N.attention.v":
		outputs *= 3
	case "layers.N.attention.out", "layers.N.mlp.up", "layers.N.mlp.down":
	default:
		return v, shape
	}
	if len(shape) == 1 {
		return v, []int64{outputs}
	}
	v.Transposed = true
	return v, []int64{shape[1], outputs}
}
