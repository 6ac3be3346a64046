package family

import (
	"maps"
	"math"
	"regexp"

	"surprisal.dev/plugins/torch/graph"
)

// gemma3 is Gemma 3 (arXiv:2503.19786); gemma3WithImages is a checkpoint that also has an encoder of images.
var (
	gemma3           = definition{modelType: "gemma3_text", config: gemma3Config, architecture: "gemma3", metadata: gemma3Metadata}
	gemma3WithImages = definition{modelType: "gemma3", config: gemma3ImagesConfig}
)

func gemma3Config(f *fields) Model {
	defaults := blockDefaults{vocabulary: 262208, context: 131072, heads: 8, kvHeads: 4, headSize: 256}
	a, headSize := decoderBlocks(f, defaults, f.activation("hidden_activation", "gelu_pytorch_tanh"))
	// Some files repeat the activation under its older name, which transformers does not read for this family.
	f.ignore("hidden_act", "_sliding_window_pattern")
	f.only("use_bidirectional_attention", false)
	a.TiedHead = f.boolean("tie_word_embeddings", true)
	a.Norm.AddOne = true
	a.EmbeddingScale = math.Sqrt(float64(a.Hidden))
	a.LogitSoftcap = f.softcap("final_logit_softcapping")
	scale := 1 / math.Sqrt(f.positive("query_pre_attn_scalar", 256))

	window := f.windowOr(4096)
	pattern := f.count("sliding_window_pattern", 6)
	f.layerWindows(&a, window, func(n int) bool { return (n+1)%pattern != 0 })
	global, local := f.gemma3Ropes(headSize, a.Context)
	for n := range a.Layers {
		a.Layers[n].PostNorm = true
	}
	eachAttention(&a, func(_ int, at *graph.Attention) {
		at.Scale, at.QKNorm, at.Rope = scale, graph.HeadQKNorm, global
		if at.Window > 0 {
			at.Rope = local
		}
	})
	layout := llamaLayout(when(f.boolean("attention_bias", false), union(attentionBiases, outBias)))
	layout.Names = maps.Clone(llamaNames)
	maps.Copy(layout.Names, postnormNames)
	return Model{a, layout}
}

// gemma3Ropes reads the rotations of full layers and of sliding layers.
func (f *fields) gemma3Ropes(headSize, context int) (global, local *graph.Rope) {
	globalSettings := ropeSettings{theta: f.positive("rope_theta", 1e6), size: headSize}
	localSettings := ropeSettings{theta: f.positive("rope_local_base_freq", 1e4), size: headSize}
	scaling := f.object("rope_scaling")
	var localScaling *fields
	if parameters := f.object("rope_parameters"); parameters != nil {
		if scaling != nil {
			f.fail("rope_parameters and rope_scaling are mutually exclusive; keep one")
		}
		scaling, localScaling = parameters.object("full_attention"), parameters.object("sliding_attention")
		if err := parameters.finish(); err != nil && f.err == nil {
			f.err = err
		}
	}
	return f.scaledRope(scaling, globalSettings, context), f.scaledRope(localScaling, localSettings, context)
}

// imageTower matches the image encoder, and the projection of its output to tokens.
var imageTower = regexp.MustCompile(`^(model\.)?(vision_tower|multi_modal_projector)\.|\.rotary_emb\.inv_freq$`)

// gemma3ImagesConfig reads the configuration of a multimodal model. Without an image it computes the same as its text
// decoder.
func gemma3ImagesConfig(f *fields) Model {
	f.ignore("vision_config", "boi_token_index", "eoi_token_index", "image_token_index", "image_token_id", "mm_tokens_per_image")
	text := f.object("text_config")
	if text == nil {
		f.fail("no field text_config")
		text = newFields(f.where, nil)
	}
	text.ignore(irrelevant...)
	text.only("model_type", "gemma3_text")
	// transformers uses the tying field of the outer configuration.
	tied := f.boolean("tie_word_embeddings", true)
	m := gemma3Config(text)
	m.Architecture.TiedHead = tied
	if err := text.finish(); err != nil && f.err == nil {
		f.err = err
	}
	m.Layout.Others = []string{"language_model.model.", "model.language_model."}
	m.Layout.Unused = imageTower
	return m
}

func gemma3Metadata(f *fields, tensors Tensors) Model {
	a, headSize := metadataBlocks(f, tensors, 1e6)
	f.dense(a)
	a.EmbeddingScale = math.Sqrt(float64(a.Hidden))
	a.LogitSoftcap = f.softcap("final_logit_softcapping")
	window := f.size("attention.sliding_window", 0)
	// Files omit the pattern and the local frequencies, which all models of the family share.
	pattern := f.count("attention.sliding_window_pattern", 6)
	local := ropeSettings{theta: f.positive("rope.freq_base_swa", 1e4), size: headSize, scaling: "default"}.rope()
	for n := range a.Layers {
		l := &a.Layers[n]
		l.PostNorm = true
		if ffn, ok := l.FFN.(graph.Dense); ok {
			ffn.Activation = graph.GELUTanh
			l.FFN = ffn
		}
	}
	eachAttention(&a, func(n int, at *graph.Attention) {
		at.Scale, at.QKNorm = 1/math.Sqrt(float64(headSize)), graph.HeadQKNorm
		// Only the model with 62 layers, 27B, scales by the width of the hidden size per head; files do not record
		// this.
		if len(a.Layers) == 62 {
			at.Scale = 1 / math.Sqrt(float64(a.Hidden)/float64(at.Heads))
		}
		if (n+1)%pattern != 0 {
			at.Window, at.Rope = window, local
		}
	})
	return Model{a, metadataLayout(nil)}
}
