package checkpoint_test

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"

	"surprisal.dev/plugins/torch/graph"
)

// attention is the mixer of a layer.
func attention(l graph.Layer) graph.Attention { return l.Mixer.(graph.Attention) }

func TestGPT2(t *testing.T) {
	tensors := map[string]array{
		"wte.weight": ramp(0, 6, 4), "wpe.weight": ramp(100, 5, 4), "ln_f.weight": ramp(0, 4), "ln_f.bias": ramp(0, 4),
		"h.0.ln_1.weight": ramp(0, 4), "h.0.ln_1.bias": ramp(0, 4), "h.0.ln_2.weight": ramp(0, 4), "h.0.ln_2.bias": ramp(0, 4),
		"h.0.attn.c_attn.weight": ramp(0, 4, 12), "h.0.attn.c_attn.bias": ramp(0, 12), "h.0.attn.bias": {shape: []int64{1, 1, 5, 5}, typ: "U8", data: make([]byte, 25)},
		"h.0.attn.c_proj.weight": ramp(0, 4, 4), "h.0.attn.c_proj.bias": ramp(0, 4),
		"h.0.mlp.c_fc.weight": ramp(0, 4, 16), "h.0.mlp.c_fc.bias": ramp(0, 16), "h.0.mlp.c_proj.weight": ramp(0, 16, 4), "h.0.mlp.c_proj.bias": ramp(0, 4),
	}
	config := map[string]any{"model_type": "gpt2", "vocab_size": 6, "n_positions": 5, "n_ctx": 5, "n_embd": 4, "n_layer": 1, "n_head": 2, "n_inner": nil}
	c := open(t, directory(t, map[string]any{"config.json": config, "model.safetensors": safetensors(t, tensors)}))
	for i, name := range []string{"q", "k", "v"} {
		equal(t, name, values(t, c, "layers.0.attention."+name+".weight"), matrix(4, 4, func(r, c int) int { return 12*c + 4*i + r }))
		equal(t, name, values(t, c, "layers.0.attention."+name+".bias"), matrix(1, 4, func(_, c int) int { return 4*i + c }))
	}
	equal(t, "up", values(t, c, "layers.0.mlp.up.weight"), matrix(16, 4, func(r, c int) int { return 16*c + r }))
	k, err := c.Tensor("layers.0.attention.k.bias")
	if err != nil {
		t.Fatal(err)
	}
	if raw, ok := k.Raw(graph.Span{To: k.Shape[0]}); !ok || math.Float32frombits(uint32(raw[0])|uint32(raw[1])<<8|uint32(raw[2])<<16|uint32(raw[3])<<24) != 4 {
		t.Errorf("k.bias is stored as %v, %v", raw, ok)
	}
	a := c.Architecture()
	equal(t, "layer", a.Layers[0], graph.Layer{
		Mixer: graph.Attention{Heads: 2, KVHeads: 2, HeadSize: 2, Scale: 1 / math.Sqrt(2)},
		FFN:   graph.Dense{Width: 16, Activation: graph.GELUTanh}, PreNorm: true,
	})
	equal(t, "positions", fmt.Sprint(a.Positions, a.TiedHead, a.Norm.Kind == graph.LayerNorm), "5 true true")
}

func TestGPTNeoX(t *testing.T) {
	tensors := map[string]array{"embed_out.weight": ramp(0, 6, 8), "gpt_neox.embed_in.weight": ramp(0, 6, 8)}
	for _, norm := range []string{"final_layer_norm", "layers.0.input_layernorm", "layers.0.post_attention_layernorm"} {
		tensors["gpt_neox."+norm+".weight"], tensors["gpt_neox."+norm+".bias"] = ramp(0, 8), ramp(0, 8)
	}
	for name, size := range map[string][2]int64{
		"attention.query_key_value": {24, 8}, "attention.dense": {8, 8}, "mlp.dense_h_to_4h": {32, 8}, "mlp.dense_4h_to_h": {8, 32},
	} {
		tensors["gpt_neox.layers.0."+name+".weight"], tensors["gpt_neox.layers.0."+name+".bias"] = ramp(0, size[0], size[1]), ramp(0, size[0])
	}
	config := map[string]any{
		"model_type": "gpt_neox", "vocab_size": 6, "hidden_size": 8, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
		"max_position_embeddings": 16, "rotary_pct": 0.5, "rotary_emb_base": 10000, "use_parallel_residual": true, "hidden_act": "gelu",
	}
	c := open(t, directory(t, map[string]any{"config.json": config, "model.safetensors": safetensors(t, tensors)}))
	for i, name := range []string{"q", "k", "v"} {
		row := func(r int) int { return r/4*12 + i*4 + r%4 }
		equal(t, name, values(t, c, "layers.0.attention."+name+".weight"), matrix(8, 8, func(r, c int) int { return 8*row(r) + c }))
		equal(t, name, values(t, c, "layers.0.attention."+name+".bias"), matrix(8, 1, func(r, _ int) int { return row(r) }))
	}
	l := c.Architecture().Layers[0]
	equal(t, "MLP", l.FFN, graph.FFN(graph.Dense{Width: 32, Activation: graph.GELU}))
	equal(t, "layer", fmt.Sprint(l.Parallel, attention(l).Rope.Size), "true 2")
}

// gemmaTensors lists the tensors that Gemma 3 and OLMo 2 add to Llama's.
func gemmaTensors() map[string]array {
	more := map[string]array{}
	for _, name := range []string{"pre_feedforward_layernorm", "post_feedforward_layernorm"} {
		more["model.layers.0."+name+".weight"] = ramp(0, 8)
	}
	more["model.layers.0.self_attn.q_norm.weight"], more["model.layers.0.self_attn.k_norm.weight"] = ramp(0, 4), ramp(0, 4)
	return llamaTensors("model.", more)
}

// TestGraphs checks the meaning of configuration fields.
func TestGraphs(t *testing.T) {
	layers := func(n int, tensors map[string]array) map[string]array {
		all := maps.Clone(tensors)
		for name, a := range tensors {
			for i := 1; i < n; i++ {
				all[strings.Replace(name, "layers.0.", fmt.Sprintf("layers.%d.", i), 1)] = a
			}
		}
		return all
	}
	gemma := with(llamaConfig, "model_type", "gemma3_text", "num_hidden_layers", 3, "sliding_window", 32, "query_pre_attn_scalar", 16,
		"hidden_activation", "gelu_pytorch_tanh", "hidden_act", drop, "mlp_bias", drop, "rope_theta", drop)
	qwen := with(llamaConfig, "model_type", "qwen2", "attention_bias", drop, "mlp_bias", drop, "num_hidden_layers", 2)
	biases := map[string]array{"model.layers.0.self_attn.q_proj.bias": ramp(0, 16), "model.layers.0.self_attn.k_proj.bias": ramp(0, 8), "model.layers.0.self_attn.v_proj.bias": ramp(0, 8)}
	qkNorms := map[string]array{"model.layers.0.self_attn.q_norm.weight": ramp(0, 4), "model.layers.0.self_attn.k_norm.weight": ramp(0, 4)}
	olmoTensors := gemmaTensors()
	delete(olmoTensors, "model.layers.0.input_layernorm.weight")
	delete(olmoTensors, "model.layers.0.pre_feedforward_layernorm.weight")
	olmoTensors["model.layers.0.self_attn.q_norm.weight"], olmoTensors["model.layers.0.self_attn.k_norm.weight"] = ramp(0, 16), ramp(0, 8)

	windows := func(a graph.Architecture) string {
		var list []int
		for _, l := range a.Layers {
			list = append(list, attention(l).Window)
		}
		return fmt.Sprint("windows ", list)
	}
	frequencies := func(a graph.Architecture) string {
		var list []float32
		for _, l := range a.Layers {
			list = append(list, attention(l).Rope.InverseFrequencies[1])
		}
		return fmt.Sprint("second frequencies ", list)
	}
	for _, test := range []struct {
		name    string
		config  map[string]any
		tensors map[string]array
		say     func(graph.Architecture) string
		want    string
	}{
		{"gemma: new style, layer types", with(gemma, "layer_types", []string{"sliding_attention", "full_attention", "sliding_attention"},
			"rope_parameters", map[string]any{
				"full_attention":    map[string]any{"rope_type": "linear", "rope_theta": 1e6, "factor": 8},
				"sliding_attention": map[string]any{"rope_type": "default", "rope_theta": 1e4}}),
			layers(3, gemmaTensors()),
			func(a graph.Architecture) string { return windows(a) + ", " + frequencies(a) },
			"windows [32 0 32], second frequencies [0.01 0.000125 0.01]"},
		{"gemma: old style, pattern", with(gemma, "sliding_window_pattern", 3, "rope_theta", 1e6, "rope_local_base_freq", 1e4,
			"rope_scaling", map[string]any{"rope_type": "linear", "factor": 8.0}),
			layers(3, gemmaTensors()),
			func(a graph.Architecture) string { return windows(a) + ", " + frequencies(a) },
			"windows [32 32 0], second frequencies [0.01 0.01 0.000125]"},
		{"gemma: norms, scales", gemma, layers(3, gemmaTensors()),
			func(a graph.Architecture) string {
				l := a.Layers[2]
				return fmt.Sprint(a.Norm.AddOne, l.PreNorm, l.PostNorm, attention(l).Scale, a.EmbeddingScale*a.EmbeddingScale > 7.999)
			},
			"true true true 0.25 true"},
		{"olmo 2: norms after", with(llamaConfig, "model_type", "olmo2", "mlp_bias", drop), olmoTensors,
			func(a graph.Architecture) string {
				l := a.Layers[0]
				return fmt.Sprint(l.PreNorm, l.PostNorm, attention(l).QKNorm == graph.FullQKNorm)
			},
			"false true true"},
		{"qwen 2: window off", with(qwen, "sliding_window", 16, "use_sliding_window", false, "max_window_layers", 1),
			layers(2, llamaTensors("model.", biases)), windows, "windows [0 0]"},
		{"qwen 2: window from a layer on", with(qwen, "sliding_window", 16, "use_sliding_window", true, "max_window_layers", 1),
			layers(2, llamaTensors("model.", biases)), windows, "windows [0 16]"},
		{"qwen 3: norms of heads", with(llamaConfig, "model_type", "qwen3", "mlp_bias", drop), llamaTensors("model.", qkNorms),
			func(a graph.Architecture) string {
				return fmt.Sprint(attention(a.Layers[0]).QKNorm == graph.HeadQKNorm)
			}, "true"},
		{"mistral: window", with(llamaConfig, "model_type", "mistral", "attention_bias", drop, "mlp_bias", drop, "sliding_window", 16),
			llamaTensors("model.", nil), windows, "windows [16]"},
		{"mistral: null means no window", with(llamaConfig, "model_type", "mistral", "attention_bias", drop, "mlp_bias", drop, "sliding_window", nil),
			llamaTensors("model.", nil), windows, "windows [0]"},
		{"llama: rope_parameters", with(llamaConfig, "rope_theta", drop, "rope_scaling", drop, "torch_dtype", drop, "dtype", "bfloat16",
			"rope_parameters", map[string]any{"rope_type": "default", "rope_theta": 1e6}), llamaTensors("model.", nil), frequencies, "second frequencies [0.001]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := open(t, directory(t, map[string]any{"config.json": test.config, "model.safetensors": safetensors(t, test.tensors)}))
			equal(t, "says", test.say(c.Architecture()), test.want)
		})
	}
}

// Figures of torch 2.11.0 for transformers' formula, theta 10000, 16 elements, factor 8, low 1, high 4, context 64.
func TestLlama3Frequencies(t *testing.T) {
	tensors := llamaTensors("model.", map[string]array{
		"model.layers.0.self_attn.q_proj.weight": ramp(0, 64, 8), "model.layers.0.self_attn.k_proj.weight": ramp(0, 32, 8),
		"model.layers.0.self_attn.v_proj.weight": ramp(0, 32, 8), "model.layers.0.self_attn.o_proj.weight": ramp(0, 8, 64),
	})
	config := with(llamaConfig, "head_dim", 16, "rope_scaling", map[string]any{
		"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64})
	c := open(t, directory(t, map[string]any{"config.json": config, "model.safetensors": safetensors(t, tensors)}))
	var got []string
	for _, x := range attention(c.Architecture().Layers[0]).Rope.InverseFrequencies {
		got = append(got, fmt.Sprintf("%08x", math.Float32bits(x)))
	}
	equal(t, "bits", strings.Join(got, " "), "3f800000 3e7a3ff4 3c55af30 3b8186e3 3aa3d70a 39cf3e38 3903126f 3825cb60")
}
