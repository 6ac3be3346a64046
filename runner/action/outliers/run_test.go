package outliers_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/outliers"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

func TestMain(m *testing.M) { actiontest.Main(m, backends()) }

// newLab has documents of 4, 10 and 20 bytes, and models of which the better ones have larger magnitudes.
func newLab(t *testing.T) *actiontest.Lab {
	l := actiontest.New(t, "observing")
	l.Text("texts", "four", "ten bytes.", "a document: 20 bytes")
	l.Model("small", "observing", `{"Sites":4,"Hidden":6,"Loss":3,"Scale":2}`)
	l.Model("middle", "observing", `{"Sites":4,"Hidden":8,"Loss":2.5,"Scale":7}`)
	l.Model("large", "observing", `{"Sites":4,"Hidden":12,"Loss":2,"Scale":9}`)
	l.Model("plain", "observing", `{"Loss":2.2}`)
	return l
}

func table(name string, models ...string) outliers.Table {
	return outliers.Table{
		Name: name, Models: models, Datasets: []string{"texts"}, Figure: outliers.Size{Width: 4, Height: 3, DPI: 50},
		Definition: outliers.Definition{Sequences: 100, SequenceLength: 8, Threshold: 6, LayerShare: 0.25, SequenceShare: 0.06},
	}
}

// A report has the losses and the outliers of the same pass; a model without norms is listed with why.
func TestReport(t *testing.T) {
	l := newLab(t)
	l.Section("outliers", []outliers.Table{table("t", "small", "middle", "large", "plain")})
	p := l.MustRun()
	s := actiontest.JSON[outliers.Summary](l, p, "outliers t", artifact.SummaryFile)
	if len(s.Rows) != 4 {
		t.Fatalf("got %+v", s)
	}
	for i, dimensions := range []int64{0, 4, 6, 0} {
		r := s.Rows[i]
		if r.Dimensions != dimensions || r.Occurrences != 3*dimensions || r.Predicted != 4+8+8 || r.ScoredBytes != 20 || r.Sequences != 3 {
			t.Errorf("%s: got %+v, want %d dimensions", r.Model, r, dimensions)
		}
		if r.Parameters == nil || *r.Parameters != 1000 {
			t.Errorf("%s: got the parameters %v", r.Model, r.Parameters)
		}
	}
	if r := s.Rows[3]; r.Problem == "" || r.Perplexity == nil || r.Largest != nil {
		t.Errorf("got %+v of a model without norms", r)
	}
	for _, note := range []string{
		`dataset "texts" has 3 documents, fewer than the 100 of sequences`, `model "plain" has no outliers here: the model has no norms`,
		`no dimension is systematic in "small": percentages`, "no curve of mean_layer_pct, median_layer_pct, mean_seq_pct, median_seq_pct is fitted to the models: a curve needs 3 different perplexities with a value, and there are 2; add models",
	} {
		if !slices.ContainsFunc(s.Notes, func(n string) bool { return strings.HasPrefix(n, note) }) {
			t.Errorf("no note %q in %q", note, s.Notes)
		}
	}
	if len(s.Fits) != 1 || s.Fits[0].Of != "num_outliers" || len(s.Fits[0].Models) != 3 {
		t.Errorf("got the fits %+v", s.Fits)
	}
	report, err := os.ReadFile(l.Path(p, "outliers t", "report.md"))
	if err != nil || !strings.Contains(string(report), "| `large` | 7.389 |") {
		t.Errorf("got the report %s, %v", report, err)
	}
}

// A model that is added costs its passes only, and reports with other shares share them all.
func TestCached(t *testing.T) {
	l := newLab(t)
	l.Section("outliers", []outliers.Table{table("t", "small", "middle")})
	l.MustRun()
	other := table("other", "middle", "small")
	other.LayerShare = 1
	longer := table("longer", "small")
	longer.SequenceLength = 10
	l.Section("outliers", []outliers.Table{table("t", "small", "middle", "large"), other, longer})
	p := l.Plan()
	if err := p.Resolve(t.Context(), actiontest.Cache{Store: l.Store}); err != nil {
		t.Fatal(err)
	}
	var passes []string
	for _, a := range p.Of("activations") {
		if a.State == plan.Pending {
			passes = append(passes, a.Name)
		}
	}
	want := []string{"activations large texts@sequences=100,tokens=8,threshold=6", "activations small texts@sequences=100,tokens=10,threshold=6"}
	if !slices.Equal(passes, want) {
		t.Errorf("got the passes %q, want %q", passes, want)
	}
}

// Only the first documents are read.
func TestSequences(t *testing.T) {
	l := newLab(t)
	first := table("t", "middle")
	first.Sequences = 2
	l.Section("outliers", []outliers.Table{first})
	p := l.MustRun()
	s := actiontest.JSON[outliers.Summary](l, p, "outliers t", artifact.SummaryFile)
	if r := s.Rows[0]; r.Sequences != 2 || r.Predicted != 4+8 || len(s.Notes) != 1 {
		t.Errorf("got %+v, %q", r, s.Notes)
	}
}

// A sequence that is longer than a model reads is an error that says what to set.
func TestTooLong(t *testing.T) {
	l := newLab(t)
	l.Models = l.Models[:0]
	l.Model("short", "observing", `{"Sites":4,"Hidden":6,"Loss":3,"Scale":2,"Limit":5}`).Scoring.Context = 5
	l.Section("outliers", []outliers.Table{table("t", "short")})
	_, failed := l.Run()
	err := failed["activations short texts@sequences=100,tokens=8,threshold=6"]
	if want := "sequences have 8 tokens, and the model reads at most 5; set sequenceLength to 5 or less"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", failed, want)
	}
}
