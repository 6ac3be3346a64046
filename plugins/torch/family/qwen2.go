package family

import "surprisal.dev/plugins/torch/graph"

// qwen2 is Qwen2 and Qwen2.5 (arXiv:2412.15115): Llama with biases of q, k and v.
var qwen2 = definition{modelType: "qwen2", config: qwen2Config, architecture: "qwen2", metadata: qwen2Metadata}

func qwen2Config(f *fields) Model {
	f.only("use_mrope", false)
	a, headSize := decoderBlocks(f, blockDefaults{kvHeads: 32}, f.activation("hidden_act", "silu"))
	a.TiedHead = f.boolean("tie_word_embeddings", false)
	rope := f.rotation(headSize, a.Context)
	eachAttention(&a, func(_ int, at *graph.Attention) { at.Rope = rope })
	f.qwenWindows(&a)
	return Model{a, llamaLayout(attentionBiases)}
}

// qwenWindows reads the sliding windows of Qwen2 and Qwen3, which most files disable.
func (f *fields) qwenWindows(a *graph.Architecture) {
	window := f.windowOr(4096)
	if !f.boolean("use_sliding_window", false) {
		window = 0
	}
	first := f.number("max_window_layers", 28)
	f.layerWindows(a, window, func(n int) bool { return window > 0 && float64(n) >= first })
}

func qwen2Metadata(f *fields, tensors Tensors) Model {
	a, _ := metadataBlocks(f, tensors, 10000)
	f.dense(a)
	return Model{a, metadataLayout(attentionBiases)}
}
