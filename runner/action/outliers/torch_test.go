//go:build torch

package outliers_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/sdk"
	"surprisal.dev/plugins/torch/backend"
	"surprisal.dev/providers/jsonl"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/outliers"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/workspace"
)

func backends() map[string]sdk.Backend {
	return map[string]sdk.Backend{"observing": actiontest.Observing{}, "torch": backend.New()}
}

// golden is testdata/golden_models.json.
type golden struct {
	Threshold, LayerShare, SequenceShare float64
	Length                               int
	Texts                                []string
	Models                               []struct {
		Name          string
		Sites, Hidden int
		Want          struct {
			Occurrences, Dimensions      int64
			Perplexity                   float64
			MeanLayer, MedianLayer       *float64
			MeanSequence, MedianSequence *float64
			Largest, LargestRatio        float64
			LargestSite                  string
			LargestDimension             int32
			ByDimension                  []outliers.DimensionRow
		}
	}
}

// The torch backend finds the outliers of its golden models that transformers and numpy find: dimensions, counts and
// percentages exactly, magnitudes and losses to 1e-4. A model that normalizes only outputs is listed with why.
func TestTorch(t *testing.T) {
	data, err := os.ReadFile("testdata/golden_models.json")
	if err != nil {
		t.Fatal(err)
	}
	var want golden
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	s := runTorch(t, want)
	for i, m := range want.Models {
		r, want := s.Rows[i], m.Want
		if r.Model != m.Name || r.Sites != m.Sites || r.Occurrences != want.Occurrences || r.Dimensions != want.Dimensions {
			t.Errorf("%s: got %+v, want %d occurrences of %d dimensions at %d sites", m.Name, r, want.Occurrences, want.Dimensions, m.Sites)
			continue
		}
		near := func(what string, got, want, tolerance float64) {
			if !(math.Abs(got-want) <= tolerance*max(1, math.Abs(want))) {
				t.Errorf("%s: %s: got %v, want %v", m.Name, what, got, want)
			}
		}
		near("the logarithm of the perplexity", math.Log(*r.Perplexity), math.Log(want.Perplexity), 1e-5)
		if m.Sites == 0 {
			if r.Problem == "" {
				t.Errorf("%s: no problem is given", m.Name)
			}
			continue
		}
		near("mean layers", *r.MeanLayer, *want.MeanLayer, 1e-9)
		near("median layers", *r.MedianLayer, *want.MedianLayer, 1e-9)
		near("mean positions", *r.MeanSequence, *want.MeanSequence, 1e-9)
		near("median positions", *r.MedianSequence, *want.MedianSequence, 1e-9)
		near("the largest magnitude", r.Largest.Magnitude, want.Largest, 1e-4)
		near("its ratio", *r.Largest.Ratio, want.LargestRatio, 1e-4)
		if r.Largest.Site != want.LargestSite || *r.Largest.Dimension != want.LargestDimension {
			t.Errorf("%s: the largest magnitude is at %+v, want dimension %d at %s", m.Name, r.Largest, want.LargestDimension, want.LargestSite)
		}
		slices.SortStableFunc(want.ByDimension, func(a, b outliers.DimensionRow) int { return int(b.Occurrences - a.Occurrences) })
		close := cmp.Comparer(func(x, y float64) bool { return math.Abs(x-y) <= 1e-4 })
		if d := cmp.Diff(want.ByDimension[:len(r.Top)], r.Top, close); d != "" {
			t.Errorf("%s: %s", m.Name, d)
		}
	}
}

// runTorch runs an experiment over the golden models from its specification.
func runTorch(t *testing.T, of golden) (s outliers.Summary) {
	dir := t.TempDir()
	var lines, models, names []string
	for _, text := range of.Texts {
		line, err := json.Marshal(map[string]string{"text": text})
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	for _, m := range of.Models {
		copyModel(t, filepath.Join("..", "..", "..", "testdata", "torch", "golden", m.Name), filepath.Join(dir, m.Name))
		models = append(models, fmt.Sprintf(`%s: {backend: torch: {dtype: "float32", device: "cpu"}, weights: safetensors: path: %[1]q}`, m.Name))
		names = append(names, fmt.Sprintf("%q", m.Name))
	}
	spec := fmt.Sprintf(`package x

import "surprisal.dev/experiment"

experiment.#Experiment

name: "x"
datasets: texts: source: jsonl: path: "texts.jsonl"
models: {
	%s
}
outliers: t: {models: [%s], sequenceLength: %d, threshold: %v, layerShare: %v, sequenceShare: %v}
`, strings.Join(models, "\n\t"), strings.Join(names, ", "), of.Length, of.Threshold, of.LayerShare, of.SequenceShare)
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, "x.cue"), []byte(spec), 0o644),
		os.WriteFile(filepath.Join(dir, "texts.jsonl"), []byte(strings.Join(lines, "\n")), 0o644),
	)
	if err != nil {
		t.Fatal(err)
	}
	w, err := workspace.Open(t.Context(), workspace.Options{
		Dir: dir, Log: hclog.NewNullLogger(),
		Builtins: workspace.Builtins{Providers: map[string]sdk.Provider{"jsonl": jsonl.New()}, Backends: map[string]sdk.Backend{"torch": backends()["torch"]}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	p, err := w.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	outcome, err := w.Run(t.Context(), p, workspace.RunOptions{Cores: 2, Observer: func(*plan.Plan) engine.Observer { return ignore{} }})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range outcome.Failures {
		t.Error(f.Err)
	}
	if err := artifact.ReadJSON(filepath.Join(dir, ".surprisal", "reports", "outliers", "t", artifact.SummaryFile), &s); err != nil {
		t.Fatal(err)
	}
	if v, err := w.Verify(t.Context()); err != nil || len(v.Problems) > 0 {
		t.Errorf("got %+v, %v", v, err)
	}
	return s
}

type ignore struct{}

func (ignore) Observe(engine.Event)                  {}
func (ignore) Advance(*plan.Action, action.Progress) {}

// copyModel copies a model with a tokenizer whose tokens are bytes.
func copyModel(t *testing.T, from, to string) {
	t.Helper()
	vocabulary := map[string]int{}
	next := rune(0x100)
	for b := range 256 {
		r := rune(b)
		if printed := b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae; !printed {
			r = next
			next++
		}
		vocabulary[string(r)] = b
	}
	level := map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true}
	tokenizer, err := json.Marshal(map[string]any{
		"version": "1.0", "added_tokens": []any{}, "normalizer": nil, "post_processor": nil, "truncation": nil, "padding": nil,
		"pre_tokenizer": level, "decoder": level,
		"model": map[string]any{
			"type": "BPE", "vocab": vocabulary, "merges": []any{}, "dropout": nil, "unk_token": nil, "byte_fallback": false,
			"continuing_subword_prefix": nil, "end_of_word_suffix": nil, "fuse_unk": false,
		},
	})
	config, errConfig := os.ReadFile(filepath.Join(from, "config.json"))
	weights, errWeights := os.ReadFile(filepath.Join(from, "model.safetensors"))
	err = errors.Join(err, errConfig, errWeights, os.Mkdir(to, 0o755))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"tokenizer.json": tokenizer, "config.json": config, "model.safetensors": weights} {
		if err := os.WriteFile(filepath.Join(to, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
