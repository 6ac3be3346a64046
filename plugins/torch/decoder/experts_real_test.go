//go:build torch && models

package decoder

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"surprisal.dev/plugins/torch/checkpoint"
	"surprisal.dev/plugins/torch/graph"
	"surprisal.dev/plugins/torch/tensor"
)

// TestRealExperts makes two mixtures of experts from the weights of SmolLM2, which compute what it does. In one, each
// expert is a copy of the dense part, and weights of two experts add up to 1. In the other, the dense part is cut into
// four parts, which are all active.
func TestRealExperts(t *testing.T) {
	path := filepath.Join(os.Getenv("SURPRISAL_MODELS"), "smollm2.gguf")
	sequences := randomSequences()
	want := realLosses(t, path, sequences)
	for _, m := range []mixture{{count: 3, active: 2}, {count: 4, active: 4, sliced: true}} {
		t.Run(fmt.Sprintf("%+v", m), func(t *testing.T) {
			directory := t.TempDir()
			m.write(t, path, directory)
			compareReal(t, realLosses(t, directory, sequences), want)
		})
	}
}

// compareReal compares losses with those of the dense model. Sums in another order change single losses of SmolLM2 by
// more than their mean: those of other libraries differ by 1.5e-4 at most.
func compareReal(t *testing.T, got, want []float64) {
	t.Helper()
	worst := 0.0
	for i := range want {
		worst = max(worst, math.Abs(got[i]-want[i]))
	}
	mean := meanDistance(got, want)
	t.Logf("%d losses differ from those of the dense model by %.2g nats on average and %.2g at most", len(got), mean, worst)
	if mean > 1e-5 || worst > 1e-4 {
		t.Error("more than 1e-5 on average or 1e-4 at most")
	}
}

func randomSequences() (sequences []Sequence) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{2, 100, 400} {
		ids := make([]int32, n)
		for i := range ids {
			ids[i] = random.Int32N(49152)
		}
		sequences = append(sequences, Sequence{Tokens: ids, From: 1})
	}
	return sequences
}

func realLosses(t *testing.T, path string, sequences []Sequence) []float64 {
	t.Helper()
	d, _ := load(t, path, Options{Type: tensor.Float32, Devices: []tensor.Device{tensor.CPU}})
	losses, err := lossesOf(t.Context(), d, sequences)
	if err != nil {
		t.Fatal(err)
	}
	return losses
}

// mixture describes the experts that are made of a dense model.
type mixture struct {
	count, active int
	// sliced cuts the dense part; otherwise it is copied.
	sliced bool
}

// write writes a directory in the form of Mixtral.
func (m mixture) write(t *testing.T, dense, directory string) {
	t.Helper()
	c, err := checkpoint.Open(dense)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	a := c.Architecture()
	at, ffn := a.Layers[0].Mixer.(graph.Attention), a.Layers[0].FFN.(graph.Dense)
	width := ffn.Width
	if m.sliced {
		width /= m.count
	}
	config, err := json.Marshal(map[string]any{
		"model_type": "mixtral", "vocab_size": a.Vocabulary, "hidden_size": a.Hidden, "num_hidden_layers": len(a.Layers),
		"num_attention_heads": at.Heads, "num_key_value_heads": at.KVHeads, "head_dim": at.HeadSize, "intermediate_size": width,
		"max_position_embeddings": a.Context, "rms_norm_eps": a.Norm.Epsilon, "rope_theta": 100000, "tie_word_embeddings": a.TiedHead,
		"num_local_experts": m.count, "num_experts_per_tok": m.active,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(directory, "config.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	var w safetensorsWriter
	for p := range a.Parameters() {
		x, err := c.Tensor(p.Name() + ".weight")
		if err != nil {
			t.Fatal(err)
		}
		values := make([]float32, x.Elements())
		if err := x.Float32(values); err != nil {
			t.Fatal(err)
		}
		m.add(&w, p, values)
	}
	for n := range a.Layers {
		w.add(fmt.Sprintf("model.layers.%d.block_sparse_moe.gate.weight", n), m.router(n, a.Hidden), int64(m.count), int64(a.Hidden))
	}
	w.write(t, filepath.Join(directory, "model.safetensors"))
}

// router returns random rows, or zeros, which make all weights equal.
func (m mixture) router(layer, hidden int) []float32 {
	rows := make([]float32, m.count*hidden)
	random := rand.New(rand.NewPCG(3, uint64(layer)))
	for i := range rows {
		if !m.sliced {
			rows[i] = float32(random.NormFloat64()) / 10
		}
	}
	return rows
}

// add writes a parameter of the dense model, or the experts that are made of it.
func (m mixture) add(w *safetensorsWriter, p graph.Parameter, values []float32) {
	expert := map[string]string{"layers.N.mlp.gate": "w1", "layers.N.mlp.up": "w3", "layers.N.mlp.down": "w2"}[p.Key]
	if expert == "" {
		w.add(mixtralName.Replace(p.Name())+".weight", values, p.Shape...)
		return
	}
	for e := range m.count {
		part, shape := values, p.Shape
		if m.sliced {
			part, shape = m.slice(values, p, int64(e))
		}
		w.add(fmt.Sprintf("model.layers.%d.block_sparse_moe.experts.%d.%s.weight", p.Layer, e, expert), part, shape...)
	}
}

var mixtralName = strings.NewReplacer("layers.", "model.layers.", "embedding", "model.embed_tokens", "attention.out", "self_attn.o_proj", "attention.q", "self_attn.q_proj",
	"attention.k", "self_attn.k_proj", "attention.v", "self_attn.v_proj", "mixer.norm", "input_layernorm", "ffn.norm", "post_attention_layernorm",
	"norm", "model.norm")

// slice returns a part of the width. All experts have the same weight, one over their number, by which the outputs are
// divided.
func (m mixture) slice(values []float32, p graph.Parameter, e int64) ([]float32, []int64) {
	count := int64(m.count)
	if p.Key != "layers.N.mlp.down" {
		n := int64(len(values)) / count
		return values[e*n : (e+1)*n], []int64{p.Shape[0] / count, p.Shape[1]}
	}
	width := p.Shape[1] / count
	var part []float32
	for r := range p.Shape[0] {
		for _, x := range values[r*p.Shape[1]+e*width:][:width] {
			part = append(part, x*float32(m.count))
		}
	}
	return part, []int64{p.Shape[0], width}
}

// safetensorsWriter collects float32 tensors.
type safetensorsWriter struct {
	header map[string]any
	parts  [][]float32
	size   int64
}

func (w *safetensorsWriter) add(name string, values []float32, shape ...int64) {
	if w.header == nil {
		w.header = map[string]any{}
	}
	end := w.size + 4*int64(len(values))
	w.header[name] = map[string]any{"dtype": "F32", "shape": shape, "data_offsets": []int64{w.size, end}}
	w.parts, w.size = append(w.parts, values), end
}

func (w *safetensorsWriter) write(t *testing.T, path string) {
	t.Helper()
	header, err := json.Marshal(w.header)
	if err != nil {
		t.Fatal(err)
	}
	header = append(header, bytes.Repeat([]byte{' '}, (8-len(header)%8)%8)...)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriterSize(f, 1<<20)
	for _, x := range append([]any{uint64(len(header)), header}, anys(w.parts)...) {
		if err := binary.Write(out, binary.LittleEndian, x); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func anys(parts [][]float32) (all []any) {
	for _, part := range parts {
		all = append(all, part)
	}
	return all
}
