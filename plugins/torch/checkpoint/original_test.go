package checkpoint_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"surprisal.dev/plugins/torch/checkpoint"
)

const published = "../../../testdata/torch/golden/gpt_oss-mxfp4"

// originalFiles are the files of gpt-oss as OpenAI published it, of the weights of the published hub layout.
func originalFiles(t *testing.T) map[string]any {
	t.Helper()
	files := map[string]any{}
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join("../../../testdata/torch/original/gpt_oss", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = data
	}
	return files
}

// originalConfig is the original configuration with other fields.
func originalConfig(t *testing.T, pairs ...any) map[string]any {
	t.Helper()
	var config map[string]any
	if err := json.Unmarshal(originalFiles(t)["config.json"].([]byte), &config); err != nil {
		t.Fatal(err)
	}
	return with(config, pairs...)
}

// TestOriginalLayout reads gpt-oss in the layout in which it was published, to the same graph and the same bits as in the
// layout of transformers.
func TestOriginalLayout(t *testing.T) {
	hub := open(t, published)
	same := func(t *testing.T, original *checkpoint.Checkpoint) {
		t.Helper()
		if got, want := original.Architecture(), hub.Architecture(); !reflect.DeepEqual(got, want) {
			t.Errorf("the graph is %+v, want %+v", got, want)
		}
		if got, want := original.Tensors(), hub.Tensors(); !slices.Equal(got, want) {
			t.Fatalf("the tensors are %v, want %v", got, want)
		}
		for _, name := range hub.Tensors() {
			got, want := elements(t, original, name), elements(t, hub, name)
			if !slices.EqualFunc(got, want, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) }) {
				t.Errorf("%s differs", name)
			}
		}
	}
	files := originalFiles(t)
	same(t, open(t, directory(t, files)))
	// The larger model has shards.
	sharded := map[string]any{"config.json": files["config.json"], "model--00001-of-00001.safetensors": files["model.safetensors"]}
	same(t, open(t, directory(t, sharded)))
}

func TestRefusedOriginal(t *testing.T) {
	weights := originalFiles(t)["model.safetensors"]
	for _, test := range []struct {
		name   string
		config map[string]any
		want   string
	}{
		{"an unknown field", originalConfig(t, "qk_norm", true), "unknown field qk_norm (true), which may change the graph"},
		{"more active experts than there are", originalConfig(t, "experts_per_token", 9), "experts_per_token is 9, but num_experts is 8: a token cannot use more experts"},
		{"a router with more experts", originalConfig(t, "num_experts", 7), `"block.0.mlp.gate.weight" (layers.0.experts.router.weight) has shape [8 64], the configuration requires [7 64]`},
		{"another width", originalConfig(t, "intermediate_size", 64), `tensor "block.0.mlp.mlp1_weight" (layers.0.experts.gate.weight) has shape [8 64 64], the configuration requires [8 128 64]`},
		{"other heads", originalConfig(t, "num_key_value_heads", 4), `tensor "block.0.attn.qkv.weight" (layers.0.attention.q.weight) has shape [128 64], the configuration requires [192 64]`},
		{"no layers", originalConfig(t, "num_hidden_layers", drop), "no field num_hidden_layers"},
		{"no factor", originalConfig(t, "rope_scaling_factor", 0), "rope_scaling_factor is 0, not above 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			refused(t, directory(t, map[string]any{"config.json": test.config, "model.safetensors": weights}), test.want)
		})
	}
	files := originalFiles(t)
	for name, want := range map[string]string{
		"model--00002-of-00002.safetensors": "but not number 00001; download the files again",
		"model--00001-of-00002.safetensors": "has 1 shards of 00002; download the files again",
	} {
		refused(t, directory(t, map[string]any{"config.json": files["config.json"], name: weights}), want)
	}
}
