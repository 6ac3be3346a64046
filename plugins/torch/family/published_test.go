package family_test

import (
	"testing"

	"surprisal.dev/plugins/torch/graph"
)

// TestPublishedConfigurations reads configurations with the fields of published models, from any writer.
func TestPublishedConfigurations(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		// heads, keys, size and windowed layers of attention.
		heads, keys, size, windowed int
		activation                  graph.Activation
	}{
		"GPT-2 medium": {`{
			"activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1, "bos_token_id": 50256, "embd_pdrop": 0.1,
			"eos_token_id": 50256, "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024, "n_embd": 1024,
			"n_head": 16, "n_layer": 24, "n_positions": 1024, "n_special": 0, "predict_special_tokens": true, "resid_pdrop": 0.1,
			"summary_activation": null, "summary_first_dropout": 0.1, "summary_proj_to_labels": true, "summary_type": "cls_index",
			"summary_use_proj": true, "task_specific_params": {"text-generation": {"do_sample": true, "max_length": 50}}, "vocab_size": 50257,
			"output_past": true, "_num_labels": 1
		}`, 16, 16, 64, 0, graph.GELUTanh},
		"GPT-NeoX 20B": {`{
			"architectures": ["GPTNeoXForCausalLM"], "attention_probs_dropout_prob": 0, "bos_token_id": 0, "eos_token_id": 0, "hidden_act": "gelu_fast",
			"hidden_dropout_prob": 0, "hidden_size": 6144, "initializer_range": 0.02, "intermediate_size": 24576, "layer_norm_eps": 1e-05,
			"max_position_embeddings": 2048, "model_type": "gpt_neox", "num_attention_heads": 64, "num_hidden_layers": 44, "rotary_emb_base": 10000,
			"rotary_pct": 0.25, "tie_word_embeddings": false, "torch_dtype": "float16", "use_cache": true, "vocab_size": 50432
		}`, 64, 64, 96, 0, graph.GELUTanh},
		"Qwen2.5 0.5B": {`{
			"architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151643, "hidden_act": "silu",
			"hidden_size": 896, "initializer_range": 0.02, "intermediate_size": 4864, "max_position_embeddings": 32768, "max_window_layers": 24,
			"model_type": "qwen2", "num_attention_heads": 14, "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-06,
			"rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": true, "torch_dtype": "bfloat16", "use_cache": true,
			"use_mrope": false, "use_sliding_window": false, "vocab_size": 151936
		}`, 14, 2, 64, 0, graph.SiLU},
		"Qwen2 that slides and does not say how far": {`{
			"model_type": "qwen2", "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 128, "max_position_embeddings": 8192,
			"num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 4, "max_window_layers": 1, "use_sliding_window": true,
			"vocab_size": 100
		}`, 4, 2, 16, 3, graph.SiLU},
		"Mistral 7B, with what is the default left out": {`{
			"architectures": ["MistralForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 4096,
			"initializer_range": 0.02, "intermediate_size": 14336, "max_position_embeddings": 32768, "model_type": "mistral",
			"num_attention_heads": 32, "num_hidden_layers": 32, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "sliding_window": 4096,
			"tie_word_embeddings": false, "torch_dtype": "bfloat16", "use_cache": true, "vocab_size": 32000
		}`, 32, 8, 128, 32, graph.SiLU},
		"Llama 3.2 1B, uploaded again": {`{
			"architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 128000,
			"eos_token_id": [128001, 128008, 128009], "head_dim": 64, "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02,
			"intermediate_size": 8192, "max_position_embeddings": 131072, "mlp_bias": false, "model_type": "llama", "num_attention_heads": 32,
			"num_hidden_layers": 16, "num_key_value_heads": 8, "pad_token_id": 128004, "pretraining_tp": 1, "rms_norm_eps": 1e-05,
			"rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
			"rope_type": "llama3"}, "rope_theta": 500000.0, "tie_word_embeddings": true, "torch_dtype": "bfloat16", "transformers_version": "4.46.0",
			"unsloth_fixed": true, "use_cache": true, "vocab_size": 128256
		}`, 32, 8, 64, 0, graph.SiLU},
		"Llama 7B": {`{
			"architectures": ["LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 4096,
			"initializer_range": 0.02, "intermediate_size": 11008, "max_position_embeddings": 2048, "max_sequence_length": 2048,
			"model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32, "pad_token_id": 0, "rms_norm_eps": 1e-06,
			"tie_word_embeddings": false, "torch_dtype": "float16", "use_cache": true, "vocab_size": 32000
		}`, 32, 32, 128, 0, graph.SiLU},
		"Gemma 3 4B": {`{
			"architectures": ["Gemma3ForConditionalGeneration"], "boi_token_index": 255999, "eoi_token_index": 256000, "eos_token_id": [1, 106],
			"image_token_index": 262144, "initializer_range": 0.02, "mm_tokens_per_image": 256, "model_type": "gemma3",
			"text_config": {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34,
			"rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024},
			"torch_dtype": "bfloat16", "vision_config": {"hidden_size": 1152, "model_type": "siglip_vision_model"}
		}`, 8, 4, 256, 29, graph.GELUTanh},
	} {
		t.Run(name, func(t *testing.T) {
			m := parse(t, name, test.text)
			windowed := 0
			for _, l := range m.Architecture.Layers {
				if l.Mixer.(graph.Attention).Window > 0 {
					windowed++
				}
			}
			l := m.Architecture.Layers[0]
			at, ffn := l.Mixer.(graph.Attention), l.FFN.(graph.Dense)
			if at.Heads != test.heads || at.KVHeads != test.keys || at.HeadSize != test.size || windowed != test.windowed || ffn.Activation != test.activation {
				t.Errorf("%d heads, %d key-value heads of %d, %d layers with windows, activation %v", at.Heads, at.KVHeads, at.HeadSize, windowed, ffn.Activation)
			}
		})
	}
}
