//go:build torch

package decoder

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"surprisal.dev/plugins/torch/checkpoint"
	"surprisal.dev/plugins/torch/tensor"
)

// golden is what transformers computed for a tiny model in float32; see testdata/torch/golden.py.
type golden struct {
	Sequences []struct {
		IDs    []int32   `json:"ids"`
		Losses []float64 `json:"losses"`
	} `json:"sequences"`
}

const goldenFolder = "../../../testdata/torch/golden"

func families(t *testing.T) []string {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(goldenFolder, "*", "golden.json"))
	if err != nil || len(folders) < 9 {
		t.Fatalf("found %d models under %s: %v", len(folders), goldenFolder, err)
	}
	for i := range folders {
		folders[i] = filepath.Dir(folders[i])
	}
	return folders
}

func readGolden(t *testing.T, folder string) (sequences []Sequence, losses [][]float64) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	for _, s := range g.Sequences {
		sequences = append(sequences, Sequence{Tokens: s.IDs, From: 1})
		losses = append(losses, s.Losses)
	}
	return sequences, losses
}

func load(t *testing.T, folder string, o Options) (*Decoder, *tensor.Heap) {
	t.Helper()
	c, err := checkpoint.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	heap := tensor.NewHeap()
	d, err := New(t.Context(), c, heap, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil || heap.Live() != 0 {
			t.Errorf("%d tensors are left: %v", heap.Live(), err)
		}
	})
	return d, heap
}

// TestGolden compares each family with transformers, for one rank and several, each sequence alone and all together.
func TestGolden(t *testing.T) {
	for _, folder := range families(t) {
		for _, ranks := range []int{1, 2, 4} {
			t.Run(fmt.Sprintf("%s/%d", filepath.Base(folder), ranks), func(t *testing.T) {
				sequences, want := readGolden(t, folder)
				d, heap := load(t, folder, Options{Type: tensor.Float32, Device: tensor.CPU, Ranks: ranks})
				weights := heap.Live()
				together, err := d.Losses(t.Context(), sequences)
				if err != nil {
					t.Fatal(err)
				}
				worst, sum, n := 0.0, 0.0, 0
				for i, s := range sequences {
					alone, err := d.Losses(t.Context(), []Sequence{s})
					if err != nil {
						t.Fatal(err)
					}
					if len(alone) != len(want[i]) {
						t.Fatalf("sequence %d has %d losses, wanted %d", i, len(alone), len(want[i]))
					}
					for j, loss := range want[i] {
						worst, sum, n = max(worst, math.Abs(alone[j]-loss)), sum+math.Abs(alone[j]-loss), n+1
						if d := math.Abs(alone[j] - together[j]); d > 1e-5 {
							t.Errorf("sequence %d, token %d: %g alone, %g in company", i, j, alone[j], together[j])
						}
					}
					together = together[len(alone):]
				}
				if worst > 1e-4 || sum/float64(n) > 1e-5 {
					t.Errorf("the differences from transformers are %g nats at most and %g in the mean", worst, sum/float64(n))
				}
				t.Logf("the differences from transformers are %.2g nats at most and %.2g in the mean", worst, sum/float64(n))
				if heap.Live() != weights {
					t.Errorf("%d tensors before, %d after", weights, heap.Live())
				}
			})
		}
	}
}
