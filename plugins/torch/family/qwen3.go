package family

import "surprisal.dev/plugins/torch/graph"

// qwen3 is Qwen3 (arXiv:2505.09388): Llama with norms of each query and key.
var qwen3 = definition{modelType: "qwen3", config: qwen3Config, architecture: "qwen3", metadata: qwen3Metadata}

func qwen3Config(f *fields) Model {
	a, headSize := decoderBlocks(f, blockDefaults{kvHeads: 32, headSize: 128}, f.activation("hidden_act", "silu"))
	a.TiedHead = f.boolean("tie_word_embeddings", false)
	rope := f.rotation(headSize, a.Context)
	eachAttention(&a, func(_ int, at *graph.Attention) { at.Rope, at.QKNorm = rope, graph.HeadQKNorm })
	f.qwenWindows(&a)
	return Model{a, llamaLayout(when(f.boolean("attention_bias", false), union(attentionBiases, outBias)))}
}

func qwen3Metadata(f *fields, tensors Tensors) Model {
	a, _ := metadataBlocks(f, tensors, 10000)
	f.dense(a)
	eachAttention(&a, func(_ int, at *graph.Attention) { at.QKNorm = graph.HeadQKNorm })
	return Model{a, metadataLayout(nil)}
}
