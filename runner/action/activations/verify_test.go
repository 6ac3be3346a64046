package activations

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/store"
)

// tables are the rows of an action over a model of nine sites and four dimensions.
type tables struct {
	sequences  []artifact.ActivationSequence
	dimensions []artifact.ActivationDimension
	summary    Summary
}

func example() *tables {
	magnitudes := func(v float64) []float64 { return []float64{v, 1, 1, 1, 1, 1, 1, 1, 8} }
	medians := []float64{0, 1, 1, 1, 1, 1, 1, 1, 1}
	return &tables{
		sequences: []artifact.ActivationSequence{
			{Shard: "s", Row: 0, Tokens: 10, Predicted: 9, Nats: 20, ScoredBytes: 30, Positions: 10, SiteLargest: magnitudes(7), SiteMedian: medians},
			{Shard: "s", Row: 1, SiteLargest: make([]float64, 9), SiteMedian: make([]float64, 9)},
			{Shard: "s", Row: 2, Tokens: 5, Predicted: 5, Nats: 7.5, ScoredBytes: 9, Positions: 5, SiteLargest: magnitudes(6), SiteMedian: medians},
		},
		dimensions: []artifact.ActivationDimension{
			{Sequence: 0, Dimension: 1, Sites: []byte{1, 0}, Positions: 4, Largest: 7}, {Sequence: 0, Dimension: 3, Sites: []byte{1, 1}, Positions: 10, Largest: 8},
			{Sequence: 2, Dimension: 1, Sites: []byte{0, 1}, Positions: 5, Largest: 8},
		},
		summary: Summary{
			Documents: 3, Threshold: 6, Sites: strings.Split("abcdefghi", ""), HiddenSize: 4,
			Sums: Sums{Tokens: 15, Predicted: 14, Positions: 15, ScoredBytes: 39, Nats: 27.5, Hits: 3},
		},
	}
}

// verify writes the tables and verifies them.
func (x *tables) verify(t *testing.T) error {
	t.Helper()
	dir := t.TempDir()
	sequences, errSequences := os.Create(filepath.Join(dir, artifact.SequencesFile))
	dimensions, errDimensions := os.Create(filepath.Join(dir, artifact.DimensionsFile))
	if err := errors.Join(errSequences, errDimensions, artifact.WriteJSON(filepath.Join(dir, artifact.SummaryFile), x.summary)); err != nil {
		t.Fatal(err)
	}
	bySequence, byDimension := artifact.NewActivationSequenceWriter(sequences), artifact.NewActivationDimensionWriter(dimensions)
	for _, row := range x.sequences {
		if err := bySequence.Write(row); err != nil {
			return err
		}
	}
	for _, row := range x.dimensions {
		if err := byDimension.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(bySequence.Close(), byDimension.Close(), sequences.Close(), dimensions.Close()); err != nil {
		t.Fatal(err)
	}
	var outputs []store.File
	for _, name := range Files() {
		outputs = append(outputs, store.File{Name: name, Digest: name})
	}
	files := action.NewFiles(outputs, func(_ context.Context, digest string) (string, error) { return filepath.Join(dir, digest), nil })
	_, err := Kind{}.Verify(t.Context(), files)
	return err
}

// Verification accepts whole tables, and finds each row that cannot be, and each sum that is not.
func TestVerify(t *testing.T) {
	if err := example().verify(t); err != nil {
		t.Fatal(err)
	}
	for problem, change := range map[string]func(*tables){
		"the rows add up to 3 documents":           func(x *tables) { x.summary.Nats += 1e-6 },
		"Hits:3} and 27.5 nats; the summary has 3": func(x *tables) { x.summary.Hits++ },
		"the rows add up to 2 documents": func(x *tables) {
			x.sequences = append(x.sequences[:1], x.sequences[2])
			x.dimensions = x.dimensions[:2]
		},
		"sequence 2, dimension 4: the model has 4":         func(x *tables) { x.dimensions[2].Dimension = 4 },
		"dimension 1: it follows dimension 1":              func(x *tables) { x.dimensions[1].Dimension = 1 },
		"the sites 0002 are not some of 9":                 func(x *tables) { x.dimensions[1].Sites = []byte{0, 2} },
		"the sites 0000 are not some of 9":                 func(x *tables) { x.dimensions[1].Sites = []byte{0, 0} },
		"the sites 01 are not some of 9":                   func(x *tables) { x.dimensions[1].Sites = []byte{1} },
		"it has 6 positions of 5":                          func(x *tables) { x.dimensions[2].Positions = 6 },
		"its largest magnitude, 5.9, is below the thresh":  func(x *tables) { x.dimensions[2].Largest = 5.9 },
		"its largest magnitude, 7.5, exceeds that of its ": func(x *tables) { x.dimensions[0].Largest = 7.5 },
		"dimension 1 belongs to sequence 3":                func(x *tables) { x.dimensions[2].Sequence = 3 },
		"dimension 1 of sequence 0 follows those of": func(x *tables) {
			x.dimensions[1].Sequence, x.dimensions[1].Positions, x.dimensions[2].Sequence = 2, 4, 0
		},
		"magnitudes at 8 sites; the model has 9": func(x *tables) {
			s := &x.sequences[2]
			s.SiteLargest, s.SiteMedian = s.SiteLargest[1:], s.SiteMedian[1:]
		},
		"8 largest magnitudes and 9 medians":    func(x *tables) { x.sequences[0].SiteLargest = x.sequences[0].SiteLargest[1:] },
		"site 3 has the median magnitude 2 and": func(x *tables) { x.sequences[0].SiteMedian = []float64{0, 1, 1, 2, 1, 1, 1, 1, 1} },
		"10 tokens, 11 with a loss":             func(x *tables) { x.sequences[0].Predicted = 11 },
	} {
		x := example()
		change(x)
		if err := x.verify(t); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("got %v, want %s", err, problem)
		}
	}
}
