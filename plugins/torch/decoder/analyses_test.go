//go:build torch

package decoder

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/torch/checkpoint"
	"surprisal.dev/plugins/torch/tensor"
)

// goldenTopK is the K of testdata/torch/analyses.py; the range is that of its losses.
const (
	goldenTopK                           = 40
	rangePrefix                          = 1
	goldenFrom, goldenScore, goldenRange = 10, 30, 50
)

// goldenAnalyses holds what transformers computes for the sequences of a golden; see testdata/torch/analyses.py.
type goldenAnalyses struct {
	Sites     []string `json:"sites"`
	Threshold float64  `json:"threshold"`
	Sequences []struct {
		TopMass    []float64   `json:"top_mass"`
		Prompted   []float64   `json:"prompted"`
		Unprompted []float64   `json:"unprompted"`
		Positions  int64       `json:"positions"`
		Largest    []float64   `json:"largest"`
		Medians    []float64   `json:"medians"`
		Dimensions []dimension `json:"dimensions"`
	} `json:"sequences"`
}

// dimension is its number, the sites and the number of positions at which it reaches the threshold, and its largest
// magnitude.
type dimension struct {
	number    int32
	sites     []int
	positions int64
	largest   float64
}

func (d *dimension) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[...]any{&d.number, &d.sites, &d.positions, &d.largest})
}

func readAnalyses(t *testing.T, directory string) goldenAnalyses {
	t.Helper()
	var g goldenAnalyses
	readJSON(t, filepath.Join(directory, "analyses.json"), &g)
	return g
}

// eachGolden calls f for each golden in float32 with one rank and several.
func eachGolden(t *testing.T, f func(t *testing.T, d *Decoder, directory string)) {
	t.Helper()
	for _, directory := range families(t) {
		for _, ranks := range []int{1, 2, 4} {
			t.Run(fmt.Sprintf("%s/%d", filepath.Base(directory), ranks), func(t *testing.T) {
				d, heap := load(t, directory, Options{Devices: slices.Repeat([]tensor.Device{tensor.CPU}, ranks)})
				weights := heap.Live()
				f(t, d, directory)
				if heap.Live() != weights {
					t.Errorf("%d tensors before, %d after", weights, heap.Live())
				}
			})
		}
	}
}

// compareFloats compares numbers with those of transformers.
func compareFloats(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d numbers of %s, want %d", len(got), what, len(want))
	}
	for i := range want {
		if d := math.Abs(got[i] - want[i]); !(d <= float32Near.most) {
			t.Errorf("%s %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

// TestTopKMass compares the mass of the top tokens with transformers.
func TestTopKMass(t *testing.T) { eachGolden(t, testTopKMass) }

func testTopKMass(t *testing.T, d *Decoder, directory string) {
	t.Helper()
	sequences, _ := readGolden(t, directory)
	for i, want := range readAnalyses(t, directory).Sequences {
		got, err := d.Predict(t.Context(), sequences[i:i+1], Wanted{Confidence: true, TopK: goldenTopK})
		if err != nil {
			t.Fatal(err)
		}
		compareFloats(t, "mass", got.TopKMass, want.TopMass)
	}
}

// TestRangeLosses compares the losses of a range with and without its prompt with transformers.
func TestRangeLosses(t *testing.T) { eachGolden(t, testRangeLosses) }

func testRangeLosses(t *testing.T, d *Decoder, directory string) {
	t.Helper()
	sequences, _ := readGolden(t, directory)
	compared := 0
	for i, want := range readAnalyses(t, directory).Sequences {
		ids := sequences[i].Tokens
		if len(want.Prompted) == 0 {
			continue
		}
		prompted := Sequence{Tokens: append([]int32{rangePrefix}, ids[goldenFrom:goldenRange]...), From: 1 + goldenScore - goldenFrom}
		suffix := Sequence{Tokens: append([]int32{rangePrefix}, ids[goldenScore:goldenRange]...), From: 1}
		got, err := lossesOf(t.Context(), d, []Sequence{prompted, suffix})
		if err != nil {
			t.Fatal(err)
		}
		compareFloats(t, "loss", got, slices.Concat(want.Prompted, want.Unprompted))
		compared += len(got)
	}
	if compared != 2*(goldenRange-goldenScore) {
		t.Errorf("%d losses were compared", compared)
	}
}

// TestActivations compares activations with transformers, for each sequence alone and for all together: dimensions, their
// sites and positions exactly, magnitudes within a tolerance. Losses keep their bits.
func TestActivations(t *testing.T) { eachGolden(t, testActivations) }

func testActivations(t *testing.T, d *Decoder, directory string) {
	t.Helper()
	sequences, _ := readGolden(t, directory)
	golden := readAnalyses(t, directory)
	plain, err := lossesOf(t.Context(), d, sequences)
	if err != nil {
		t.Fatal(err)
	}
	wanted := Wanted{ActivationThreshold: golden.Threshold}
	together, err := d.Predict(t.Context(), sequences, wanted)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(together.Losses, plain) {
		t.Error("activations change losses")
	}
	m := protocol.LoadedModel{Sites: golden.Sites, HiddenSize: int64(d.architecture.Hidden)}
	some := false
	for i := range sequences {
		alone, err := d.Predict(t.Context(), sequences[i:i+1], wanted)
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []protocol.Activations{alone.Activations[0], together.Activations[i]} {
			compareActivations(t, got, golden, i)
			if err := (protocol.Settings{ActivationThreshold: golden.Threshold}).CheckRequest(protocol.ScoredDocument{Activations: got}, m); err != nil {
				t.Error(err)
			}
		}
		n := len(golden.Sequences[i].Dimensions)
		some = some || n > 0 && n < d.architecture.Hidden
	}
	if !some && len(golden.Sites) > 0 {
		t.Error("no sequence has some dimensions above the threshold and others below")
	}
}

func compareActivations(t *testing.T, got protocol.Activations, golden goldenAnalyses, i int) {
	t.Helper()
	want := golden.Sequences[i]
	largest, medians := make([]float64, len(golden.Sites)), make([]float64, len(golden.Sites))
	copy(largest, want.Largest) // a sequence of one token reads nothing
	copy(medians, want.Medians)
	var gotLargest, gotMedians []float64
	for _, s := range got.Sites {
		gotLargest, gotMedians = append(gotLargest, float64(s.Largest)), append(gotMedians, float64(s.Median))
	}
	compareFloats(t, "largest magnitude", gotLargest, largest)
	compareFloats(t, "median", gotMedians, medians)
	if len(golden.Sites) > 0 && got.Positions != want.Positions {
		t.Errorf("sequence %d has %d positions, want %d", i, got.Positions, want.Positions)
	}
	if len(got.Dimensions) != len(want.Dimensions) {
		t.Fatalf("sequence %d has %d dimensions, want %d", i, len(got.Dimensions), len(want.Dimensions))
	}
	for j, w := range want.Dimensions {
		g := got.Dimensions[j]
		var sites []int
		for site := range golden.Sites {
			if g.Sites[site/8]>>(site%8)&1 == 1 {
				sites = append(sites, site)
			}
		}
		if g.Dimension != w.number || g.Positions != w.positions || !slices.Equal(sites, w.sites) || math.Abs(float64(g.Largest)-w.largest) > float32Near.most {
			t.Errorf("sequence %d: dimension %+v at sites %v, want %+v", i, g, sites, w)
		}
	}
}

// TestSites compares the names of sites with those in the files of each family.
func TestSites(t *testing.T) {
	for _, directory := range families(t) {
		c, err := checkpoint.Open(directory)
		if err != nil {
			t.Fatal(err)
		}
		if want := readAnalyses(t, directory).Sites; !slices.Equal(c.Sites(), want) {
			t.Errorf("%s: sites %v, want %v", directory, c.Sites(), want)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
