package family

import (
	"slices"

	"surprisal.dev/plugins/torch/graph"
)

// qwen3MoE is Qwen3 with experts (arXiv:2505.09388).
var qwen3MoE = definition{modelType: "qwen3_moe", config: qwen3MoEConfig, architecture: "qwen3moe", metadata: qwen3MoEMetadata}

func qwen3MoEConfig(f *fields) Model {
	activation := f.activation("hidden_act", "silu")
	a, headSize := decoderBlocks(f, blockDefaults{vocabulary: 151936, context: 32768, heads: 32, kvHeads: 4}, activation)
	a.TiedHead = f.boolean("tie_word_embeddings", false)
	rope := f.rotation(headSize, a.Context)
	eachAttention(&a, func(_ int, at *graph.Attention) { at.Rope, at.QKNorm = rope, graph.HeadQKNorm })
	if f.boolean("use_sliding_window", false) {
		window := f.windowOr(4096)
		eachAttention(&a, func(_ int, at *graph.Attention) { at.Window = window })
	}
	f.ignore("sliding_window", "max_window_layers") // without use_sliding_window nothing reads them
	names := expertFields{
		count: "num_experts", otherCount: "num_local_experts", defaultCount: 128, active: 8, width: "moe_intermediate_size", defaultWidth: 768,
	}
	x := f.experts(names, activation)
	x.Router.Normalize = f.boolean("norm_topk_prob", false)
	f.sparseLayers(&a, x)
	return Model{a, expertLayout(when(f.boolean("attention_bias", false), union(attentionBiases, outBias)))}
}

// sparseLayers reads which layers of Qwen's families have experts, and replaces the feed-forward part of those.
func (f *fields) sparseLayers(a *graph.Architecture, x graph.Experts) {
	step, dense := f.count("decoder_sparse_step", 1), f.integers("mlp_only_layers")
	f.replaceFFN(a, x, func(n int) bool { return (n+1)%step == 0 && !slices.Contains(dense, int64(n)) })
}

// qwen3MoEMetadata reads a GGUF file. Files do not record whether weights are normalized, which those of all published
// models are.
func qwen3MoEMetadata(f *fields, tensors Tensors) Model {
	a, _ := metadataBlocks(f, tensors, 10000)
	f.withExperts(a)
	eachAttention(&a, func(_ int, at *graph.Attention) { at.QKNorm = graph.HeadQKNorm })
	return Model{a, metadataLayout(nil)}
}
