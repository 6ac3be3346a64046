//go:build torch

package decoder

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"surprisal.dev/plugins/torch/checkpoint"
	"surprisal.dev/plugins/torch/graph"
	"surprisal.dev/plugins/torch/tensor"
)

// TestStoredTypes checks that the same weights give the same losses whatever their storage: in the decoder's type, in
// another type, and unaligned.
func TestStoredTypes(t *testing.T) {
	golden := filepath.Join(goldenDirectory, "llama")
	sequences, _ := readGolden(t, golden)
	losses := func(directory string, kind tensor.Type) []float64 {
		t.Helper()
		d, _ := load(t, directory, Options{Type: kind, Devices: []tensor.Device{tensor.CPU}})
		got, err := lossesOf(t.Context(), d, sequences)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, kind := range []tensor.Type{tensor.Float32, tensor.BFloat16} {
		want := losses(golden, kind)
		for padding := range 4 {
			if !slices.Equal(losses(widened(t, golden, padding), kind), want) {
				t.Errorf("type %d: other losses with weights in float32, %d bytes further on", kind, padding)
			}
		}
	}
}

// widened copies a golden whose weights are in bfloat16, with weights in float32 and padding additional spaces in the
// header.
func widened(t *testing.T, golden string, padding int) string {
	t.Helper()
	const config, weights = "config.json", "model.safetensors"
	directory := t.TempDir()
	data, err := os.ReadFile(filepath.Join(golden, config))
	if err == nil {
		err = os.WriteFile(filepath.Join(directory, config), data, 0o600)
	}
	if err == nil {
		data, err = os.ReadFile(filepath.Join(golden, weights))
	}
	if err != nil {
		t.Fatal(err)
	}
	length := binary.LittleEndian.Uint64(data)
	header, body := map[string]any{}, data[8+length:]
	if err := json.Unmarshal(data[8:8+length], &header); err != nil {
		t.Fatal(err)
	}
	for name, entry := range header {
		if fields, ok := entry.(map[string]any); ok && name != "__metadata__" {
			if fields["dtype"] != "BF16" {
				t.Fatalf("%s is stored in %v", name, fields["dtype"])
			}
			fields["dtype"] = "F32"
			offsets := fields["data_offsets"].([]any)
			offsets[0], offsets[1] = 2*offsets[0].(float64), 2*offsets[1].(float64)
		}
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, strings.Repeat(" ", (8-len(text)%8)%8+padding)...)
	out := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	for ; len(body) > 0; body = body[2:] {
		out = append(out, 0, 0, body[0], body[1])
	}
	if err := os.WriteFile(filepath.Join(directory, weights), out, 0o600); err != nil {
		t.Fatal(err)
	}
	return directory
}

// TestShardsOfSeveralMatrices reads a rank's part of a parameter with three dimensions. Its rows are those of a stored
// matrix, so that the expected values are known.
func TestShardsOfSeveralMatrices(t *testing.T) {
	c, err := checkpoint.Open(filepath.Join(goldenDirectory, "llama"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stored, err := c.Tensor("layers.0.attention.q.weight")
	if err != nil {
		t.Fatal(err)
	}
	const matrices, outputs, inputs = 4, 16, 48
	all := make([]float32, matrices*outputs*inputs)
	if err := stored.Float32(all); err != nil {
		t.Fatal(err)
	}
	heap := tensor.NewHeap()
	s := heap.NewScope()
	for axis, size := range []int64{matrices, outputs, inputs} {
		p := graph.Parameter{Shape: []int64{matrices, outputs, inputs}, Axis: axis, Share: func(r graph.Rank) graph.Span { return r.Share(size) }}
		l := loader{from: c, to: &rank{Rank: graph.Rank{Index: 1, Count: 2}, device: tensor.CPU}, scope: s}
		part := s.Empty(tensor.Float32, tensor.CPU, p.Sharded(l.to.Rank)...)
		if err := l.copyRows(l.rowsOf(part), p, stored); err != nil {
			t.Fatal(err)
		}
		var want []float64
		for i, x := range all {
			index := []int{i / (outputs * inputs), i / inputs % outputs, i % inputs}[axis]
			if int64(index) >= size/2 {
				want = append(want, float64(x))
			}
		}
		if got := s.Float64s(part); !slices.Equal(got, want) {
			t.Errorf("axis %d: %d elements of shape %v, want %d others", axis, len(got), part.Shape(), len(want))
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestThreads checks that decoders with different numbers of threads keep them.
func TestThreads(t *testing.T) {
	for _, threads := range []int{2, 1, 3, 1} {
		d, _ := load(t, filepath.Join(goldenDirectory, "llama"), Options{Devices: []tensor.Device{tensor.CPU, tensor.CPU}, Threads: threads})
		for _, thread := range d.workers[0].threads {
			got := 0
			if err := thread.do(func() error { got = tensor.Threads(); return nil })(); err != nil || got != threads {
				t.Errorf("a rank of a decoder with %d threads uses %d, %v", threads, got, err)
			}
		}
	}
}

// TestCanceledLoad cancels loading a model, with a separate head and with a tied one.
func TestCanceledLoad(t *testing.T) {
	for _, name := range []string{"llama", "llama-bias"} {
		c, err := checkpoint.Open(filepath.Join(goldenDirectory, name))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		heap := tensor.NewHeap()
		if _, err := New(ctx, c, heap, Options{Devices: []tensor.Device{tensor.CPU}}); !errors.Is(err, context.Canceled) || heap.Live() != 0 {
			t.Errorf("%s: %v, %d tensors", name, err, heap.Live())
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
