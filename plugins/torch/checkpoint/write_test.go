package checkpoint_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// array is a tensor to be written: float32 values in safetensors, bytes of any type in GGUF.
type array struct {
	shape []int64
	data  []byte
	// typ is F32 if empty; ggml is its number.
	typ  string
	ggml uint32
}

// ramp is a float32 array whose elements are first, first+1 and so on.
func ramp(first int, shape ...int64) array {
	a := array{shape: shape}
	n := int64(1)
	for _, size := range shape {
		n *= size
	}
	for i := range n {
		a.data = binary.LittleEndian.AppendUint32(a.data, math.Float32bits(float32(first)+float32(i)))
	}
	return a
}

// safetensors returns a file with the tensors.
func safetensors(t testing.TB, tensors map[string]array) []byte {
	t.Helper()
	header, body := map[string]any{"__metadata__": map[string]string{"format": "pt"}}, []byte(nil)
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		a := tensors[name]
		typ := a.typ
		if typ == "" {
			typ = "F32"
		}
		header[name] = map[string]any{"dtype": typ, "shape": a.shape, "data_offsets": []int{len(body), len(body) + len(a.data)}}
		body = append(body, a.data...)
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return append(append(file, text...), body...)
}

// gguf returns a file of version 3.
func gguf(t testing.TB, metadata map[string]any, tensors map[string]array) []byte {
	t.Helper()
	var b bytes.Buffer
	put := func(values ...any) {
		for _, v := range values {
			if s, ok := v.(string); ok {
				v = append(binary.LittleEndian.AppendUint64(nil, uint64(len(s))), s...)
			}
			if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	put([]byte("GGUF"), uint32(3), uint64(len(tensors)), uint64(len(metadata)))
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		put(key)
		switch v := metadata[key].(type) {
		case uint32:
			put(uint32(4), v)
		case float32:
			put(uint32(6), v)
		case bool:
			put(uint32(7), v)
		case string:
			put(uint32(8), v)
		case []string:
			put(uint32(9), uint32(8), uint64(len(v)))
			for _, s := range v {
				put(s)
			}
		case []float32:
			put(uint32(9), uint32(6), uint64(len(v)), v)
		default:
			t.Fatalf("metadata %s of type %T", key, v)
		}
	}
	names, offset := slices.Sorted(maps.Keys(tensors)), 0
	for _, name := range names {
		a := tensors[name]
		put(name, uint32(len(a.shape)))
		for _, size := range slices.Backward(a.shape) {
			put(uint64(size))
		}
		put(a.ggml, uint64(offset))
		offset += (len(a.data) + 31) / 32 * 32
	}
	for _, name := range names {
		b.Write(make([]byte, (32-b.Len()%32)%32))
		b.Write(tensors[name].data)
	}
	return b.Bytes()
}

// directory writes files, and returns their directory. Values that are not bytes are written as JSON.
func directory(t testing.TB, files map[string]any) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		data, ok := content.([]byte)
		if !ok {
			var err error
			if data, err = json.Marshal(content); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// with is a copy of a map with some values changed; a value of nil is written as null, drop removes the key.
func with(m map[string]any, changes ...any) map[string]any {
	m = maps.Clone(m)
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == drop {
			delete(m, changes[i].(string))
		} else {
			m[changes[i].(string)] = changes[i+1]
		}
	}
	return m
}

const drop = "\x00drop"

// llamaTensors are the tensors of llamaConfig: the values of each begin with 1000 times its position in the list.
func llamaTensors(prefix string, more map[string]array) map[string]array {
	tensors := map[string]array{}
	list := []struct {
		name  string
		shape []int64
	}{
		{"embed_tokens", []int64{10, 8}}, {"norm", []int64{8}},
		{"layers.0.input_layernorm", []int64{8}}, {"layers.0.post_attention_layernorm", []int64{8}},
		{"layers.0.self_attn.q_proj", []int64{16, 8}}, {"layers.0.self_attn.k_proj", []int64{8, 8}},
		{"layers.0.self_attn.v_proj", []int64{8, 8}}, {"layers.0.self_attn.o_proj", []int64{8, 16}},
		{"layers.0.mlp.gate_proj", []int64{12, 8}}, {"layers.0.mlp.up_proj", []int64{12, 8}}, {"layers.0.mlp.down_proj", []int64{8, 12}},
	}
	for i, entry := range list {
		tensors[fmt.Sprintf("%s%s.weight", prefix, entry.name)] = ramp(1000*i, entry.shape...)
	}
	maps.Copy(tensors, more)
	return tensors
}

var llamaConfig = map[string]any{
	"model_type": "llama", "architectures": []string{"LlamaForCausalLM"}, "vocab_size": 10, "hidden_size": 8, "intermediate_size": 12,
	"num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4, "hidden_act": "silu",
	"max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": nil, "tie_word_embeddings": true,
	"attention_bias": false, "mlp_bias": false, "torch_dtype": "float32", "bos_token_id": 1, "eos_token_id": []int{2, 3},
}
