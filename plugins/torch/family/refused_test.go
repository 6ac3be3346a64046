package family_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"surprisal.dev/plugins/torch/family"
)

// TestRefusedFields changes fields of the configurations of mixtures of experts and hybrids to values that would change
// the graph, and to values that contradict each other.
func TestRefusedFields(t *testing.T) {
	for _, test := range []struct{ model, fields, want string }{
		{"mixtral", `"num_experts_per_tok": 9`, "num_experts_per_tok is 9, but num_local_experts is 8: a token cannot use more experts than there are"},
		{"mixtral", `"shared_experts": 1`, "unknown field shared_experts (1), which may change the graph"},
		{"olmoe", `"clip_qkv": 8.0`, "clip_qkv is 8.0, which is not supported"},
		{"qwen3_moe", `"num_experts": 16`, "num_local_experts is 8, which is not supported (supported: [16])"},
		{"qwen3_moe", `"mlp_only_layers": [0.5]`, "mlp_only_layers[0] is 0.5, not a whole number"},
		{"gpt_oss", `"quantization_config": {"quant_method": "gptq"}`, "quant_method is gptq, which is not supported (supported: [mxfp4])"},
		{"gpt_oss", `"quantization_config": {"quant_method": "mxfp4", "group": 16}`, "unknown field group (16)"},
		{"gpt_oss", `"layer_types": ["sliding_attention"]`, "layer_types has 1 elements, num_hidden_layers is 2"},
		{"gpt_oss", `"swiglu_limit": 0`, "swiglu_limit is 0, not above 0"},
		{"gpt_oss", `"rope_parameters": {"rope_type": "yarn", "factor": 4, "beta_middle": 2}`, "unknown field beta_middle (2)"},
		{"glm4_moe", `"n_group": 4`, "n_group is 4, which is not supported (supported: [1])"},
		{"glm4_moe", `"first_k_dense_replace": -1`, "first_k_dense_replace is -1, not a whole number from 0"},
		{"glm4_moe", `"scoring_func": "softmax"`, "unknown field scoring_func (softmax)"},
		{"qwen3_next", `"linear_num_value_heads": 6`, "linear_num_value_heads 6 is not a multiple of linear_num_key_heads 4"},
		{"qwen3_next", `"layer_types": ["mamba", "full_attention"]`, `layer_types[0] is "mamba", which is not supported (supported: full_attention, linear_attention)`},
		{"qwen3_next", `"hidden_act": "gelu"`, "hidden_act is gelu, which is not supported"},
		{"llama4", `"num_experts_per_tok": 2`, "num_experts_per_tok is 2, which is not supported (supported: [1])"},
		{"llama4", `"num_local_experts": 0`, "num_local_experts is 0, not a whole number from 1"},
		{"llama4", `"no_rope_layers": [1, 0]`, "no_rope_layers has 2 elements, num_hidden_layers is 3"},
		{"llama4", `"no_rope_layers": [1, 2, 0]`, "no_rope_layers[1] is 2, not 0 or 1"},
		{"llama4", `"moe_layers": [3]`, "moe_layers has 3, but num_hidden_layers is 3"},
		{"llama4", `"layer_types": ["chunked_attention", "sliding_attention", "full_attention"]`, `layer_types[1] is "sliding_attention", which is not supported`},
		{"llama4", `"attention_chunk_size": 0`, "attention_chunk_size is 0, not a whole number from 1"},
		{"llama4", `"attn_temperature_tuning": "yes"`, "attn_temperature_tuning is yes, not true or false"},
		{"llama4", `"for_llm_compressor": true`, "for_llm_compressor is true, which is not supported"},
		{"llama4", `"attention_sinks": true`, "unknown field attention_sinks (true), which may change the graph"},
		{"phi3-longrope", `"rope_parameters": {"rope_type": "longrope", "short_factor": [1], "long_factor": [1]}`, "short_factor has 1 numbers, not one for each of 8 pairs"},
	} {
		t.Run(test.model+" "+test.fields, func(t *testing.T) {
			data, err := os.ReadFile("../../../testdata/torch/golden/" + test.model + "/config.json")
			if err != nil {
				t.Fatal(err)
			}
			values := map[string]any{}
			for _, text := range []string{string(data), "{" + test.fields + "}"} {
				d := json.NewDecoder(strings.NewReader(text))
				d.UseNumber()
				if err := d.Decode(&values); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := family.FromConfig("config.json", values); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v does not say %q", err, test.want)
			}
		})
	}
}
