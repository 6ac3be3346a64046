//go:build torch

package decoder

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"surprisal.dev/plugins/torch/tensor"
)

// goldenConfidence holds what transformers predicts for the sequences of a golden; see testdata/torch/golden.py.
type goldenConfidence struct {
	Sequences []struct {
		Top       []int32   `json:"top"`
		TopNLL    []float64 `json:"top_nll"`
		Ranks     []int32   `json:"ranks"`
		Entropies []float64 `json:"entropies"`
		TopGaps   []float64 `json:"top_gaps"`
		RankGaps  []float64 `json:"rank_gaps"`
	} `json:"sequences"`
}

func readConfidence(t *testing.T, directory string) goldenConfidence {
	t.Helper()
	var g goldenConfidence
	readJSON(t, filepath.Join(directory, "confidence.json"), &g)
	return g
}

// TestConfidence compares the confidence of each family in float32 with transformers, for one rank and several, each
// sequence alone. Tops and ranks are equal wherever the golden's gap to the next logit exceeds the tolerance of losses;
// at most a thirtieth of the gaps may be smaller.
func TestConfidence(t *testing.T) {
	for _, directory := range families(t) {
		for _, ranks := range []int{1, 2, 4} {
			t.Run(fmt.Sprintf("%s/%d", filepath.Base(directory), ranks), func(t *testing.T) {
				d, _ := load(t, directory, Options{Devices: slices.Repeat([]tensor.Device{tensor.CPU}, ranks)})
				testConfidence(t, d, directory)
			})
		}
	}
}

func testConfidence(t *testing.T, d *Decoder, directory string) {
	t.Helper()
	sequences, _ := readGolden(t, directory)
	compared, unclear := 0, 0
	for i, want := range readConfidence(t, directory).Sequences {
		got, err := d.Predict(t.Context(), sequences[i:i+1], Wanted{Confidence: true, TopK: goldenTopK})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Top) != len(want.Top) || len(got.Ranks) != len(want.Ranks) {
			t.Fatalf("sequence %d has %d tops and %d ranks, want %d", i, len(got.Top), len(got.Ranks), len(want.Top))
		}
		for j := range want.Top {
			for _, id := range []struct {
				what      string
				got, want int32
				gap       float64
			}{{"top", got.Top[j], want.Top[j], want.TopGaps[j]}, {"rank", got.Ranks[j], want.Ranks[j], want.RankGaps[j]}} {
				compared++
				if id.gap <= float32Near.most {
					unclear++
				} else if id.got != id.want {
					t.Errorf("sequence %d, prediction %d: %s %d, want %d", i, j, id.what, id.got, id.want)
				}
			}
			if d := math.Abs(got.TopNLL[j] - want.TopNLL[j]); !(d <= float32Near.most) {
				t.Errorf("sequence %d, prediction %d: the NLL of top is %v, want %v", i, j, got.TopNLL[j], want.TopNLL[j])
			}
			if d := math.Abs(got.Entropies[j] - want.Entropies[j]); !(d <= float32Near.most) {
				t.Errorf("sequence %d, prediction %d: entropy %v, want %v", i, j, got.Entropies[j], want.Entropies[j])
			}
		}
	}
	t.Logf("%d of %d tops and ranks are unclear", unclear, compared)
	if unclear > compared/30 {
		t.Errorf("%d of %d tops and ranks are unclear", unclear, compared)
	}
}

// TestConfidenceBits checks that confidence leaves the bits of losses as they are, that it does not depend on the other
// sequences of a batch, and that its fields agree with the losses.
func TestConfidenceBits(t *testing.T) {
	for _, directory := range families(t) {
		for _, ranks := range []int{1, 2} {
			for _, kind := range []tensor.Type{tensor.Float32, tensor.BFloat16} {
				t.Run(fmt.Sprintf("%s/%d/%d", filepath.Base(directory), ranks, kind), func(t *testing.T) {
					d, heap := load(t, directory, Options{Type: kind, Devices: slices.Repeat([]tensor.Device{tensor.CPU}, ranks)})
					weights := heap.Live()
					testConfidenceBits(t, d, directory)
					if heap.Live() != weights {
						t.Errorf("%d tensors before, %d after", weights, heap.Live())
					}
				})
			}
		}
	}
}

func testConfidenceBits(t *testing.T, d *Decoder, directory string) {
	t.Helper()
	sequences, _ := readGolden(t, directory)
	want, err := lossesOf(t.Context(), d, sequences)
	if err != nil {
		t.Fatal(err)
	}
	together, err := d.Predict(t.Context(), sequences, Wanted{Confidence: true, TopK: goldenTopK})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(together.Losses, want) {
		t.Error("confidence changes losses")
	}
	var alone tensor.Confidence
	var targets []int32
	for _, s := range sequences {
		c, err := d.Predict(t.Context(), []Sequence{s}, Wanted{Confidence: true, TopK: goldenTopK})
		if err != nil {
			t.Fatal(err)
		}
		alone.Top, alone.TopNLL = append(alone.Top, c.Top...), append(alone.TopNLL, c.TopNLL...)
		alone.Ranks, alone.Entropies = append(alone.Ranks, c.Ranks...), append(alone.Entropies, c.Entropies...)
		targets = append(targets, s.Tokens[1:]...)
	}
	same := slices.Equal(alone.Top, together.Top) && slices.Equal(alone.TopNLL, together.TopNLL) &&
		slices.Equal(alone.Ranks, together.Ranks) && slices.Equal(alone.Entropies, together.Entropies)
	if d.ranks[0].device == tensor.CPU && tensor.IndependentRows() && !same {
		t.Error("confidence depends on the other sequences of a batch")
	}
	limit := math.Log(float64(d.architecture.Vocabulary))
	for i, target := range targets {
		top, nll, rank, entropy := together.Top[i], together.TopNLL[i], together.Ranks[i], together.Entropies[i]
		if (top == target) != (rank == 1) || top == target && nll != together.Losses[i] || nll > together.Losses[i] || entropy < 0 || entropy > limit {
			t.Errorf("prediction %d of %d with loss %v: top %d with %v, rank %d, entropy %v", i, target, together.Losses[i], top, nll, rank, entropy)
		}
	}
}
