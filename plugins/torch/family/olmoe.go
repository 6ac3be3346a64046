package family

import "surprisal.dev/plugins/torch/graph"

// olmoe is OLMoE (Muennighoff et al., arXiv:2409.02060): experts, and norms of all queries and keys together.
var olmoe = definition{modelType: "olmoe", config: olmoeConfig, architecture: "olmoe", metadata: olmoeMetadata}

func olmoeConfig(f *fields) Model {
	activation := f.activation("hidden_act", "silu")
	a, headSize := decoderBlocks(f, blockDefaults{vocabulary: 50304, context: 4096, heads: 16}, activation)
	a.TiedHead = f.boolean("tie_word_embeddings", false)
	a.Norm.Epsilon = f.positive("rms_norm_eps", 1e-5)
	f.only("clip_qkv", nil) // no published model has a bound
	rope := f.rotation(headSize, a.Context)
	eachAttention(&a, func(_ int, at *graph.Attention) { at.Rope, at.QKNorm = rope, graph.FullQKNorm })
	x := f.experts(expertFields{count: "num_experts", defaultCount: 64, active: 8, width: "intermediate_size"}, activation)
	x.Router.Normalize = f.boolean("norm_topk_prob", false)
	f.replaceFFN(&a, x, func(int) bool { return true })
	return Model{a, expertLayout(when(f.boolean("attention_bias", false), union(attentionBiases, outBias)))}
}

func olmoeMetadata(f *fields, tensors Tensors) Model {
	a, _ := metadataBlocks(f, tensors, 10000)
	f.withExperts(a)
	eachAttention(&a, func(_ int, at *graph.Attention) { at.QKNorm = graph.FullQKNorm })
	eachExperts(&a, func(x *graph.Experts) { x.Router.Normalize = false })
	return Model{a, metadataLayout(nil)}
}
