//go:build torch && families

package sliding_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/sdk"
	"surprisal.dev/plugins/torch/backend"
	"surprisal.dev/providers/text"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/workspace"
)

// addBackends adds the backend of TestFamilies.
func addBackends(backends map[string]sdk.Backend) { backends["torch"] = backend.New() }

const families = "../../../testdata/families"

// The spec has no names that depend on the machine: the models and the texts are links.
const spec = `package x

import "surprisal.dev/experiment"

experiment.#Experiment

name: "x"
scoring: context: 256
limits: {documents: 10, bytes: 4200}
datasets: {
	for n in ["1", "42"] {"chapter_\(n)": source: text: path: "texts/moby-dick/chapter_\(n).txt"}
	"speeches": source: text: path: "texts/speeches/kept/*.txt"
}
models: {
	for n in ["w32", "w64", "w96", "w128"] {(n): {backend: torch: {}, weights: safetensors: path: "models/\(n)", family: "speeches"}}
	"chapter": {backend: torch: {}, weights: safetensors: path: "models/chapter", family: "chapter"}
	"halves": {backend: torch: tensorParallel: 2, weights: safetensors: path: "models/chapter", family: "chapter"}
}
scaling: sizes: {models: ["w32", "w64", "w96", "w128"], datasets: ["speeches"]}
sliding: book: {models: ["w128", "chapter", "halves"], datasets: ["chapter_*"], cursorInc: 400}
outliers: all: {models: ["w32", "w64", "w96", "w128"], datasets: ["speeches"], sequenceLength: 256, threshold: 2}
`

// window is a row of sliding.json, which transformers computed.
type window struct {
	Model, Text   string
	Start         int64
	LogP          float64  `json:"log_p"`
	WithoutPrompt float64  `json:"log_p_without_prompt"`
	TopK          *float64 `json:"log_p_topk"`
	Greedy        int32
}

// The models of testdata/families: larger ones have lower losses, "chapter" has memorized its chapter and nothing else,
// and probabilities are those that transformers computes, with one rank and with two.
func TestFamilies(t *testing.T) {
	reports := run(t)
	var want []window
	data, err := os.ReadFile(filepath.Join(families, "sliding.json"))
	if err := errors.Join(err, json.Unmarshal(data, &want)); err != nil {
		t.Fatal(err)
	}
	got := map[string]map[int64]artifact.Window{}
	for _, model := range []string{"w128", "chapter", "halves"} {
		for _, chapter := range []string{"chapter_1", "chapter_42"} {
			got[model+chapter] = windowsOf(t, filepath.Join(reports, "sliding/book", model, chapter, artifact.WindowsFile))
		}
	}
	near := func(w window, what string, got, want float64) {
		if !(math.Abs(got-want) <= 1e-4*max(1, math.Abs(want)/10)) && got != want {
			t.Errorf("%s, %s at %d: %s is %v, want %v", w.Model, w.Text, w.Start, what, got, want)
		}
	}
	for _, w := range want {
		models := []string{w.Model}
		if w.Model == "chapter" {
			models = append(models, "halves")
		}
		for _, model := range models {
			row, ok := got[model+w.Text][w.Start]
			if !ok {
				t.Errorf("%s, %s: there is no window at %d", model, w.Text, w.Start)
				continue
			}
			top := math.Inf(-1)
			if w.TopK != nil {
				top = *w.TopK
			}
			near(w, "log p", row.LogP, w.LogP)
			near(w, "log p without the prompt", row.LogPWithoutPrompt, w.WithoutPrompt)
			near(w, "log p of the top 40", row.LogPTopK, top)
			if row.GreedyTokens != w.Greedy {
				t.Errorf("%s, %s at %d: %d greedy tokens, want %d", model, w.Text, w.Start, row.GreedyTokens, w.Greedy)
			}
		}
	}
	for of, rows := range got {
		bright := 0
		for _, row := range rows {
			// Merely easy text is also likely without its prompt.
			if row.LogP > math.Log(1e-4) && row.LogPWithoutPrompt < math.Log(1e-4) {
				bright++
			}
		}
		if memorized := of == "chapterchapter_42" || of == "halveschapter_42"; bright < len(rows)*3/4 && memorized || bright > 0 && !memorized {
			t.Errorf("%s: %d of %d windows are memorized", of, bright, len(rows))
		}
	}
	decreasing(t, filepath.Join(reports, "scaling/sizes", artifact.SummaryFile))
}

// decreasing checks that the loss of each model is below that of the smaller one, and that power laws are fitted.
func decreasing(t *testing.T, path string) {
	t.Helper()
	var s struct {
		Models []struct{ BPB float64 }
		Fits   []json.RawMessage
	}
	if err := artifact.ReadJSON(path, &s); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(s.Models); i++ {
		if s.Models[i].BPB >= s.Models[i-1].BPB {
			t.Errorf("bits per byte %v, then %v", s.Models[i-1].BPB, s.Models[i].BPB)
		}
	}
	if len(s.Models) != 4 || len(s.Fits) == 0 {
		t.Errorf("got %d rows and %d fits", len(s.Models), len(s.Fits))
	}
}

func windowsOf(t *testing.T, path string) map[int64]artifact.Window {
	t.Helper()
	r, err := artifact.OpenWindows(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all := map[int64]artifact.Window{}
	for w, err := range r.All() {
		if err != nil {
			t.Fatal(err)
		}
		all[w.Start] = w
	}
	return all
}

// run runs the experiment and returns the directory of its reports.
func run(t *testing.T) string {
	t.Helper()
	texts := os.Getenv("SURPRISAL_TEXTS")
	if texts == "" {
		t.Fatal("SURPRISAL_TEXTS is not set; run `just test-families`, or set it to the directory that testdata/families/texts.py wrote")
	}
	models, err := filepath.Abs(families)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "x.cue"), []byte(spec), 0o644),
		os.Symlink(models, filepath.Join(dir, "models")),
		os.Symlink(texts, filepath.Join(dir, "texts")),
	)
	if err != nil {
		t.Fatal(err)
	}
	w, err := workspace.Open(t.Context(), workspace.Options{
		Dir: dir, Log: hclog.NewNullLogger(),
		Builtins: workspace.Builtins{Providers: map[string]sdk.Provider{"text": text.New()}, Backends: map[string]sdk.Backend{"torch": backend.New()}},
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
	if v, err := w.Verify(t.Context()); err != nil || len(v.Problems) > 0 {
		t.Errorf("got %+v, %v", v, err)
	}
	return filepath.Join(dir, ".surprisal", "reports")
}

type ignore struct{}

func (ignore) Observe(engine.Event)                  {}
func (ignore) Advance(*plan.Action, action.Progress) {}
