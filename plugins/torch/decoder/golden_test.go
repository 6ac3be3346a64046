//go:build torch

package decoder

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"surprisal.dev/plugins/torch/checkpoint"
	"surprisal.dev/plugins/torch/family"
	"surprisal.dev/plugins/torch/tensor"
)

// golden holds the losses that transformers computed for a tiny model in float32; see testdata/torch/golden.py.
type golden struct {
	Sequences []struct {
		IDs    []int32   `json:"ids"`
		Losses []float64 `json:"losses"`
	} `json:"sequences"`
}

const goldenDirectory = "../../../testdata/torch/golden"

// families returns the directories of the models. Each supported model_type has at least one.
func families(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(goldenDirectory, "*", "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var directories, tested []string
	for _, file := range files {
		directory := filepath.Dir(file)
		var config struct {
			ModelType string `json:"model_type"`
		}
		readJSON(t, filepath.Join(directory, "config.json"), &config)
		directories, tested = append(directories, directory), append(tested, config.ModelType)
	}
	for _, modelType := range family.ModelTypes() {
		if !slices.Contains(tested, modelType) {
			t.Fatalf("no model under %s has model_type %q; make one with testdata/torch/golden.py", goldenDirectory, modelType)
		}
	}
	return directories
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func readGolden(t *testing.T, directory string) (sequences []Sequence, losses [][]float64) {
	t.Helper()
	var g golden
	readJSON(t, filepath.Join(directory, "golden.json"), &g)
	for _, s := range g.Sequences {
		sequences = append(sequences, Sequence{Tokens: s.IDs, From: 1})
		losses = append(losses, s.Losses)
	}
	return sequences, losses
}

func load(t *testing.T, directory string, o Options) (*Decoder, *tensor.Heap) {
	t.Helper()
	c, err := checkpoint.Open(directory)
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

func lossesOf(ctx context.Context, d *Decoder, sequences []Sequence) ([]float64, error) {
	p, err := d.Predict(ctx, sequences, Request{})
	return p.Losses, err
}

// near is the maximum and the mean tolerance in nats for the difference from transformers in float32.
type near struct{ most, mean float64 }

var float32Near, bfloat16Near = near{1e-4, 1e-5}, near{0.5, 0.08}

// coarseNear is the tolerance in bfloat16. With experts, a rounded score may choose another one, which changes a token's
// loss by nats; transformers in bfloat16 differs from itself in float32 likewise.
func coarseNear(t *testing.T, directory string) near {
	t.Helper()
	c, err := checkpoint.Open(directory)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	if c.Architecture().HasExperts() {
		return near{6, 0.2}
	}
	return bfloat16Near
}

// TestGolden compares each family with transformers, for one rank and several, each sequence alone and all together.
func TestGolden(t *testing.T) {
	for _, directory := range families(t) {
		for _, ranks := range []int{1, 2, 4} {
			t.Run(fmt.Sprintf("%s/%d", filepath.Base(directory), ranks), func(t *testing.T) {
				devices := slices.Repeat([]tensor.Device{tensor.CPU}, ranks)
				testGolden(t, directory, Options{Type: tensor.Float32, Devices: devices}, float32Near)
				testGolden(t, directory, Options{Type: tensor.BFloat16, Devices: devices}, coarseNear(t, directory))
			})
		}
	}
}

// TestGroupedExperts compares the models with experts, whose products are computed at once as on a GPU, with transformers.
func TestGroupedExperts(t *testing.T) {
	grouped := 0
	for _, directory := range families(t) {
		for ranks := 1; ranks <= 2; ranks++ {
			o := Options{Type: tensor.Float32, Devices: slices.Repeat([]tensor.Device{tensor.CPU}, ranks), groupExperts: true}
			d, _ := load(t, directory, o)
			if !slices.ContainsFunc(d.ranks[0].layers, func(l layer) bool { x, ok := l.ffn.(*experts); return ok && x.grouped }) {
				break
			}
			grouped++
			sequences, want := readGolden(t, directory)
			for i, s := range sequences {
				got, err := lossesOf(t.Context(), d, []Sequence{s})
				if err != nil {
					t.Fatal(err)
				}
				for j := range want[i] {
					if d := math.Abs(got[j] - want[i][j]); !(d <= float32Near.most) {
						t.Fatalf("%s, %d ranks: token %d of sequence %d is %g nats from transformers", filepath.Base(directory), ranks, j, i, d)
					}
				}
			}
		}
	}
	if grouped < 20 {
		t.Errorf("only %d models and numbers of ranks have grouped experts", grouped)
	}
}

// TestFamilies compares the small models of testdata/families with transformers.
func TestFamilies(t *testing.T) {
	files, err := filepath.Glob("../../../testdata/families/*/golden.json")
	if err != nil || len(files) != 6 {
		t.Fatalf("%d models, %v", len(files), err)
	}
	for _, file := range files {
		testGolden(t, filepath.Dir(file), Options{Type: tensor.Float32, Devices: []tensor.Device{tensor.CPU}}, float32Near)
	}
}

func testGolden(t *testing.T, directory string, o Options, tolerance near) {
	sequences, want := readGolden(t, directory)
	d, heap := load(t, directory, o)
	compareGolden(t, d, heap, sequences, want, tolerance)
}

func compareGolden(t *testing.T, d *Decoder, heap *tensor.Heap, sequences []Sequence, want [][]float64, tolerance near) {
	t.Helper()
	weights := heap.Live()
	together, err := lossesOf(t.Context(), d, sequences)
	if err != nil {
		t.Fatal(err)
	}
	worst, batchDifference, sum, n := 0.0, 0.0, 0.0, 0
	for i, s := range sequences {
		alone, err := lossesOf(t.Context(), d, []Sequence{s})
		if err != nil {
			t.Fatal(err)
		}
		if len(alone) != len(want[i]) {
			t.Fatalf("sequence %d has %d losses, want %d", i, len(alone), len(want[i]))
		}
		for j, loss := range want[i] {
			worst, sum, n = max(worst, math.Abs(alone[j]-loss)), sum+math.Abs(alone[j]-loss), n+1
			batchDifference = max(batchDifference, math.Abs(alone[j]-together[j]))
		}
		together = together[len(alone):]
	}
	t.Logf("the differences from transformers are %.2g nats at most and %.2g in the mean, those between batches at most %.2g", worst, sum/float64(n), batchDifference)
	if worst > tolerance.most || sum/float64(n) > tolerance.mean {
		t.Errorf("the differences from transformers are %g nats at most and %g in the mean", worst, sum/float64(n))
	}
	limit := tolerance.most / 10
	if d.ranks[0].device == tensor.CPU && tensor.IndependentRows() {
		limit = 0
	}
	if batchDifference > limit {
		t.Errorf("a loss differs by %g nats between batches, which is more than %g", batchDifference, limit)
	}
	if heap.Live() != weights {
		t.Errorf("%d tensors before, %d after", weights, heap.Live())
	}
}

// TestRanksInBFloat16 checks that more ranks change losses in bfloat16 by far less than bfloat16 does: partial sums over
// ranks are float32.
func TestRanksInBFloat16(t *testing.T) {
	for _, directory := range families(t) {
		t.Run(filepath.Base(directory), func(t *testing.T) {
			sequences, _ := readGolden(t, directory)
			losses := func(kind tensor.Type, ranks int) []float64 {
				d, _ := load(t, directory, Options{Type: kind, Devices: slices.Repeat([]tensor.Device{tensor.CPU}, ranks)})
				got, err := lossesOf(t.Context(), d, sequences)
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			one := losses(tensor.BFloat16, 1)
			coarseness := meanDistance(one, losses(tensor.Float32, 1))
			for _, ranks := range []int{2, 4} {
				if d := meanDistance(one, losses(tensor.BFloat16, ranks)); d > coarseness/10 {
					t.Errorf("%d ranks change a loss by %.2g nats on average, and bfloat16 by %.2g", ranks, d, coarseness)
				}
			}
		})
	}
}

// meanDistance is the mean absolute difference of two slices' elements.
func meanDistance(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += math.Abs(a[i] - b[i])
	}
	return sum / float64(len(a))
}
