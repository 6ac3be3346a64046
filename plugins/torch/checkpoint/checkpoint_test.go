package checkpoint_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/digests"
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
	raw, ok := q.Raw(graph.Span{To: 16})
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
