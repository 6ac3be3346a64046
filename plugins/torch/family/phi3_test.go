package family_test

import (
	"encoding/json"
	"strings"
	"testing"

	"surprisal.dev/plugins/torch/family"
	"surprisal.dev/plugins/torch/graph"
)

// phi3Mini is the configuration of Phi-3 mini with a context of 4,096 tokens, as published.
const phi3Mini = `{
	"_name_or_path": "Phi-3-mini-4k-instruct", "architectures": ["Phi3ForCausalLM"], "attention_dropout": 0.0,
	"auto_map": {"AutoConfig": "configuration_phi3.Phi3Config", "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"},
	"bos_token_id": 1, "embd_pdrop": 0.0, "eos_token_id": 32000, "hidden_act": "silu", "hidden_size": 3072, "initializer_range": 0.02,
	"intermediate_size": 8192, "max_position_embeddings": 4096, "model_type": "phi3", "num_attention_heads": 32, "num_hidden_layers": 32,
	"num_key_value_heads": 32, "original_max_position_embeddings": 4096, "pad_token_id": 32000, "resid_pdrop": 0.0, "rms_norm_eps": 1e-05,
	"rope_scaling": null, "rope_theta": 10000.0, "sliding_window": 2047, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
	"transformers_version": "4.40.2", "use_cache": true, "attention_bias": false, "vocab_size": 32064
}`

func TestPhi3(t *testing.T) {
	at := parse(t, "Phi-3 mini", phi3Mini).Architecture.Layers[31].Mixer.(graph.Attention)
	if at.KVHeads != 32 || at.HeadSize != 96 || at.Window != 2047 || at.Rope.Size != 96 {
		t.Errorf("%d key-value heads of %d, a window of %d, %d rotated elements", at.KVHeads, at.HeadSize, at.Window, at.Rope.Size)
	}
	for _, test := range []struct{ was, is, want string }{
		{`"rope_scaling": null`, `"rope_scaling": {"type": "longrope", "short_factor": [1], "long_factor": [1]}`, `short_factor has 1 numbers, not one for each of 48 pairs`},
		{`"rope_scaling": null`, `"partial_rotary_factor": 0.0625, "rope_scaling": {"type": "su", "short_factor": [1, 1, 1], "long_factor": [1, 0, 1]}`, `long_factor[1] is 0, not a number above 0`},
		{`"rope_scaling": null`, `"partial_rotary_factor": 0.0625, "rope_scaling": {"type": "longrope", "short_factor": [1, 1, 1], "long_factor": [1, 1, 1], "short_mscale": 1}`, `unknown field short_mscale (1)`},
		{`"vocab_size"`, `"full_attn_mod": 2, "vocab_size"`, `full_attn_mod is 2, which is not supported`},
		{`"rope_scaling": null`, `"rope_parameters": {"rope_type": "linear", "factor": 2}`, `rope_type is linear, which is not supported`},
		{`"rope_scaling": null`, `"partial_rotary_factor": 0.35`, `0.35 of a head of 96 elements`},
		{`"vocab_size"`, `"lm_head_bias": true, "vocab_size"`, `lm_head_bias is true, which is not supported`},
	} {
		var values map[string]any
		d := json.NewDecoder(strings.NewReader(strings.Replace(phi3Mini, test.was, test.is, 1)))
		d.UseNumber()
		if err := d.Decode(&values); err != nil {
			t.Fatal(err)
		}
		if _, err := family.FromConfig("config.json", values); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v does not say %q", test.is, err, test.want)
		}
	}
}
