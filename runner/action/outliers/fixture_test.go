package outliers

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/activations"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// observed is an entry of testdata/reference.json.
type observed struct {
	Name, Family  string
	Sites, Hidden int
	Sequences     []struct {
		Tokens, Bytes, Positions int64
		Nats                     float64
		Largest, Median          []float64
		Dimensions               []struct {
			Dimension int32
			Sites     []int
			Positions int64
			Largest   float64
		}
	}
	Want struct {
		Occurrences, Dimensions      int64
		Perplexity, BPB              float64
		MeanLayer, MedianLayer       *float64
		MeanSequence, MedianSequence *float64
		Largest, LargestRatio        float64
		LargestSite                  int
		LargestDimension             int32
		ByDimension                  []DimensionRow
	}
}

func readObserved(t *testing.T) (all []observed) {
	t.Helper()
	data, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// siteNames returns the names of a model's sites.
func siteNames(n int) []string {
	names := []string{}
	for i := range n {
		of := "input_layernorm"
		if i%2 == 1 {
			of = "post_attention_layernorm"
		}
		names = append(names, "model.layers."+string(rune('0'+i/2))+"."+of)
	}
	return names
}

// fixture is a report on models of testdata.
type fixture struct {
	parameters
	models []observed
	// change changes the summary of model i before it is written.
	change func(i int, s *activations.Summary)
}

// definition is that of testdata/reference.py.
func definition() Definition {
	return Definition{Sequences: 5, SequenceLength: 96, Threshold: 6, LayerShare: 0.25, SequenceShare: 0.06}
}

func newFixture(models ...observed) fixture {
	f := fixture{models: models, parameters: parameters{Datasets: []string{"d"}, Definition: definition(), Figure: Size{8, 5, 100}}}
	for _, m := range models {
		f.Models = append(f.Models, model{m.Name, m.Family})
	}
	return f
}

// task returns a task over the fixture's activations.
func (f fixture) task(t *testing.T) *action.Task {
	t.Helper()
	inputs := map[string]string{}
	for i, m := range f.models {
		dir := t.TempDir()
		s := write(t, dir, m)
		if f.change != nil {
			f.change(i, &s)
		}
		if err := artifact.WriteJSON(filepath.Join(dir, artifact.SummaryFile), s); err != nil {
			t.Fatal(err)
		}
		for _, file := range activations.Files() {
			inputs[side(i)+"/d/"+file] = filepath.Join(dir, file)
		}
	}
	of, err := json.Marshal(f.parameters)
	if err != nil {
		t.Fatal(err)
	}
	return &action.Task{Descriptor: plan.Descriptor{Kind: name, Parameters: of}, Name: "outliers t", Inputs: inputs, Dir: t.TempDir()}
}

// write writes the tables of a model and returns their summary.
func write(t *testing.T, dir string, m observed) activations.Summary {
	t.Helper()
	s := activations.Summary{
		SequenceLength: 96, Threshold: 6, Sites: siteNames(m.Sites), HiddenSize: int64(m.Hidden),
		Protocol: artifact.ScoringProtocol{Prefix: "bos", Dtype: "float32"}, Computed: map[string]string{"device": "cpu"},
	}
	sequences, errSequences := os.Create(filepath.Join(dir, artifact.SequencesFile))
	dimensions, errDimensions := os.Create(filepath.Join(dir, artifact.DimensionsFile))
	if err := errors.Join(errSequences, errDimensions); err != nil {
		t.Fatal(err)
	}
	bySequence, byDimension := artifact.NewActivationSequenceWriter(sequences), artifact.NewActivationDimensionWriter(dimensions)
	for i, of := range m.Sequences {
		row := artifact.ActivationSequence{
			Shard: "s", Row: int64(i), Tokens: of.Tokens, Predicted: of.Tokens, Nats: of.Nats, ScoredBytes: of.Bytes, Positions: of.Positions,
			SiteLargest: of.Largest, SiteMedian: of.Median,
		}
		if err := bySequence.Write(row); err != nil {
			t.Fatal(err)
		}
		s.Add(&row)
		s.Documents++
		s.Bytes += 1000
		for _, d := range of.Dimensions {
			s.Hits++
			row := artifact.ActivationDimension{Sequence: int64(i), Dimension: d.Dimension, Positions: d.Positions, Largest: d.Largest}
			for _, b := range d.Sites {
				row.Sites = append(row.Sites, byte(b))
			}
			if err := byDimension.Write(row); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(bySequence.Close(), byDimension.Close(), sequences.Close(), dimensions.Close()); err != nil {
		t.Fatal(err)
	}
	return s
}
