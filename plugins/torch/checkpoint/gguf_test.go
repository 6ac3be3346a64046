package checkpoint_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"surprisal.dev/plugins/torch/checkpoint"
)

// metadata describes the same model as llamaConfig.
var metadata = map[string]any{
	"general.architecture": "llama", "llama.block_count": uint32(1), "llama.context_length": uint32(64), "llama.embedding_length": uint32(8),
	"llama.feed_forward_length": uint32(12), "llama.attention.head_count": uint32(2), "llama.attention.head_count_kv": uint32(1),
	"llama.attention.layer_norm_rms_epsilon": float32(1e-5), "llama.rope.freq_base": float32(10000), "llama.rope.dimension_count": uint32(4),
	"tokenizer.ggml.tokens": []string{"a", "\xff"}, "tokenizer.ggml.bos_token_id": uint32(1), "tokenizer.ggml.add_bos_token": true,
	"llama.attention.key_length": uint32(4), "tokenizer.ggml.scores": []float32{1, 2},
}

func llamaArrays() map[string]array {
	return map[string]array{
		"token_embd.weight": ramp(0, 10, 8), "output_norm.weight": ramp(0, 8), "blk.0.attn_norm.weight": ramp(0, 8), "blk.0.ffn_norm.weight": ramp(0, 8),
		"blk.0.attn_q.weight": ramp(0, 8, 8), "blk.0.attn_k.weight": ramp(0, 4, 8), "blk.0.attn_v.weight": ramp(0, 4, 8),
		"blk.0.attn_output.weight": ramp(0, 8, 8), "blk.0.ffn_gate.weight": ramp(0, 12, 8), "blk.0.ffn_up.weight": ramp(0, 12, 8), "blk.0.ffn_down.weight": ramp(0, 8, 12),
	}
}

func ggufFile(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestGGUFLlama(t *testing.T) {
	arrays := llamaArrays()
	arrays["rope_freqs.weight"] = array{shape: []int64{2}, data: []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0x41}}
	arrays["blk.0.attn_q.bias"] = ramp(0, 8)
	c := open(t, ggufFile(t, gguf(t, metadata, arrays)))
	// Pairs that are rotated together are rows 0 and 1, 2 and 3 of a stored head, and rows 0 and 2, 1 and 3 of a
	// canonical one.
	stored := []int{0, 2, 1, 3, 4, 6, 5, 7}
	equal(t, "q", values(t, c, "layers.0.attention.q.weight"), matrix(8, 8, func(r, c int) int { return 8*stored[r] + c }))
	equal(t, "q's bias", values(t, c, "layers.0.attention.q.bias"), matrix(1, 8, func(_, c int) int { return stored[c] }))
	equal(t, "v", values(t, c, "layers.0.attention.v.weight"), matrix(4, 8, func(r, c int) int { return 8*r + c }))
	a := c.Architecture()
	equal(t, "vocabulary, tied head", fmt.Sprint(a.Vocabulary, a.TiedHead), "10 true")
	equal(t, "frequencies over the file's factors 1 and 8", attention(a.Layers[0]).Rope.InverseFrequencies, []float32{1, 0.00125})
	equal(t, "tokens", c.Metadata()["tokenizer.ggml.tokens"], any([]string{"a", "\xff"}))
	if c.Has("head.weight") {
		t.Error("a tied head has a tensor")
	}
}

// TestBlocks reads one block of each type. Bytes and values were worked out by hand from the layouts in ggml-common.h.
func TestBlocks(t *testing.T) {
	bytesOf := func(n int, set map[int]byte) []byte {
		b := make([]byte, n)
		for i, x := range set {
			b[i] = x
		}
		return b
	}
	const one = 0x3c // the high byte of 1 in binary16
	// run is a range of elements with one value.
	type run struct {
		from, to int
		value    float32
	}
	infinity := float32(math.Inf(-1))
	for _, test := range []struct {
		typ   checkpoint.Type
		ggml  uint32
		n     int64
		block []byte
		want  []run
	}{
		{checkpoint.F16, 1, 4, []byte{0, one, 1, 0, 0, 0xfc, 0xff, 0x83}, []run{{0, 1, 1}, {1, 2, 0x1p-24}, {2, 3, infinity}, {3, 4, -0x3ffp-24}}},
		{checkpoint.BF16, 30, 2, []byte{0x80, 0x3f, 0x20, 0xc1}, []run{{0, 1, 1}, {1, 2, -10}}},
		{checkpoint.Q8_0, 8, 32, bytesOf(34, map[int]byte{1: one, 2: 127, 33: 128}), []run{{0, 1, 127}, {31, 32, -128}}},
		{checkpoint.Q4_0, 2, 32, bytesOf(18, map[int]byte{1: one, 2: 0x9f}), []run{{0, 32, -8}, {0, 1, 7}, {16, 17, 1}}},
		{checkpoint.Q4_1, 3, 32, bytesOf(20, map[int]byte{1: one, 3: one | 0x80, 19: 0x9f}), []run{{0, 32, -1}, {15, 16, 14}, {31, 32, 8}}},
		{checkpoint.Q5_0, 6, 32, bytesOf(22, map[int]byte{1: one, 2: 1, 5: 0x80, 6: 0x2f, 21: 0x10}), []run{{0, 32, -16}, {0, 1, 15}, {16, 17, -14}, {31, 32, 1}}},
		// Eighth 0 has scale 2, eighth 1 minimum 3, eighth 4 a scale of 1 and 2<<4 from two places.
		{checkpoint.Q4_K, 12, 256, bytesOf(144, map[int]byte{1: one, 3: one, 4: 2 | 2<<6, 9: 3, 12: 1, 16: 0x5f, 80: 0x04}),
			[]run{{0, 1, 2 * 15}, {32, 64, -3}, {128, 129, 33 * 4}}},
		{checkpoint.Q5_K, 13, 256, bytesOf(176, map[int]byte{1: one, 3: one, 4: 2 | 2<<6, 9: 3, 12: 1, 16: 1 | 1<<4, 48: 0x5f, 112: 0x04}),
			[]run{{0, 1, 2 * (15 + 16)}, {32, 64, -3}, {128, 129, 33 * (4 + 16)}}},
		// Sixteenth 0 has scale -1 and begins with 15 and 3 high bits, sixteenth 6 has scale 1.
		{checkpoint.Q6_K, 14, 256, bytesOf(210, map[int]byte{0: 0x0f, 128: 0x03, 192: 255, 198: 1, 209: one}),
			[]run{{0, 16, 32}, {0, 1, -(15 + 3*16 - 32)}, {96, 112, -32}}},
	} {
		t.Run(string(test.typ), func(t *testing.T) {
			tensors := llamaArrays()
			tensors["token_embd.weight"] = array{shape: []int64{1, test.n}, data: test.block, ggml: test.ggml}
			resize(tensors, test.n)
			c := open(t, ggufFile(t, gguf(t, with(metadata, "llama.embedding_length", uint32(test.n), "tokenizer.ggml.bos_token_id", drop), tensors)))
			want := make([]float32, test.n)
			for _, r := range test.want {
				for i := r.from; i < r.to; i++ {
					want[i] = r.value
				}
			}
			embedding, err := c.Tensor("embedding.weight")
			if err != nil {
				t.Fatal(err)
			}
			got := make([]float32, test.n)
			if err := embedding.Float32(got); err != nil {
				t.Fatal(err)
			}
			equal(t, "elements", got, want)
			equal(t, "type", embedding.Type, test.typ)
		})
	}
}

// resize makes the other tensors fit an embedding of another width.
func resize(tensors map[string]array, hidden int64) {
	for name, a := range tensors {
		switch {
		case name == "token_embd.weight":
		case len(a.shape) == 1:
			tensors[name] = ramp(0, hidden)
		case name == "blk.0.attn_output.weight" || name == "blk.0.ffn_down.weight":
			tensors[name] = ramp(0, hidden, a.shape[1])
		default:
			tensors[name] = ramp(0, a.shape[0], hidden)
		}
	}
}

func TestGGUFGemma(t *testing.T) {
	m := map[string]any{"general.architecture": "gemma3"}
	for key, value := range metadata {
		if len(key) > 6 && key[:6] == "llama." {
			m["gemma3."+key[6:]] = value
		}
	}
	m = with(m, "gemma3.attention.sliding_window", uint32(16), "gemma3.block_count", uint32(6), "gemma3.rope.freq_base", float32(1e6),
		"gemma3.rope.scaling.type", "linear", "gemma3.rope.scaling.factor", float32(8))
	tensors := llamaArrays()
	for name, a := range llamaArrays() {
		for i := range 6 {
			if name[:4] == "blk." {
				tensors[fmt.Sprintf("blk.%d.%s", i, name[6:])] = a
			}
		}
	}
	for i := range 6 {
		for name, size := range map[string]int64{"attn_q_norm": 4, "attn_k_norm": 4, "post_attention_norm": 8, "post_ffw_norm": 8} {
			tensors[fmt.Sprintf("blk.%d.%s.weight", i, name)] = ramp(0, size)
		}
	}
	c := open(t, ggufFile(t, gguf(t, m, tensors)))
	a := c.Architecture()
	local, global := attention(a.Layers[4]), attention(a.Layers[5])
	equal(t, "windows and second frequencies", fmt.Sprint(local.Window, local.Rope.InverseFrequencies[1], global.Window, global.Rope.InverseFrequencies[1]), "16 0.01 0 0.000125")
	equal(t, "norms", fmt.Sprint(a.Norm.AddOne, a.Layers[0].PostNorm), "false true")
	equal(t, "rows in order", values(t, c, "layers.0.attention.q.weight"), matrix(8, 8, func(r, c int) int { return 8*r + c }))
}

func TestRefusedGGUF(t *testing.T) {
	whole := gguf(t, metadata, llamaArrays())
	changed := func(at int, value ...byte) []byte {
		b := append([]byte(nil), whole...)
		copy(b[at:], value)
		return b
	}
	tensor := func(name string, a array) []byte {
		arrays := llamaArrays()
		arrays[name] = a
		return gguf(t, metadata, arrays)
	}
	wide := llamaArrays()
	wide["token_embd.weight"] = ramp(0, 10, 32)
	resize(wide, 32)
	wide["output_norm.weight"] = array{shape: []int64{32}, data: make([]byte, 34), ggml: 8}
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"version 1", changed(4, 1), "has GGUF version 1; versions 2 and 3 are supported"},
		{"big-endian", changed(4, 0, 0, 0, 3), "big-endian"},
		{"more tensors than bytes", changed(8, 255, 255, 255, 255), "4294967295 tensors cannot fit"},
		{"cut in the header", whole[:300], "truncated"},
		{"cut in the data", whole[:len(whole)-200], "is truncated: tensor"},
		{"unknown architecture", gguf(t, with(metadata, "general.architecture", "mamba"), llamaArrays()), `general.architecture is "mamba", which is not supported (supported: gemma3, gpt-oss, gpt2, llama`},
		{"unknown field", gguf(t, with(metadata, "llama.residual_scale", float32(2)), llamaArrays()), "unknown field llama.residual_scale (2)"},
		{"experts", gguf(t, with(metadata, "llama.expert_count", uint32(8)), llamaArrays()), "llama.expert_used_count is 0, but llama.expert_count is 8: a token uses from one expert to all"},
		{"more active experts than there are", gguf(t, with(metadata, "llama.expert_count", uint32(8), "llama.expert_used_count", uint32(9)), llamaArrays()),
			"llama.expert_used_count is 9, but llama.expert_count is 8"},
		{"one of several", gguf(t, with(metadata, "split.count", uint32(2)), llamaArrays()), "is one of 2 shards"},
		{"vocabulary unlike the embedding", gguf(t, with(metadata, "llama.vocab_size", uint32(9)), llamaArrays()), `tensor "token_embd.weight" (embedding.weight) has shape [10 8], the configuration requires [9 8]`},
		{"shape", tensor("blk.0.ffn_up.weight", ramp(0, 8, 12)), `tensor "blk.0.ffn_up.weight" (layers.0.mlp.up.weight) has shape [8 12], the configuration requires [12 8]`},
		{"type", tensor("output_norm.weight", array{shape: []int64{256}, data: make([]byte, 84), ggml: 10}), `tensor "output_norm.weight" has type Q2_K, which is not supported`},
		{"quantized vector", gguf(t, with(metadata, "llama.embedding_length", uint32(32)), wide), `tensor "output_norm.weight" has type Q8_0, which is supported for matrices only`},
		{"a size in bytes that overflows", tensor("output_norm.weight", array{shape: []int64{1 << 31, 1 << 31}, data: nil}), `cannot have shape [2147483648 2147483648]`},
		{"rows of half a block", tensor("output_norm.weight", array{shape: []int64{8}, data: make([]byte, 34), ggml: 8}), `of type Q8_0 cannot have shape [8]`},
		{"a tensor with more bytes than its shape", tensor("blk.0.attn_norm.weight", array{shape: []int64{8}, data: make([]byte, 96), ggml: 0}),
			`tensor "blk.0.attn_norm.weight" of type F32 and shape [8] has 32 bytes, but the next one, "blk.0.attn_output.weight", begins 96 bytes after its beginning`},
		{"unknown tensor", tensor("blk.0.ssm_a", ramp(0, 8)), `tensor "blk.0.ssm_a" of shape [8] is not part of a llama model`},
		{"factor of zero", tensor("rope_freqs.weight", array{shape: []int64{2}, data: make([]byte, 8)}), "tensor rope_freqs.weight has 0 at 0"},
	} {
		t.Run(test.name, func(t *testing.T) { refused(t, ggufFile(t, test.data), test.want) })
	}
	for n := range whole {
		if n%7 == 0 {
			if c, err := checkpoint.Open(ggufFile(t, whole[:n])); err == nil {
				t.Fatalf("the first %d of %d bytes open: %v", n, len(whole), c.Tensors())
			}
		}
	}
}

// everything reads all tensors of an open file. Nothing panics, whatever the bytes are.
func everything(t *testing.T, path string) {
	c, err := checkpoint.Open(path)
	if err != nil {
		return
	}
	defer c.Close()
	for _, name := range c.Tensors() {
		tensor, err := c.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := tensor.Float32(make([]float32, tensor.Elements())); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzGGUF(f *testing.F) {
	f.Add(gguf(f, metadata, llamaArrays()))
	f.Add(gguf(f, with(metadata, "general.architecture", "qwen2"), llamaArrays()))
	f.Add(gguf(f, with(metadata, "general.architecture", "phi3"), llamaArrays()))
	f.Add([]byte("GGUF\x03\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) { everything(t, ggufFile(t, data)) })
}

func FuzzSafetensors(f *testing.F) {
	whole := safetensors(f, llamaTensors("model.", nil))
	n := binary.LittleEndian.Uint64(whole)
	f.Add(whole)
	f.Add(whole[:8+n])
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		everything(t, directory(t, map[string]any{"config.json": llamaConfig, "model.safetensors": data}))
	})
}

func FuzzConfiguration(f *testing.F) {
	f.Add([]byte(`{"model_type":"gpt_neox","hidden_size":8,"num_attention_heads":2,"max_position_embeddings":8,"rope_parameters":{"partial_rotary_factor":0.5},"num_hidden_layers":1,"vocab_size":6,"intermediate_size":8}`))
	f.Add([]byte(`{"model_type":"gemma3_text","rope_parameters":{"full_attention":null,"sliding_attention":{"rope_type":"linear","factor":2}},"layer_types":["x"]}`))
	f.Add([]byte(`{"rope_ntk_alpha":1,"num_experts":4,"experts_per_token":2,"num_hidden_layers":1,"hidden_size":8,"intermediate_size":8}`))
	f.Add([]byte(`{"model_type":"llama4_text","hidden_size":8,"intermediate_size":8,"num_hidden_layers":2,"no_rope_layers":[1,0],"moe_layers":[1]}`))
	f.Add([]byte(`{"model_type":"phi3","hidden_size":8,"num_attention_heads":2,"rope_scaling":{"type":"su","short_factor":[1,1],"long_factor":[2,2]}}`))
	f.Add([]byte(`{"model_type":"gpt2","n_embd":8,"n_head":2,"n_layer":1,"scale_attn_by_inverse_layer_idx":true}`))
	weights := safetensors(f, llamaTensors("model.", nil))
	f.Fuzz(func(t *testing.T, config []byte) {
		everything(t, directory(t, map[string]any{"config.json": config, "model.safetensors": weights}))
	})
}
