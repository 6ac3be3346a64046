package checkpoint_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/digests"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/torch/checkpoint"
	"surprisal.dev/plugins/torch/graph"
)

func open(t testing.TB, path string) *checkpoint.Checkpoint {
	t.Helper()
	c, err := checkpoint.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func values(t testing.TB, c *checkpoint.Checkpoint, name string) []float32 {
	t.Helper()
	tensor, err := c.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]float32, tensor.Elements())
	if err := tensor.Float32(all); err != nil {
		t.Fatal(err)
	}
	// Any range of rows equals the rows of the whole.
	for _, rows := range [][2]int64{{0, 1}, {1, tensor.Shape[0]}, {tensor.Shape[0] / 2, tensor.Shape[0]}} {
		width := tensor.Elements() / tensor.Shape[0]
		part := make([]float32, (rows[1]-rows[0])*width)
		if err := tensor.Rows(part, rows[0], rows[1]); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(part, all[rows[0]*width:rows[1]*width]) {
			t.Errorf("%s: rows %v differ from those of the whole tensor", name, rows)
		}
	}
	return all
}

// matrix consists of elements computed from row and column.
func matrix(rows, columns int, at func(r, c int) int) []float32 {
	var m []float32
	for r := range rows {
		for c := range columns {
			m = append(m, float32(at(r, c)))
		}
	}
	return m
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// attention is the mixer of a layer.
func attention(l graph.Layer) graph.Attention { return l.Mixer.(graph.Attention) }

func TestLlama(t *testing.T) {
	weights := safetensors(t, llamaTensors("model.", nil))
	dir := directory(t, map[string]any{
		"config.json": llamaConfig, "model.safetensors": weights,
		"tokenizer.json": map[string]any{"added_tokens": []any{map[string]any{"id": 7, "content": "<s>"}}},
	})
	c := open(t, dir)
	a := c.Architecture()
	rope := &graph.Rope{Size: 4, InverseFrequencies: []float32{1, 0.01}, Factor: 1}
	equal(t, "architecture", a, graph.Architecture{
		Family: "llama", Vocabulary: 10, Hidden: 8, Context: 64, TiedHead: true,
		Norm: graph.Norm{Kind: graph.RMSNorm, Epsilon: 1e-5},
		Layers: []graph.Layer{{
			Mixer:   graph.Attention{Heads: 4, KVHeads: 2, HeadSize: 4, Scale: 0.5, Rope: rope},
			FFN:     graph.Dense{Width: 12, Activation: graph.SiLU, Gated: true},
			PreNorm: true,
		}},
	})
	equal(t, "names", c.Tensors(), []string{
		"embedding.weight", "layers.0.attention.k.weight", "layers.0.attention.out.weight", "layers.0.attention.q.weight",
		"layers.0.attention.v.weight", "layers.0.ffn.norm.weight", "layers.0.mixer.norm.weight", "layers.0.mlp.down.weight",
		"layers.0.mlp.gate.weight", "layers.0.mlp.up.weight", "norm.weight",
	})
	equal(t, "q", values(t, c, "layers.0.attention.q.weight"), matrix(16, 8, func(r, c int) int { return 4000 + 8*r + c }))
	equal(t, "parameters", c.Parameters(), int64(80+8+16+128+64+64+128+3*96))
	q, err := c.Tensor("layers.0.attention.q.weight")
	if err != nil {
		t.Fatal(err)
	}
	raw, ok := q.Raw()
	equal(t, "raw", fmt.Sprint(ok, len(raw), cap(raw)), "true 512 512")
	bos, hasBOS := c.BOS()
	eos, hasEOS := c.EOS()
	equal(t, "special tokens of config.json", fmt.Sprint(bos, hasBOS, eos, hasEOS), "1 true 2 true")

	files, err := c.Files(t.Context(), digests.New())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(weights)
	equal(t, "names of files", fmt.Sprintf("%d %s %s", len(files), filepath.Base(files[0].Path), filepath.Base(files[2].Path)), "3 config.json tokenizer.json")
	equal(t, "weights", files[1], checkpoint.File{
		Path: filepath.Join(dir, "model.safetensors"), Bytes: int64(len(weights)), Digest: "sha256:" + hex.EncodeToString(sum[:]),
	})

	if err := q.Rows(make([]float32, 8), 16, 17); err == nil {
		t.Error("a row after the last one can be read")
	}
	if err := q.Rows(make([]float32, 7), 0, 1); err == nil {
		t.Error("a row fits into less than a row")
	}
}

func TestSpecialTokens(t *testing.T) {
	tokenizer := map[string]any{"added_tokens": []any{map[string]any{"id": 7, "content": "<s>"}, map[string]any{"id": 8, "content": "</s>"}}}
	for _, test := range []struct {
		name      string
		eos       int // in config.json
		tokenizer map[string]any
		want      string
	}{
		{"of config.json, if in the vocabulary", 50256, map[string]any{}, "1 true 0 false"},
		{"of config.json, the last of the vocabulary", 9, map[string]any{}, "1 true 9 true"},
		{"of config.json, one past the vocabulary", 10, map[string]any{}, "1 true 0 false"},
		{"as text, in tokenizer.json", 50256, map[string]any{"bos_token": "<s>", "eos_token": "</s>"}, "7 true 8 true"},
		{"as object, in added_tokens_decoder", 50256, map[string]any{
			"bos_token":            map[string]any{"content": "<s>"},
			"added_tokens_decoder": map[string]any{"9": map[string]any{"content": "<s>"}}}, "9 true 0 false"},
		{"null: none, whatever config.json says", 50256, map[string]any{"bos_token": nil}, "0 false 0 false"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := open(t, directory(t, map[string]any{
				"config.json":       with(llamaConfig, "eos_token_id", test.eos),
				"model.safetensors": safetensors(t, llamaTensors("model.", nil)), "tokenizer.json": tokenizer,
				"tokenizer_config.json": test.tokenizer,
			}))
			bos, hasBOS := c.BOS()
			eos, hasEOS := c.EOS()
			equal(t, "BOS and EOS", fmt.Sprint(bos, hasBOS, eos, hasEOS), test.want)
		})
	}
}

func TestFilesOfOneModel(t *testing.T) {
	all := llamaTensors("model.", nil)
	first, second, index := map[string]array{}, map[string]array{}, map[string]string{}
	for i, name := range slices.Sorted(maps.Keys(all)) {
		if i%2 == 0 {
			first[name], index[name] = all[name], "a.safetensors"
		} else {
			second[name], index[name] = all[name], "b.safetensors"
		}
	}
	single := map[string]any{"config.json": llamaConfig, "model.safetensors": safetensors(t, all)}
	want := values(t, open(t, directory(t, single)), "layers.0.mlp.up.weight")
	for name, path := range map[string]string{
		"shards": directory(t, map[string]any{
			"config.json": llamaConfig, "model.safetensors.index.json": map[string]any{"weight_map": index},
			"a.safetensors": safetensors(t, first), "b.safetensors": safetensors(t, second),
		}),
		"one file":               filepath.Join(directory(t, single), "model.safetensors"),
		"without a prefix":       directory(t, with(single, "model.safetensors", safetensors(t, llamaTensors("", nil)))),
		"head that is embedding": directory(t, with(single, "model.safetensors", safetensors(t, llamaTensors("model.", map[string]array{"lm_head.weight": ramp(0, 10, 8)})))),
		"frequencies of old": directory(t, with(single, "model.safetensors",
			safetensors(t, llamaTensors("model.", map[string]array{"model.layers.0.self_attn.rotary_emb.inv_freq": ramp(0, 2)})))),
	} {
		t.Run(name, func(t *testing.T) {
			equal(t, "mlp.up", values(t, open(t, path), "layers.0.mlp.up.weight"), want)
		})
	}
}

// TestTextOfImages reads the text decoder of a multimodal model, with the tensor names of two versions of transformers.
func TestTextOfImages(t *testing.T) {
	const golden = "../../../testdata/torch/golden/gemma3-images/"
	read := func(name string) []byte {
		data, err := os.ReadFile(golden + name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	weights := read("model.safetensors")
	renamed := bytes.ReplaceAll(weights, []byte("language_model.model."), []byte("model.language_model."))
	if bytes.Equal(weights, renamed) {
		t.Fatal("the golden has other names")
	}
	first, second := open(t, golden), open(t, directory(t, map[string]any{"config.json": read("config.json"), "model.safetensors": renamed}))
	equal(t, "names", second.Tensors(), first.Tensors())
	for _, name := range first.Tensors() {
		equal(t, name, values(t, second, name), values(t, first, name))
	}
}

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
	if raw, ok := k.Raw(); !ok || math.Float32frombits(uint32(raw[0])|uint32(raw[1])<<8|uint32(raw[2])<<16|uint32(raw[3])<<24) != 4 {
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
				return fmt.Sprint(a.Norm.AddOne, a.Norm.Float32Product, l.PreNorm, l.PostNorm, attention(l).Scale, a.EmbeddingScale*a.EmbeddingScale > 7.999)
			},
			"true true true true 0.25 true"},
		{"olmo 2: norms after", with(llamaConfig, "model_type", "olmo2", "mlp_bias", drop), olmoTensors,
			func(a graph.Architecture) string {
				l := a.Layers[0]
				return fmt.Sprint(a.Norm.Float32Product, l.PreNorm, l.PostNorm, attention(l).QKNorm == graph.FullQKNorm)
			},
			"true false true true"},
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

func TestRefusedConfigurations(t *testing.T) {
	scaling := func(pairs ...any) map[string]any { return with(map[string]any{}, pairs...) }
	for _, test := range []struct {
		field string
		value any
		want  string
	}{
		{"model_type", "mamba", `model_type is "mamba", which is not supported (supported: gemma3, gemma3_text, gpt2, gpt_neox, llama`},
		{"model_type", drop, `model_type is ""`},
		{"residual_multiplier", 0.5, "unknown field residual_multiplier (0.5), which may change the graph"},
		{"quantization_config", scaling("bits", 4), "field quantization_config"},
		{"hidden_act", "relu", `hidden_act is "relu", which is not supported (supported: gelu, gelu_accurate, gelu_fast, gelu_new`},
		{"rope_scaling", scaling("rope_type", "yarn", "factor", 4), `rope_type is "yarn", which is not supported`},
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
