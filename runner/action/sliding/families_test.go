//go:build torch && families

package sliding_test

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	for n in ["w32", "w64", "w128", "w256", "w384"] {(n): {backend: torch: {}, weights: safetensors: path: "models/\(n)", family: "speeches"}}
	"chapter": {backend: torch: {}, weights: safetensors: path: "models/chapter", family: "chapter"}
	for n in [2, 4] {"ranks-\(n)": {backend: torch: tensorParallel: n, weights: safetensors: path: "models/chapter", family: "chapter"}}
}
scaling: sizes: {models: ["w32", "w64", "w128", "w256", "w384"], datasets: ["speeches"]}
sliding: book: {models: ["w128", "chapter", "ranks-2", "ranks-4"], datasets: ["chapter_*"], cursorInc: 400}
outliers: all: {models: ["w32", "w64", "w128", "w256", "w384"], datasets: ["speeches"], sequenceLength: 256, threshold: 2}
`

// tolerance is that of a log p in nats.
const tolerance = 1e-4

// window is a row of sliding.json, which transformers computed.
type window struct {
	Model, Text   string
	Start, End    int64
	LogP          float64  `json:"log_p"`
	WithoutPrompt float64  `json:"log_p_without_prompt"`
	TopK          *float64 `json:"log_p_topk"`
	Greedy        int32
}

// The models of testdata/families: larger ones have lower losses, "chapter" has memorized its chapter and nothing else,
// and probabilities are those that transformers computes, with one rank, two and four. Characters have the largest of them.
func TestFamilies(t *testing.T) {
	reports := run(t)
	var want []window
	data, err := os.ReadFile(filepath.Join(families, "sliding.json"))
	if err := errors.Join(err, json.Unmarshal(data, &want)); err != nil {
		t.Fatal(err)
	}
	got := map[string]map[int64]artifact.Window{}
	for _, model := range []string{"w128", "chapter", "ranks-2", "ranks-4"} {
		for _, chapter := range []string{"chapter_1", "chapter_42"} {
			dir := filepath.Join(reports, "sliding/book", model, chapter)
			got[model+chapter] = windowsOf(t, filepath.Join(dir, artifact.WindowsFile))
			compareMaxima(t, filepath.Join(dir, artifact.CharacterMaxFile), model+" on "+chapter, maximaOf(want, model, chapter))
		}
	}
	near := func(w window, what string, got, want float64) {
		if !(math.Abs(got-want) <= tolerance) && got != want {
			t.Errorf("%s, %s at %d: %s is %v, want %v", w.Model, w.Text, w.Start, what, got, want)
		}
	}
	for _, w := range want {
		for _, model := range modelsOf(w) {
			row, ok := got[model+w.Text][w.Start]
			if !ok {
				t.Errorf("%s, %s: there is no window at %d", model, w.Text, w.Start)
				continue
			}
			top := math.Inf(-1)
			if w.TopK != nil {
				top = *w.TopK
			}
			if row.End != w.End {
				t.Errorf("%s, %s at %d: the window ends at %d, want %d", model, w.Text, w.Start, row.End, w.End)
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
		if memorized := strings.HasSuffix(of, "chapter_42") && of != "w128chapter_42"; bright < len(rows)*3/4 && memorized || bright > 0 && !memorized {
			t.Errorf("%s: %d of %d windows are memorized", of, bright, len(rows))
		}
	}
	decreasing(t, filepath.Join(reports, "scaling/sizes", artifact.SummaryFile))
}

// modelsOf returns the models whose window is that of a row.
func modelsOf(w window) []string {
	if w.Model == "chapter" {
		return []string{"chapter", "ranks-2", "ranks-4"}
	}
	return []string{w.Model}
}

// maximaOf returns the largest log p of the windows that cover each character, by the character.
func maximaOf(all []window, model, text string) map[int64]float64 {
	maxima := map[int64]float64{}
	for _, w := range all {
		if w.Text != text || !slices.Contains(modelsOf(w), model) {
			continue
		}
		for c := w.Start; c < w.End; c++ {
			if v, ok := maxima[c]; !ok || w.LogP > v {
				maxima[c] = w.LogP
			}
		}
	}
	return maxima
}

// compareMaxima checks that exactly the characters of maxima have a value, which is near to theirs, up to the last of
// them: a text of the experiment is longer than that of sliding.py.
func compareMaxima(t *testing.T, path, of string, maxima map[int64]float64) {
	t.Helper()
	in, err := artifact.OpenCharacterMax(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	last, compared := slices.Max(slices.Collect(maps.Keys(maxima))), 0
	for row, err := range in.All() {
		if err != nil {
			t.Fatal(err)
		}
		want, covered := maxima[row.Character]
		if row.Character > last {
			break
		}
		compared++
		if covered != !math.IsInf(row.LogP, -1) || covered && !(math.Abs(row.LogP-want) <= tolerance) {
			t.Errorf("%s: the largest log p at character %d is %v, want %v (covered: %v)", of, row.Character, row.LogP, want, covered)
		}
	}
	if compared != int(last)+1 {
		t.Errorf("%s: %d characters were compared, want %d", of, compared, last+1)
	}
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
	if len(s.Models) != 5 || len(s.Fits) == 0 {
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
