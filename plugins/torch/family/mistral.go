package family

import "surprisal.dev/plugins/torch/graph"

// mistral is Mistral 7B (Jiang et al., arXiv:2310.06825). Its GGUF files call it Llama.
var mistral = definition{modelType: "mistral", config: mistralConfig}

func mistralConfig(f *fields) Model {
	a, headSize := decoderBlocks(f, blockDefaults{kvHeads: 8}, f.activation("hidden_act", "silu"))
	a.TiedHead = f.boolean("tie_word_embeddings", false)
	rope := f.rotation(headSize, a.Context)
	window := f.windowOr(4096)
	eachAttention(&a, func(_ int, at *graph.Attention) { at.Rope, at.Window = rope, window })
	return Model{a, llamaLayout(nil)}
}
