package checkpoint_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"surprisal.dev/plugins/torch/checkpoint"
	"surprisal.dev/plugins/torch/graph"
)

// mixtralConfig and mixtralTensors are a model with 3 experts of width 6, of which a token uses 2.
func mixtralConfig(pairs ...any) map[string]any {
	return with(with(llamaConfig, "model_type", "mixtral", "num_local_experts", 3, "num_experts_per_tok", 2, "intermediate_size", 6,
		"attention_bias", drop, "mlp_bias", drop), pairs...)
}

func mixtralTensors(more map[string]array) map[string]array {
	tensors := llamaTensors("model.", nil)
	for _, name := range []string{"gate", "up", "down"} {
		delete(tensors, "model.layers.0.mlp."+name+"_proj.weight")
	}
	const prefix = "model.layers.0.block_sparse_moe."
	tensors[prefix+"gate.weight"] = ramp(0, 3, 8)
	for i := range 3 {
		expert := fmt.Sprintf("%sexperts.%d.", prefix, i)
		tensors[expert+"w1.weight"], tensors[expert+"w3.weight"], tensors[expert+"w2.weight"] = ramp(100*i, 6, 8), ramp(1000+100*i, 6, 8), ramp(5000+100*i, 8, 6)
	}
	for name, a := range more {
		tensors[name] = a
	}
	return tensors
}

// TestNumberedExperts reads the matrices of experts, which are a stored tensor each.
func TestNumberedExperts(t *testing.T) {
	c := open(t, directory(t, map[string]any{"config.json": mixtralConfig(), "model.safetensors": safetensors(t, mixtralTensors(nil))}))
	equal(t, "gate", elements(t, c, "layers.0.experts.gate.weight"), matrix(18, 8, func(r, c int) int { return r/6*100 + r%6*8 + c }))
	equal(t, "down", elements(t, c, "layers.0.experts.down.weight"), matrix(24, 6, func(r, c int) int { return 5000 + r/8*100 + r%8*6 + c }))
	equal(t, "parameters", c.Parameters(), int64(80+8+16+128+64+64+128+3*8+3*3*48))
	equal(t, "active parameters", c.ActiveParameters(), c.Parameters()-3*48)
}

// TestActiveParameters compares the parameters of the tiny models with those that a token uses. In a dense model these are
// all. Biases of experts count too.
func TestActiveParameters(t *testing.T) {
	const golden = "../../../testdata/torch/golden/"
	dirs, err := filepath.Glob(golden + "*")
	if err != nil || len(dirs) < 20 {
		t.Fatalf("%d models, %v", len(dirs), err)
	}
	sparse := 0
	for _, dir := range dirs {
		c := open(t, dir)
		var unused int64
		for n, l := range c.Architecture().Layers {
			x, ok := l.FFN.(graph.Experts)
			if !ok {
				continue
			}
			for _, name := range c.Tensors() {
				if strings.HasPrefix(name, fmt.Sprintf("layers.%d.experts.", n)) && !strings.Contains(name, "router") && !strings.Contains(name, "correction") {
					unused += int64(len(elements(t, c, name))) / int64(x.Count) * int64(x.Count-x.Active)
				}
			}
		}
		if unused > 0 {
			sparse++
		}
		equal(t, filepath.Base(dir), c.ActiveParameters(), c.Parameters()-unused)
	}
	if sparse < 8 {
		t.Errorf("%d models have experts that a token does not use", sparse)
	}
}

// elements returns all elements of a tensor.
func elements(t *testing.T, c *checkpoint.Checkpoint, name string) []float32 {
	t.Helper()
	x, err := c.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]float32, x.Elements())
	if err := x.Float32(all); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestRefusedExperts checks that experts that do not fit their configuration are rejected by name.
func TestRefusedExperts(t *testing.T) {
	const first = "model.layers.0.block_sparse_moe.experts.0.w1.weight"
	for _, test := range []struct {
		name    string
		config  map[string]any
		tensors map[string]array
		want    string
	}{
		{"a router with more experts", mixtralConfig(), map[string]array{"model.layers.0.block_sparse_moe.gate.weight": ramp(0, 4, 8)},
			`"model.layers.0.block_sparse_moe.gate.weight" (layers.0.experts.router.weight) has shape [4 8], the configuration requires [3 8]`},
		{"fewer experts than configured", mixtralConfig("num_local_experts", 4), map[string]array{"model.layers.0.block_sparse_moe.gate.weight": ramp(0, 4, 8)},
			`no tensor "model.layers.0.block_sparse_moe.experts.3.w1.weight" (layers.0.experts.gate.weight), expected with shape [6 8]: the configuration has 4 experts`},
		{"more experts than configured", mixtralConfig("num_local_experts", 2), map[string]array{"model.layers.0.block_sparse_moe.gate.weight": ramp(0, 2, 8)},
			`tensor "model.layers.0.block_sparse_moe.experts.2.w1.weight" of shape [6 8] is not part of a mixtral model`},
		{"an expert of another width", mixtralConfig(), map[string]array{first: ramp(0, 7, 8)}, `has shape [7 8], the configuration requires [6 8]`},
		{"an expert of another type", mixtralConfig(), map[string]array{first: {shape: []int64{6, 8}, typ: "F16", data: make([]byte, 96)}},
			`has type F32, and "` + first + `" has type F16; all experts of a layer must have one`},
		{"more active experts than there are", mixtralConfig("num_experts_per_tok", 4), nil, "num_experts_per_tok is 4, but num_local_experts is 3"},
		{"no active experts", mixtralConfig("num_experts_per_tok", 0), nil, "num_experts_per_tok is 0, not a whole number"},
		{"an unknown field", mixtralConfig("num_shared_experts", 1), nil, "unknown field num_shared_experts (1), which may change the graph"},
		{"a bound of queries and keys", with(mixtralConfig(), "model_type", "olmoe", "num_local_experts", drop, "num_experts", 3, "clip_qkv", 8), nil,
			"clip_qkv is 8, which is not supported"},
	} {
		t.Run(test.name, func(t *testing.T) {
			refused(t, directory(t, map[string]any{"config.json": test.config, "model.safetensors": safetensors(t, mixtralTensors(test.tensors))}), test.want)
		})
	}
}
