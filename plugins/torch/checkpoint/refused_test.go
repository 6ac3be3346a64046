package checkpoint_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/torch/checkpoint"
)

func TestRefusedConfigurations(t *testing.T) {
	scaling := func(pairs ...any) map[string]any { return with(map[string]any{}, pairs...) }
	for _, test := range []struct {
		field string
		value any
		want  string
	}{
		{"model_type", "mamba", `model_type is "mamba", which is not supported (supported: gemma3, gemma3_text, glm4_moe, gpt2, gpt_neox, gpt_oss, llama`},
		{"model_type", drop, `model_type is ""`},
		{"residual_multiplier", 0.5, "unknown field residual_multiplier (0.5), which may change the graph"},
		{"quantization_config", scaling("bits", 4), "field quantization_config"},
		{"hidden_act", "relu", `hidden_act is "relu", which is not supported (supported: gelu, gelu_accurate, gelu_fast, gelu_new`},
		{"rope_scaling", scaling("rope_type", "dynamic", "factor", 4), `rope_type is "dynamic", which is not supported (supported: default, linear, llama3, yarn, longrope)`},
		{"rope_scaling", scaling("rope_type", "longrope", "factor", 4), "short_factor has 0 numbers, not one for each of 2 pairs of rotated elements"},
		{"rope_scaling", scaling("rope_type", "yarn"), "rope_scaling: no field factor"},
		{"rope_scaling", scaling("type", "linear"), "rope_scaling: no field factor"},
		{"rope_scaling", scaling("type", "linear", "factor", 2, "mscale", 1), "unknown field mscale (1)"},
		{"rope_parameters", scaling("rope_theta", 5, "partial_rotary_factor", 0.5), "partial_rotary_factor is 0.5, which is not supported"},
		{"num_hidden_layers", 0, "num_hidden_layers is 0, not a whole number from 1"},
		{"num_hidden_layers", 1e12, "num_hidden_layers is 1000000000000, not a whole number"},
		{"hidden_size", drop, "no field hidden_size"},
		{"hidden_size", 9, `tensor "model.embed_tokens.weight" (embedding.weight) has shape [10 8], the configuration requires [10 9]`},
		{"num_key_value_heads", 3, "num_attention_heads 4 is not a multiple of num_key_value_heads 3"},
		{"head_dim", 3, "head_dim is 3, which is odd"},
		{"tie_word_embeddings", false, `no tensor "lm_head.weight" (head.weight), expected with shape [10 8]`},
		{"attention_bias", true, `no tensor "model.layers.0.self_attn.q_proj.bias" (layers.0.attention.q.bias), expected with shape [16]`},
		{"rms_norm_eps", -1, "rms_norm_eps is -1, not above 0"},
		{"vocab_size", "ten", "vocab_size is ten, not a whole number"},
	} {
		t.Run(fmt.Sprint(test.field, " ", test.value), func(t *testing.T) {
			refused(t, directory(t, map[string]any{
				"config.json": with(llamaConfig, test.field, test.value), "model.safetensors": safetensors(t, llamaTensors("model.", nil)),
			}), test.want)
		})
	}
}

func refused(t testing.TB, path, want string) {
	t.Helper()
	c, err := checkpoint.Open(path)
	if err == nil {
		t.Fatal("opened", c.Tensors())
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not say %q", err, want)
	}
	if protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("error %q is not an invalid input", err)
	}
}

func TestRefusedFiles(t *testing.T) {
	whole := safetensors(t, llamaTensors("model.", nil))
	extra := func(name string, a array) []byte {
		return safetensors(t, llamaTensors("model.", map[string]array{name: a}))
	}
	raw := func(header string, body int) []byte {
		return append(append([]byte{byte(len(header)), 0, 0, 0, 0, 0, 0, 0}, header...), make([]byte, body)...)
	}
	good := map[string]any{"config.json": llamaConfig, "model.safetensors": whole}
	listed := map[string]string{}
	for name := range llamaTensors("model.", nil) {
		listed[name] = "a.safetensors"
	}
	delete(listed, "model.norm.weight")
	for _, test := range []struct {
		name  string
		files map[string]any
		want  string
	}{
		{"nothing", map[string]any{}, "no file"},
		{"no weights", map[string]any{"config.json": llamaConfig}, "neither model.safetensors nor model.safetensors.index.json"},
		{"broken configuration", with(good, "config.json", []byte("{")), "config.json is not a JSON object"},
		{"empty", with(good, "model.safetensors", []byte{}), "is empty"},
		{"cut in the header", with(good, "model.safetensors", whole[:100]), "is truncated or not a safetensors file"},
		{"cut in the data", with(good, "model.safetensors", whole[:len(whole)-1]), `is truncated: tensor "model.norm.weight" ends at`},
		{"tensor missing", with(good, "model.safetensors", safetensors(t, map[string]array{"model.embed_tokens.weight": ramp(0, 10, 8)})), `no tensor "model.norm.weight" (norm.weight), expected with shape [8]`},
		{"tensor of another model", with(good, "model.safetensors", extra("model.layers.1.mlp.up_proj.weight", ramp(0, 12, 8))), `tensor "model.layers.1.mlp.up_proj.weight" of shape [12 8] is not part of a llama model`},
		{"bias that would be ignored", with(good, "model.safetensors", extra("model.layers.0.self_attn.q_proj.bias", ramp(0, 16))), `tensor "model.layers.0.self_attn.q_proj.bias"`},
		{"head unlike the embedding", with(good, "model.safetensors", extra("lm_head.weight", ramp(1, 10, 8))), `tensor "lm_head.weight" differs from "model.embed_tokens.weight"`},
		{"integers as weights", with(good, "model.safetensors", extra("model.norm.weight", array{shape: []int64{8}, typ: "I8", data: make([]byte, 8)})), `tensor "model.norm.weight" has type I8`},
		{"shape without its bytes", with(good, "model.safetensors", raw(`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, 8)), `tensor "a" of type F32 and shape [3] cannot have 8 bytes`},
		{"sizes that overflow", with(good, "model.safetensors", raw(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 8)), `tensor "a" of type F32`},
		{"bytes in common", with(good, "model.safetensors", raw(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}}`, 8)), `tensors "a" and "b" share bytes`},
		{"twice", with(good, "model.safetensors", raw(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}`, 8)), `duplicate tensor "a"`},
		{"index of a missing file", map[string]any{"config.json": llamaConfig,
			"model.safetensors.index.json": map[string]any{"weight_map": map[string]string{"a": "a.safetensors"}}}, "a.safetensors; check"},
		{"index out of the directory", map[string]any{"config.json": llamaConfig,
			"model.safetensors.index.json": map[string]any{"weight_map": map[string]string{"a": "../a.safetensors"}}}, `"../a.safetensors" is not a file of the directory`},
		{"index of another model", map[string]any{"config.json": llamaConfig, "a.safetensors": whole,
			"model.safetensors.index.json": map[string]any{"weight_map": map[string]string{"a": "a.safetensors"}}}, `tensor "a" is not in`},
		{"index that leaves a tensor out", map[string]any{"config.json": llamaConfig, "a.safetensors": whole,
			"model.safetensors.index.json": map[string]any{"weight_map": listed}}, `the index does not list tensor "model.norm.weight" of`},
		{"special token one past the vocabulary", with(good, "tokenizer_config.json", map[string]any{"bos_token": "<s>"},
			"tokenizer.json", map[string]any{"added_tokens": []any{map[string]any{"id": 10, "content": "<s>"}}}),
			"bos_token is 10, not the id of one of 10 tokens"},
		{"special token that is not a number", with(good, "config.json", with(llamaConfig, "bos_token_id", "a")), "bos_token_id is a, not the id of one of 10 tokens"},
	} {
		t.Run(test.name, func(t *testing.T) { refused(t, directory(t, test.files), test.want) })
	}
	refused(t, filepath.Join(t.TempDir(), "missing"), "check the model's path")
	text := filepath.Join(t.TempDir(), "a.txt")
	if err := os.WriteFile(text, []byte("text, and nothing else"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, text, `is not a GGUF file: it begins with "text"`)
}
