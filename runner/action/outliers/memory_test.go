//go:build slow

package outliers_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/activations"
	"surprisal.dev/runner/action/outliers"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// The memory of a report does not grow with the sequences: two hundred sequences of many outliers, of two models, and
// figures of many pixels.
func TestMemory(t *testing.T) {
	dir := os.Getenv("SURPRISAL_MEMORY_TABLES")
	const sites, hidden = 120, 8000
	if dir == "" {
		dir = t.TempDir()
		t.Setenv("SURPRISAL_MEMORY_TABLES", dir)
		writeMany(t, dir, sites, hidden, 200)
	}
	const parameters = `{"datasets":["d"],"models":[{"name":"a"},{"name":"b"}],"figure":{"width":30,"height":20,"dpi":200},
		"definition":{"sequences":200,"sequenceLength":2048,"threshold":6,"layerShare":0.25,"sequenceShare":0.06}}`
	actiontest.WithinMemory(t, artifact.OutliersMemory(30*20*200*200), func() {
		task := action.Task{
			Descriptor: plan.Descriptor{Kind: "outliers", Parameters: []byte(parameters)}, Inputs: map[string]string{}, Dir: t.TempDir(),
		}
		for _, model := range []string{"000", "001"} {
			for _, file := range activations.Files() {
				task.Inputs[model+"/d/"+file] = filepath.Join(dir, file)
			}
		}
		if _, err := (outliers.Kind{}).Work(t.Context(), &task); err != nil {
			t.Fatal(err)
		}
	})
}

// writeMany writes sequences in each of which half of the dimensions are systematic.
func writeMany(t *testing.T, dir string, sites, hidden, sequences int) {
	t.Helper()
	s := activations.Summary{Threshold: 6, HiddenSize: int64(hidden), Documents: int64(sequences), Bytes: 1}
	magnitudes, medians, all := make([]float64, sites), make([]float64, sites), make([]byte, (sites+7)/8)
	for i := range sites {
		s.Sites = append(s.Sites, fmt.Sprintf("norm.%d", i))
		magnitudes[i], medians[i] = 9, 1
		all[i/8] |= 1 << (i % 8)
	}
	x, errX := os.Create(filepath.Join(dir, artifact.SequencesFile))
	y, errY := os.Create(filepath.Join(dir, artifact.DimensionsFile))
	if err := errors.Join(errX, errY); err != nil {
		t.Fatal(err)
	}
	bySequence, byDimension := artifact.NewActivationSequenceWriter(x), artifact.NewActivationDimensionWriter(y)
	for i := range sequences {
		row := artifact.ActivationSequence{
			Shard: "s", Row: int64(i), Tokens: 2048, Predicted: 2047, Nats: 3000 + float64(i), ScoredBytes: 9000, Positions: int64(1000 + i),
			SiteLargest: magnitudes, SiteMedian: medians,
		}
		s.Add(&row)
		if err := bySequence.Write(row); err != nil {
			t.Fatal(err)
		}
		for d := i % 2; d < hidden; d += 2 {
			row := artifact.ActivationDimension{
				Sequence: int64(i), Dimension: int32(d), Sites: all, Positions: int64(100 + (d*7919+i*104729)%900), Largest: 6 + float64(d%30)/10,
			}
			if err := byDimension.Write(row); err != nil {
				t.Fatal(err)
			}
		}
	}
	err := errors.Join(bySequence.Close(), byDimension.Close(), x.Close(), y.Close(), artifact.WriteJSON(filepath.Join(dir, artifact.SummaryFile), s))
	if err != nil {
		t.Fatal(err)
	}
}
