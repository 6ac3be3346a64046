package checkpoint

import (
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
)

// irrelevant lists fields of a config.json about how a model was trained or saved, or how it generates. They do not
// affect the graph.
var irrelevant = []string{
	"architectures", "model_type", "transformers_version", "torch_dtype", "dtype", "_name_or_path", "_model_name_or_path", "name_or_path", "_commit_hash",
	"_attn_implementation", "_attn_implementation_autoset", "_attn_implementation_internal", "use_cache", "cache_implementation",
	"transformers.js_config", "is_llama_config", "pretraining_tp", "initializer_range", "use_return_dict",
	"return_dict", "return_dict_in_generate", "output_hidden_states", "output_attentions", "output_scores", "torchscript",
	"gradient_checkpointing", "tf_legacy_loss", "use_bfloat16", "tokenizer_class", "finetuning_task", "task_specific_params",
	"problem_type", "id2label", "label2id", "num_labels", "_num_labels", "prefix", "chunk_size_feed_forward", "is_decoder",
	"attention_dropout", "hidden_dropout", "hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "resid_pdrop", "embd_pdrop",
	"attn_pdrop", "output_past", "max_sequence_length", "unsloth_fixed", "unsloth_version",
	"bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "sep_token_id", "decoder_start_token_id", "forced_bos_token_id",
	"forced_eos_token_id", "begin_suppress_tokens", "suppress_tokens", "bad_words_ids",
	"do_sample", "early_stopping", "max_length", "min_length", "max_new_tokens", "num_beams", "num_beam_groups", "diversity_penalty",
	"temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size",
	"encoder_no_repeat_ngram_size", "num_return_sequences", "remove_invalid_values", "exponential_decay_length_penalty",
}

// presence is whether a checkpoint has a tensor.
type presence int8

const (
	absent presence = iota
	optional
	required
)

// model is the content of a configuration: the graph, and the names and layout of its tensors in the files.
type model struct {
	architecture Architecture
	// names maps canonical names without ".weight" to those of the files. N is the number of a layer in both.
	names map[string]string
	// prefix begins the names in the files, all of them or none; others lists alternatives to it.
	prefix string
	others []string
	// biases has the presence of biases by canonical name.
	biases map[string]presence
	// view returns the position of a canonical tensor of this name and shape in the stored tensor, and the stored
	// tensor's shape. If nil, all tensors are stored in their canonical form.
	view func(name string, shape []int64) (view, []int64)
	// unused matches names of stored tensors that do not take part in the computation.
	unused *regexp.Regexp
}

// Names of tensors in safetensors files, as in transformers.
var (
	llamaNames = map[string]string{
		"embedding":                "model.embed_tokens",
		"norm":                     "model.norm",
		"head":                     "lm_head",
		"layers.N.attention.norm":  "model.layers.N.input_layernorm",
		"layers.N.attention.q":     "model.layers.N.self_attn.q_proj",
		"layers.N.attention.k":     "model.layers.N.self_attn.k_proj",
		"layers.N.attention.v":     "model.layers.N.self_attn.v_proj",
		"layers.N.attention.qnorm": "model.layers.N.self_attn.q_norm",
		"layers.N.attention.knorm": "model.layers.N.self_attn.k_norm",
		"layers.N.attention.out":   "model.layers.N.self_attn.o_proj",
		"layers.N.mlp.norm":        "model.layers.N.post_attention_layernorm",
		"layers.N.mlp.gate":        "model.layers.N.mlp.gate_proj",
		"layers.N.mlp.up":          "model.layers.N.mlp.up_proj",
		"layers.N.mlp.down":        "model.layers.N.mlp.down_proj",
	}
	postnormNames = map[string]string{
		"layers.N.attention.postnorm": "model.layers.N.post_attention_layernorm",
		"layers.N.mlp.norm":           "model.layers.N.pre_feedforward_layernorm",
		"layers.N.mlp.postnorm":       "model.layers.N.post_feedforward_layernorm",
	}
	gpt2Names = map[string]string{
		"embedding":               "transformer.wte",
		"positions":               "transformer.wpe",
		"norm":                    "transformer.ln_f",
		"head":                    "lm_head",
		"layers.N.attention.norm": "transformer.h.N.ln_1",
		"layers.N.attention.q":    "transformer.h.N.attn.c_attn",
		"layers.N.attention.k":    "transformer.h.N.attn.c_attn",
		"layers.N.attention.v":    "transformer.h.N.attn.c_attn",
		"layers.N.attention.out":  "transformer.h.N.attn.c_proj",
		"layers.N.mlp.norm":       "transformer.h.N.ln_2",
		"layers.N.mlp.up":         "transformer.h.N.mlp.c_fc",
		"layers.N.mlp.down":       "transformer.h.N.mlp.c_proj",
	}
	gptNeoXNames = map[string]string{
		"embedding":               "gpt_neox.embed_in",
		"norm":                    "gpt_neox.final_layer_norm",
		"head":                    "embed_out",
		"layers.N.attention.norm": "gpt_neox.layers.N.input_layernorm",
		"layers.N.attention.q":    "gpt_neox.layers.N.attention.query_key_value",
		"layers.N.attention.k":    "gpt_neox.layers.N.attention.query_key_value",
		"layers.N.attention.v":    "gpt_neox.layers.N.attention.query_key_value",
		"layers.N.attention.out":  "gpt_neox.layers.N.attention.dense",
		"layers.N.mlp.norm":       "gpt_neox.layers.N.post_attention_layernorm",
		"layers.N.mlp.up":         "gpt_neox.layers.N.mlp.dense_h_to_4h",
		"layers.N.mlp.down":       "gpt_neox.layers.N.mlp.dense_4h_to_h",
	}
	// Older checkpoints contain masks and frequencies that the code computes.
	computed = regexp.MustCompile(`\.(attn|attention)\.(bias|masked_bias)$|\.rotary_emb\.inv_freq$`)
	// The image encoder, and the projection of its output to tokens.
	imageTower = regexp.MustCompile(`^(model\.)?(vision_tower|multi_modal_projector)\.|\.rotary_emb\.inv_freq$`)
)

var attentionBiases = map[string]presence{
	"layers.N.attention.q": required, "layers.N.attention.k": required, "layers.N.attention.v": required,
}

var outBias = map[string]presence{"layers.N.attention.out": required}

var mlpBiases = map[string]presence{
	"layers.N.mlp.gate": required, "layers.N.mlp.up": required, "layers.N.mlp.down": required,
}

var normBiases = map[string]presence{
	"layers.N.attention.norm": required, "layers.N.mlp.norm": required, "norm": required,
}

// union joins maps; a nil map contributes nothing.
func union(parts ...map[string]presence) map[string]presence {
	all := map[string]presence{}
	for _, part := range parts {
		maps.Copy(all, part)
	}
	return all
}

func when(condition bool, part map[string]presence) map[string]presence {
	if condition {
		return part
	}
	return nil
}

var activations = map[string]Activation{
	"silu": SiLU, "swish": SiLU, "gelu": GELU, "gelu_python": GELU,
	// One formula under several names.
	"gelu_new": GELUTanh, "gelu_pytorch_tanh": GELUTanh, "gelu_fast": GELUTanh, "gelu_accurate": GELUTanh,
}

func (f *fields) activation(name, fallback string) Activation {
	text := f.text(name, fallback)
	activation, ok := activations[text]
	if !ok {
		f.fail("%s is %q, which is not supported (supported: %s)", name, text, strings.Join(slices.Sorted(maps.Keys(activations)), ", "))
	}
	return activation
}

// families has a reader for each supported model_type of transformers. Defaults are those of the family's configuration
// class in transformers, for fields that files may omit.
var families = map[string]func(*fields) model{
	"llama":       llamaConfig,
	"mistral":     mistralConfig,
	"qwen2":       qwen2Config,
	"qwen3":       qwen3Config,
	"gemma3_text": gemma3Config,
	"gemma3":      gemma3WithImages,
	"olmo2":       olmo2Config,
	"gpt2":        gpt2Config,
	"gpt_neox":    gptNeoXConfig,
}

// configModel reads a config.json.
func configModel(path string, values map[string]any) (model, error) {
	f := newFields(path, values)
	family := f.text("model_type", "")
	read, ok := families[family]
	if f.err == nil && !ok {
		f.fail("model_type is %q, which is not supported (supported: %s)", family, strings.Join(slices.Sorted(maps.Keys(families)), ", "))
	}
	if f.err != nil {
		return model{}, f.err
	}
	f.ignore(irrelevant...)
	f.only("is_encoder_decoder", false)
	f.only("add_cross_attention", false)
	f.only("tie_encoder_decoder", false)
	f.only("pruned_heads", map[string]any{})
	f.only("rope_interleaved", false)
	m := read(f)
	m.architecture.Family = family
	return m, f.finish()
}

// blockDefaults are a family's defaults for missing fields; 0: there is no default, or it follows from other fields.
type blockDefaults struct{ vocabulary, context, heads, kvHeads, headSize int }

// decoderBlocks reads the fields that Llama's descendants share. The caller adds windows and rotations.
func decoderBlocks(f *fields, d blockDefaults, activation Activation) Architecture {
	a := Architecture{
		Vocabulary: f.size("vocab_size", d.vocabulary),
		Hidden:     f.size("hidden_size", 0),
		Context:    f.size("max_position_embeddings", d.context),
		Norm:       Norm{Kind: RMSNorm, Epsilon: f.positive("rms_norm_eps", 1e-6)},
	}
	heads := f.count("num_attention_heads", d.heads)
	kvHeads := d.kvHeads
	// Null means as many as heads.
	if _, written := f.values["num_key_value_heads"]; written || kvHeads == 0 {
		kvHeads = f.count("num_key_value_heads", heads)
	}
	if heads%kvHeads != 0 {
		f.fail("num_attention_heads %d is not a multiple of num_key_value_heads %d", heads, kvHeads)
	}
	headSize := f.headSize("head_dim", d.headSize)
	if headSize == 0 {
		headSize = f.divided("hidden_size", a.Hidden, "num_attention_heads", heads)
	}
	a.Layers = slices.Repeat([]Layer{{
		Attention: Attention{Heads: heads, KVHeads: kvHeads, HeadSize: headSize, Scale: 1 / math.Sqrt(float64(headSize))},
		MLP:       MLP{Width: f.size("intermediate_size", 0), Activation: activation, Gated: true},
		PreNorm:   true,
	}}, f.count("num_hidden_layers", 0))
	return a
}

// headSize reads an even size; fallback 0 gives 0.
func (f *fields) headSize(name string, fallback int) int {
	if _, ok := f.get(name); !ok {
		return fallback
	}
	n := f.count(name, 0)
	if n%2 != 0 {
		f.fail("%s is %d, which is odd", name, n)
	}
	return n
}

// divided returns the size of a head for a configuration that does not state it.
func (f *fields) divided(name string, hidden int, headsName string, heads int) int {
	size := hidden / heads
	if hidden%heads != 0 || size%2 != 0 || size > maximumCount {
		f.fail("%s %d over %s %d is not an even whole number up to %d", name, hidden, headsName, heads, maximumCount)
		return 2
	}
	return size
}

// eachAttention modifies the attention of all layers.
func (a *Architecture) eachAttention(set func(n int, attention *Attention)) {
	for n := range a.Layers {
		set(n, &a.Layers[n].Attention)
	}
}

// rotation reads rope_parameters, which transformers 5 writes, or the older rope_theta and rope_scaling.
func rotation(f *fields, headSize int, context int) *Rope {
	parameters, scaling := f.object("rope_parameters"), f.object("rope_scaling")
	theta := f.positive("rope_theta", 10000)
	if parameters != nil && scaling != nil {
		f.fail("rope_parameters and rope_scaling are mutually exclusive; keep one")
	}
	if parameters == nil {
		parameters = scaling
	}
	return f.scaledRope(parameters, ropeSettings{theta: theta, size: headSize}, context)
}

// scaledRope completes settings with the parameters of an object in f, which may be nil.
func (f *fields) scaledRope(parameters *fields, s ropeSettings, context int) *Rope {
	s.scaling = "default"
	if p := parameters; p != nil {
		p.only("partial_rotary_factor", 1)
		s.theta = p.positive("rope_theta", s.theta)
		s.scaling = p.text("rope_type", p.text("type", "default"))
		switch s.scaling {
		case "default":
			// Files keep the factor of a scaling that was disabled.
			p.ignore("factor")
		case "linear":
			s.factor = p.positive("factor", 0)
		case "llama3":
			s.factor = p.positive("factor", 0)
			s.lowFactor = p.positive("low_freq_factor", 0)
			s.highFactor = p.positive("high_freq_factor", 0)
			s.originalContext = p.positive("original_max_position_embeddings", float64(context))
			if s.highFactor <= s.lowFactor {
				p.fail("high_freq_factor %v is not above low_freq_factor %v", s.highFactor, s.lowFactor)
			}
		default:
			p.fail("rope_type is %q, which is not supported (supported: default, linear, llama3)", s.scaling)
		}
		if err := p.finish(); err != nil && f.err == nil {
			f.err = err
		}
	}
	if f.err != nil {
		return nil
	}
	return s.rope()
}

func llamaConfig(f *fields) model {
	a := decoderBlocks(f, blockDefaults{}, f.activation("hidden_act", "silu"))
	a.TiedHead = f.boolean("tie_word_embeddings", false)
	rope := rotation(f, a.Layers[0].Attention.HeadSize, a.Context)
	a.eachAttention(func(_ int, at *Attention) { at.Rope = rope })
	return model{
		architecture: a, names: llamaNames, prefix: "model.", unused: computed,
		biases: union(
			when(f.boolean("attention_bias", false), union(attentionBiases, outBias)),
			when(f.boolean("mlp_bias", false), mlpBiases)),
	}
}

func mistralConfig(f *fields) model {
	a := decoderBlocks(f, blockDefaults{kvHeads: 8}, f.activation("hidden_act", "silu"))
	a.TiedHead = f.boolean("tie_word_embeddings", false)
	rope := rotation(f, a.Layers[0].Attention.HeadSize, a.Context)
	window := f.windowOr(4096)
	a.eachAttention(func(_ int, at *Attention) { at.Rope, at.Window = rope, window })
	return model{architecture: a, names: llamaNames, prefix: "model.", unused: computed}
}

// windowOr reads sliding_window, which may be missing; it returns 0 for null, which means no window.
func (f *fields) windowOr(missing int) int {
	if _, written := f.values["sliding_window"]; !written {
		return missing
	}
	if _, ok := f.get("sliding_window"); !ok {
		return 0
	}
	return f.size("sliding_window", 0)
}

// layerWindows reads layer_types, or derives them by a rule if they are missing, and sets the window of sliding layers.
func (f *fields) layerWindows(a *Architecture, window int, sliding func(layer int) bool) {
	types := f.strings("layer_types")
	if len(types) != 0 && len(types) != len(a.Layers) {
		f.fail("layer_types has %d elements, num_hidden_layers is %d", len(types), len(a.Layers))
		return
	}
	a.eachAttention(func(n int, at *Attention) {
		slides := len(types) == 0 && sliding(n)
		if len(types) != 0 {
			switch types[n] {
			case "full_attention":
			case "sliding_attention":
				slides = true
			default:
				f.fail("layer_types[%d] is %q, which is not supported (supported: full_attention, sliding_attention)", n, types[n])
			}
		}
		if slides && window == 0 {
			f.fail("layer %d has sliding attention, but there is no window: set sliding_window, or make it full_attention", n)
		}
		if slides {
			at.Window = window
		}
	})
}

// qwenWindows reads the sliding windows of Qwen 2 and 3, which most files disable.
func (f *fields) qwenWindows(a *Architecture) {
	window := f.windowOr(4096)
	if !f.boolean("use_sliding_window", false) {
		window = 0
	}
	first := f.number("max_window_layers", 28)
	f.layerWindows(a, window, func(n int) bool { return window > 0 && float64(n) >= first })
}

func qwen2Config(f *fields) model {
	f.only("use_mrope", false)
	a := decoderBlocks(f, blockDefaults{kvHeads: 32}, f.activation("hidden_act", "silu"))
	a.TiedHead = f.boolean("tie_word_embeddings", false)
	rope := rotation(f, a.Layers[0].Attention.HeadSize, a.Context)
	a.eachAttention(func(_ int, at *Attention) { at.Rope = rope })
	f.qwenWindows(&a)
	return model{architecture: a, names: llamaNames, prefix: "model.", unused: computed, biases: attentionBiases}
}

func qwen3Config(f *fields) model {
	a := decoderBlocks(f, blockDefaults{kvHeads: 32, headSize: 128}, f.activation("hidden_act", "silu"))
	a.TiedHead = f.boolean("tie_word_embeddings", false)
	rope := rotation(f, a.Layers[0].Attention.HeadSize, a.Context)
	a.eachAttention(func(_ int, at *Attention) { at.Rope, at.QKNorm = rope, HeadQKNorm })
	f.qwenWindows(&a)
	return model{
		architecture: a, names: llamaNames, prefix: "model.", unused: computed,
		biases: when(f.boolean("attention_bias", false), union(attentionBiases, outBias)),
	}
}

func gemma3Config(f *fields) model {
	a := decoderBlocks(f, blockDefaults{vocabulary: 262208, context: 131072, heads: 8, kvHeads: 4, headSize: 256}, f.activation("hidden_activation", "gelu_pytorch_tanh"))
	// Some files repeat the activation under its older name, which transformers does not read for this family.
	f.ignore("hidden_act", "_sliding_window_pattern")
	f.only("use_bidirectional_attention", false)
	a.TiedHead = f.boolean("tie_word_embeddings", true)
	a.Norm.AddOne, a.Norm.Float32Product = true, true
	a.EmbeddingScale = math.Sqrt(float64(a.Hidden))
	a.LogitSoftcap = f.softcap("final_logit_softcapping")
	scale := 1 / math.Sqrt(f.positive("query_pre_attn_scalar", 256))

	window := f.windowOr(4096)
	pattern := f.count("sliding_window_pattern", 6)
	f.layerWindows(&a, window, func(n int) bool { return (n+1)%pattern != 0 })

	headSize := a.Layers[0].Attention.HeadSize
	global := ropeSettings{theta: f.positive("rope_theta", 1e6), size: headSize}
	local := ropeSettings{theta: f.positive("rope_local_base_freq", 1e4), size: headSize}
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
	globalRope, localRope := f.scaledRope(scaling, global, a.Context), f.scaledRope(localScaling, local, a.Context)
	for n := range a.Layers {
		l := &a.Layers[n]
		l.PostNorm = true
		at := &l.Attention
		at.Scale, at.QKNorm, at.Rope = scale, HeadQKNorm, globalRope
		if at.Window > 0 {
			at.Rope = localRope
		}
	}
	names := maps.Clone(llamaNames)
	maps.Copy(names, postnormNames)
	return model{
		architecture: a, names: names, prefix: "model.", unused: computed,
		biases: when(f.boolean("attention_bias", false), union(attentionBiases, outBias)),
	}
}

// gemma3WithImages reads the configuration of a multimodal model. Without an image it computes the same as its text
// decoder.
func gemma3WithImages(f *fields) model {
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
	m.architecture.TiedHead = tied
	if err := text.finish(); err != nil && f.err == nil {
		f.err = err
	}
	m.others = []string{"language_model.model.", "model.language_model."}
	m.unused = imageTower
	return m
}

// softcap reads the bound of a soft cap; 0: none.
func (f *fields) softcap(name string) float64 {
	if _, ok := f.get(name); !ok {
		return 0
	}
	return f.positive(name, 0)
}

func olmo2Config(f *fields) model {
	a := decoderBlocks(f, blockDefaults{}, f.activation("hidden_act", "silu"))
	a.TiedHead = f.boolean("tie_word_embeddings", false)
	a.Norm.Epsilon = f.positive("rms_norm_eps", 1e-5)
	a.Norm.Float32Product = true
	rope := rotation(f, a.Layers[0].Attention.HeadSize, a.Context)
	for n := range a.Layers {
		l := &a.Layers[n]
		l.PreNorm, l.PostNorm = false, true
		l.Attention.Rope, l.Attention.QKNorm = rope, FullQKNorm
	}
	names := maps.Clone(llamaNames)
	maps.Copy(names, postnormNames)
	return model{
		architecture: a, names: names, prefix: "model.", unused: computed,
		biases: when(f.boolean("attention_bias", false), union(attentionBiases, outBias)),
	}
}

func gpt2Config(f *fields) model {
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
	a := Architecture{
		Vocabulary: f.size("vocab_size", 50257), Hidden: hidden, Context: positions, Positions: positions,
		TiedHead: f.boolean("tie_word_embeddings", true),
		Norm:     Norm{Kind: LayerNorm, Epsilon: f.positive("layer_norm_epsilon", 1e-5)},
		Layers: slices.Repeat([]Layer{{
			Attention: Attention{Heads: heads, KVHeads: heads, HeadSize: headSize, Scale: scale},
			MLP:       MLP{Width: f.size("n_inner", 4*hidden), Activation: f.activation("activation_function", "gelu_new")},
			PreNorm:   true,
		}}, f.count("n_layer", 0)),
	}
	if byLayer {
		a.eachAttention(func(n int, at *Attention) { at.Scale = scale / float64(n+1) })
	}
	return model{
		architecture: a, names: gpt2Names, prefix: "transformer.", unused: computed,
		biases: union(attentionBiases, outBias, normBiases, map[string]presence{"layers.N.mlp.up": required, "layers.N.mlp.down": required}),
		view:   conv1D,
	}
}

// conv1D is the view of GPT-2's matrices, which are stored [inputs, outputs], with q, k and v side by side.
func conv1D(name string, shape []int64) (view, []int64) {
	v := view{first: map[string]int64{"layers.N.attention.k": shape[0], "layers.N.attention.v": 2 * shape[0]}[name]}
	outputs := shape[0]
	switch name {
	case "layers.N.attention.q", "layers.N.attention.k", "layers.N.attention.v":
		outputs *= 3
	case "layers.N.attention.out", "layers.N.mlp.up", "layers.N.mlp.down":
	default:
		return v, shape
	}
	if len(shape) == 1 {
		return v, []int64{outputs}
	}
	v.transposed = true
	return v, []int64{shape[1], outputs}
}

func gptNeoXConfig(f *fields) model {
	hidden, heads := f.size("hidden_size", 0), f.count("num_attention_heads", 0)
	headSize := f.divided("hidden_size", hidden, "num_attention_heads", heads)
	context := f.size("max_position_embeddings", 0)

	theta, part := f.positive("rotary_emb_base", 10000), f.positive("rotary_pct", 0.25)
	// Some versions wrote both names.
	f.only("rope_theta", theta)
	f.only("partial_rotary_factor", part)
	parameters := f.object("rope_parameters")
	if scaling := f.object("rope_scaling"); scaling != nil {
		if parameters != nil {
			f.fail("rope_parameters and rope_scaling are mutually exclusive; keep one")
		}
		parameters = scaling
	}
	if parameters != nil {
		part = parameters.positive("partial_rotary_factor", part)
		delete(parameters.values, "partial_rotary_factor")
	}
	size := int(float64(headSize) * part)
	if part > 1 || size%2 != 0 || size == 0 {
		f.fail("%v of a head of %d elements is not an even number of them", part, headSize)
		size = 2
	}
	rope := f.scaledRope(parameters, ropeSettings{theta: theta, size: size}, context)
	biased := f.boolean("attention_bias", true)
	a := Architecture{
		Vocabulary: f.size("vocab_size", 0), Hidden: hidden, Context: context,
		TiedHead: f.boolean("tie_word_embeddings", false),
		Norm:     Norm{Kind: LayerNorm, Epsilon: f.positive("layer_norm_eps", 1e-5)},
		Layers: slices.Repeat([]Layer{{
			Attention: Attention{Heads: heads, KVHeads: heads, HeadSize: headSize, Scale: 1 / math.Sqrt(float64(headSize)), Rope: rope},
			MLP:       MLP{Width: f.size("intermediate_size", 0), Activation: f.activation("hidden_act", "gelu")},
			PreNorm:   true,
			Parallel:  f.boolean("use_parallel_residual", true),
		}}, f.count("num_hidden_layers", 0)),
	}
	return model{
		architecture: a, names: gptNeoXNames, prefix: "gpt_neox.", unused: computed,
		biases: union(when(biased, union(attentionBiases, outBias)), normBiases,
			map[string]presence{"layers.N.mlp.up": required, "layers.N.mlp.down": required}),
		view: func(name string, shape []int64) (view, []int64) {
			// Each head has its rows of q, k and v together.
			part, fused := map[string]int64{"layers.N.attention.q": 0, "layers.N.attention.k": 1, "layers.N.attention.v": 2}[name]
			if !fused {
				return view{}, shape
			}
			whole, size := slices.Clone(shape), int64(headSize)
			whole[0] *= 3
			return view{row: func(r int64) int64 { return (r/size*3+part)*size + r%size }}, whole
		},
	}
}
