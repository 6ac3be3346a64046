package family

import (
	"maps"
	"slices"
	"strings"

	"surprisal.dev/plugins/torch/graph"
)

// families lists what is supported.
var families = []definition{
	llama,
	llama4,
	llama4WithImages,
	mistral,
	phi3,
	qwen2,
	qwen3,
	gemma3,
	gemma3WithImages,
	olmo2,
	olmoe,
	qwen3MoE,
	mixtral,
	gptOSS,
	glm4MoE,
	qwen3Next,
	gpt2,
	gptNeoX,
}

// definition is a family, or one of several configurations that a family has.
type definition struct {
	// modelType is the model_type of transformers.
	modelType string
	// config reads a config.json. Defaults are those of the family's configuration class in transformers, for fields
	// that files may omit.
	config func(*fields) Model
	// architecture is the general.architecture of GGUF files, which metadata reads; it is empty if none are supported.
	architecture string
	metadata     func(*fields, Tensors) Model
}

// ModelTypes returns the supported values of a config.json's model_type, sorted.
func ModelTypes() []string { return slices.Sorted(maps.Keys(byModelType())) }

func byModelType() map[string]definition {
	all := map[string]definition{}
	for _, d := range families {
		all[d.modelType] = d
	}
	return all
}

func byArchitecture() map[string]definition {
	all := map[string]definition{}
	for _, d := range families {
		if d.architecture != "" {
			all[d.architecture] = d
		}
	}
	return all
}

// choose reads the field that names the family.
func (f *fields) choose(name string, from map[string]definition) (definition, error) {
	value := f.text(name, "")
	d, ok := from[value]
	if f.err == nil && !ok {
		f.fail("%s is %q, which is not supported (supported: %s)", name, value, strings.Join(slices.Sorted(maps.Keys(from)), ", "))
	}
	return d, f.err
}

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

// FromConfig reads the values of the config.json at a path; its numbers are of type json.Number.
func FromConfig(path string, values map[string]any) (Model, error) {
	f := newFields(path, values)
	d := gptOSSOriginal
	if !isGPTOSSOriginal(values) {
		var err error
		if d, err = f.choose("model_type", byModelType()); err != nil {
			return Model{}, err
		}
	}
	f.ignore(irrelevant...)
	f.only("is_encoder_decoder", false)
	f.only("add_cross_attention", false)
	f.only("tie_encoder_decoder", false)
	f.only("pruned_heads", map[string]any{})
	f.only("rope_interleaved", false)
	m := d.config(f)
	m.Architecture.Family = d.modelType
	return m, f.finish()
}

// FromMetadata reads the metadata of the GGUF file at a path, and some of the file's tensors.
func FromMetadata(path string, metadata map[string]any, tensors Tensors) (Model, error) {
	f := newFields(path, metadata)
	d, err := f.choose("general.architecture", byArchitecture())
	if err != nil {
		return Model{}, err
	}
	f.prefix = d.architecture + "."
	m := d.metadata(f, tensors)
	m.Architecture.Family = d.modelType
	return m, f.finish()
}

// eachAttention modifies the attention of all layers that have one.
func eachAttention(a *graph.Architecture, set func(n int, attention *graph.Attention)) {
	for n := range a.Layers {
		if attention, ok := a.Layers[n].Mixer.(graph.Attention); ok {
			set(n, &attention)
			a.Layers[n].Mixer = attention
		}
	}
}
