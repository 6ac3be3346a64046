package artifact_test

import (
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/runner/artifact"
)

func TestConfidence(t *testing.T) {
	rows := []artifact.Confidence{
		{Shard: "s", Row: 1, TopIDs: []int32{7, 0, 9}, TopNLL: []float64{0.5, 0, -1e-10}, Ranks: []int32{3, 0, 1}, Entropies: []float64{1.5, 0, 2}},
		{Shard: "t", Row: 0, TopIDs: []int32{}, TopNLL: []float64{}, Ranks: []int32{}, Entropies: []float64{}},
	}
	path := filepath.Join(t.TempDir(), artifact.ConfidenceFile)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := artifact.NewConfidenceWriter(f)
	for _, row := range rows {
		err = errors.Join(err, w.Write(row))
	}
	if err := errors.Join(err, w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := artifact.OpenConfidence(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []artifact.Confidence
	for row, err := range r.All() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, row)
	}
	equal := cmp.Comparer(slices.Equal[[]int32])
	if d := cmp.Diff(rows, got, equal, cmp.Comparer(slices.Equal[[]float64])); d != "" {
		t.Error(d)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for want, bad := range map[string]artifact.Confidence{
		"1 top tokens, 0 losses":                  {TopIDs: []int32{1}, Ranks: []int32{1}, Entropies: []float64{1}},
		"1 top tokens, 1 losses of them, 2 ranks": {TopIDs: []int32{1}, TopNLL: []float64{1}, Ranks: []int32{1, 2}, Entropies: []float64{1}},
		"token 0 has rank -1":                     {TopIDs: []int32{1}, TopNLL: []float64{1}, Ranks: []int32{-1}, Entropies: []float64{1}},
		"a loss of NaN nats":                      {TopIDs: []int32{1}, TopNLL: []float64{math.NaN()}, Ranks: []int32{1}, Entropies: []float64{1}},
		"an entropy of +Inf":                      {TopIDs: []int32{1}, TopNLL: []float64{1}, Ranks: []int32{1}, Entropies: []float64{math.Inf(1)}},
	} {
		if err := artifact.NewConfidenceWriter(io.Discard).Write(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", bad, err, want)
		}
	}
}
