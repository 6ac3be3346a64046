package scaling

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"

	"surprisal.dev/internal/golden"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

func work(t *testing.T, f fixture) (*action.Task, Summary) {
	t.Helper()
	task := f.task(t)
	result, err := Kind{}.Work(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	var written []string
	entries, err := os.ReadDir(task.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		written = append(written, e.Name())
	}
	if d := cmp.Diff(written, result.Files); d != "" {
		t.Errorf("the files differ from the result: %s", d)
	}
	var s Summary
	if err := artifact.ReadJSON(task.Path(artifact.SummaryFile), &s); err != nil {
		t.Fatal(err)
	}
	return task, s
}

// The report of a family is as it was reviewed, the same in each run, and nothing in it is markup of documents.
func TestReportText(t *testing.T) {
	task, s := work(t, law())
	again, _ := work(t, law())
	entries, err := os.ReadDir(task.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		x, err := os.ReadFile(task.Path(e.Name()))
		y, other := os.ReadFile(again.Path(e.Name()))
		if err := errors.Join(err, other); err != nil || !bytes.Equal(x, y) {
			t.Errorf("%s differs between two runs, %v", e.Name(), err)
		}
	}
	report, err := os.ReadFile(task.Path(reportFile))
	if err != nil {
		t.Fatal(err)
	}
	golden.File(t, "report.md", report)
	var html bytes.Buffer
	if err := goldmark.New(goldmark.WithExtensions(extension.GFM)).Convert(report, &html); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "javascript:1\"", "e.example/p.png\"", "<a ", "\n::error", "\x1b", "\u202e", "<strong>d"} {
		if strings.Contains(html.String(), bad) {
			t.Errorf("the report has %q", bad)
		}
	}
	if n := strings.Count(html.String(), "<img "); n != 3 {
		t.Errorf("the report has %d images, want 3", n)
	}
	// The terminal shows the same numbers.
	var out strings.Builder
	Headlines{{"t", s}}.Print(&out)
	golden.File(t, "terminal.txt", []byte(out.String()))
}

// Documents, sentences and buckets add up to the totals, and lists have the documents that the rule of losses implies.
func TestBreakdowns(t *testing.T) {
	f := law()
	_, s := work(t, f)
	for i, r := range s.Rows {
		var bits, bytes float64
		for _, b := range s.Buckets {
			bits, bytes = bits+*b.BPB[i]*float64(b.Bytes), bytes+float64(b.Bytes)
		}
		if got := bits / bytes; math.Abs(got-r.BPB) > 1e-12 || int64(bytes) != s.ScoredBytes {
			t.Errorf("%s: buckets have %v bpb on %v bytes, want %v on %d", r.Model, got, bytes, r.BPB, s.ScoredBytes)
		}
		bits = 0
		for _, b := range s.Sentences {
			bits += *b.BPB[i] * float64(b.Bytes)
		}
		if got := bits / bytes; math.Abs(got-r.BPB) > 1e-12 {
			t.Errorf("%s: sentences have %v bpb, want %v", r.Model, got, r.BPB)
		}
	}
	d := s.Ranked
	if d.LeastGain[0].Dataset != "b" || d.LeastGain[0].Row != 1 || d.Higher != 1 || d.Lower != 4 || d.Monotone != 4 {
		t.Errorf("got %+v", d)
	}
	// The mean over the models is what counts, and documents with many vowels are hard.
	if d.Easiest[0].Dataset != "b" || d.Easiest[0].Row != 1 || d.Easiest[1].Row != 0 || d.Hardest[0].Dataset != "a/stories" || d.Hardest[0].Row != 0 || len(d.Hardest) != 5 || d.Hardest[0].BPB[0] <= d.Hardest[4].BPB[0] {
		t.Errorf("got %+v", d)
	}
	if got := s.Sentences[0]; got.Parts != 6 {
		t.Errorf("got %+v for the first sentences of 6 documents", got)
	}
	if d := cmp.Diff([]string{"m-1M", "m-10M", "m-100M", "m-1B"}, s.Gain); d != "" {
		t.Error(d)
	}
}

// The exponent of a family's law is recovered where all losses follow it.
func TestLaw(t *testing.T) {
	f := law()
	delete(f.texts, "b")
	_, s := work(t, f)
	if len(s.Fits) != 2 || s.Fits[0].Of != ofBPB || s.Fits[1].Of != ofToken {
		t.Fatalf("got %+v", s.Fits)
	}
	for _, fit := range s.Fits {
		if b := fit.Law.B; math.Abs(b.Value-0.08) > 1e-9 || b.High-b.Low > 1e-6 || fit.Family != "m" || len(fit.Models) != 4 {
			t.Errorf("got %+v", fit)
		}
	}
}

// degenerate changes the fixture law, and has the notes or the error that follow.
type degenerate struct {
	change func(*fixture)
	notes  []string
	err    string
}

func degenerates() map[string]degenerate {
	return map[string]degenerate{
		"two sizes": {
			change: func(f *fixture) { f.Models, f.sizes = f.Models[:2], f.sizes[:2] },
			notes:  []string{`no power law is fitted to the family "m": a law with an interval needs 3 different values of x, and there are 2; add models`},
		},
		"families of one": {
			change: func(f *fixture) {
				for i := range f.Models {
					f.Models[i].Family = f.Models[i].Name
				}
			},
			notes: []string{"no power law is fitted: no family has two models; give models of one design the same family, or add models"},
		},
		"equal sizes": {
			change: func(f *fixture) { f.sizes[1] = f.sizes[0] },
			notes:  []string{`models "m-1M" and "m-10M" have the same number of parameters, 1000000; if they are stages of one training, set x.values`},
		},
		"unknown sizes": {
			change: func(f *fixture) { f.Models, f.sizes = f.Models[:2], []int64{0, 0} },
			notes: []string{
				`the backend of model "m-1M" does not report parameters; set x.values to place it on the axis`,
				`the backend of model "m-10M" does not report parameters; set x.values to place it on the axis`,
			},
		},
		"experts of which a token uses a part": {
			change: func(f *fixture) { f.active = map[int]int64{1: 2_000_000, 2: 3_000_000} },
			notes:  []string{`x counts all parameters, but a token of "m-10M" uses 2000000, and one of "m-100M" uses 3000000; set x: of: "active" to count only these`},
		},
		"other tokens": {
			change: func(f *fixture) { f.pairs = map[int]bool{2: true, 4: true} },
			notes: []string{
				`perplexities per token are comparable only between models with the same tokens, and "m-100M", "other|\x1b[1m` + "`x`" + `" have others than "m-1M"; compare bits per byte`,
				`no power law is fitted to nats per token of the family "m": the models have different numbers of tokens`,
			},
		},
		"an unknown size that the spec asks for": {
			change: func(f *fixture) { f.sizes[2], f.X.Of = 0, ofFLOPs },
			err:    `the backend of model "m-100M" does not report FLOPs per token; set x.values to place it on the axis`,
		},
		"losses of zero": {
			change: func(f *fixture) { f.nll = func(int, string, int, byte) float64 { return 0 } },
			notes:  []string{`no power law is fitted to the family "m": a model has a loss of 0`},
		},
		"a linear axis": {
			change: func(f *fixture) {
				f.X = Axis{Of: ofValues, Label: "released", Dates: true, Scale: ScaleLinear, Values: map[string]float64{}}
				for i, m := range f.Models {
					f.X.Values[m.Name] = float64(20000 + 100*i)
				}
			},
			notes: []string{`no power law is fitted to the family "m", because the axis is linear`},
		},
		"empty documents":            {change: func(f *fixture) { f.texts = map[string][]string{"a": {"", "a"}} }},
		"no documents":               {change: func(f *fixture) { f.texts = map[string][]string{"a": {}} }, notes: []string{`no power law is fitted to the family "m": a model has a loss of 0`}},
		"bytes without a loss":       {change: func(f *fixture) { f.unscored = true }},
		"losses beyond any number":   {change: func(f *fixture) { f.nll = func(int, string, int, byte) float64 { return 1e300 } }},
		"losses that rise with size": {change: func(f *fixture) { f.nll = func(i int, _ string, _ int, _ byte) float64 { return float64(1 + i) } }},
	}
}

// The terminal, the report and the notes of what is degenerate.
func TestDegenerate(t *testing.T) {
	for name, test := range degenerates() {
		t.Run(name, func(t *testing.T) {
			f := law()
			test.change(&f)
			if test.err != "" {
				if _, err := (Kind{}).Work(t.Context(), f.task(t)); protocol.KindOf(err) != protocol.InvalidInput || err.Error() != test.err {
					t.Errorf("got %v", err)
				}
				return
			}
			_, s := work(t, f)
			if d := cmp.Diff(append([]string{}, test.notes...), s.Notes); d != "" {
				t.Error(d)
			}
			var out strings.Builder
			Headlines{{"t", s}}.Print(&out)
			if !strings.HasPrefix(out.String(), "scaling t") || strings.Contains(out.String(), "NaN") {
				t.Errorf("got %s", out.String())
			}
		})
	}
}

// A mixture of experts stands at the parameters that a token uses, if the spec asks for these, and a dense model at all.
func TestActiveParameters(t *testing.T) {
	f := law()
	f.active, f.X.Of = map[int]int64{1: 2_000_000}, ofActive
	_, s := work(t, f)
	if *s.Rows[0].X != 1e6 || *s.Rows[1].X != 2e6 || *s.Rows[1].Parameters != 1e7 || len(s.Notes) > 0 || s.heads()[1] != "active parameters" {
		t.Errorf("got x %v and %v, %d parameters and the notes %q", *s.Rows[0].X, *s.Rows[1].X, *s.Rows[1].Parameters, s.Notes)
	}
}

// Scores of other documents are rejected with their models.
func TestTableRefuses(t *testing.T) {
	f := law()
	task := f.task(t)
	other := f
	other.texts = map[string][]string{"a/stories": f.texts["a/stories"], "b": {"3.14159265358979323846264338327950288419716939937511", f.texts["b"][1]}}
	task.Inputs["002/b/"+artifact.ScoredFile] = other.task(t).Inputs["002/b/"+artifact.ScoredFile]
	want := `dataset "b": model "m-1M" has document s|1:0 where model "m-100M" has s|1:0, or another text of it; exclude the dataset`
	if _, err := (Kind{}).Work(t.Context(), task); protocol.KindOf(err) != protocol.InvalidInput || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	other.texts["b"] = f.texts["b"][:1]
	task.Inputs["002/b/"+artifact.ScoredFile] = other.task(t).Inputs["002/b/"+artifact.ScoredFile]
	want = `dataset "b": model "m-1M" has 2 documents and model "m-100M" 1; exclude the dataset`
	if _, err := (Kind{}).Work(t.Context(), task); protocol.KindOf(err) != protocol.InvalidInput || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	delete(task.Inputs, "001/a/stories/summary.json")
	if _, err := (Kind{}).Work(t.Context(), task); err == nil || !strings.HasPrefix(err.Error(), "scaling t has no input 001/a/stories/summary.json; ") {
		t.Errorf("got error %v", err)
	}
	if roles := []string{score.Side(2), score.Side(10)}; roles[0] >= roles[1] {
		t.Errorf("got the roles %q, want them in the order of the models", roles)
	}
}

// A run shows the tables of actions with results.
func TestReporter(t *testing.T) {
	task, _ := work(t, law())
	actions := []*plan.Action{
		{Labels: plan.Labels{Section: "a"}, Status: plan.Status{Outputs: []store.File{{}}}}, {Labels: plan.Labels{Section: "failed"}},
	}
	read := func(_ context.Context, _ *plan.Action, file string) ([]byte, error) {
		return os.ReadFile(task.Path(file))
	}
	report, err := Kind{}.Report(t.Context(), actions, read)
	if h, ok := report.(Headlines); err != nil || !ok || len(h) != 1 || h[0].Name != "a" || len(h[0].Rows) != 5 {
		t.Errorf("got %+v, %v", report, err)
	}
	if report, err := (Kind{}).Report(t.Context(), actions[1:], read); report != nil || err != nil {
		t.Errorf("got %v, %v of what failed", report, err)
	}
	if _, err := (Kind{}).Report(t.Context(), actions, func(context.Context, *plan.Action, string) ([]byte, error) { return nil, os.ErrNotExist }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v", err)
	}
}

// Tokens are ranked by total and, if there are enough of them, by mean; equal ones by their IDs.
func TestTokens(t *testing.T) {
	f := law()
	delete(f.texts, "b")
	f.texts["a/stories"] = []string{strings.Repeat("e", 30) + strings.Repeat("x", 100) + strings.Repeat("y", 9) + "a"}
	_, s := work(t, f)
	var got []string
	for _, tok := range s.Tokens {
		rank := func(n *int64) string {
			if n == nil {
				return "-"
			}
			return fmt.Sprint(*n)
		}
		got = append(got, fmt.Sprintf("%s %d %s %s %.3f", tok.Text, tok.Count, rank(tok.ByTotal), rank(tok.ByMean), *tok.FirstMean/tok.Mean))
	}
	if d := cmp.Diff([]string{"a 1 4 - 1.738", "e 30 2 1 1.738", "x 100 1 2 1.738", "y 9 3 - 1.738"}, got); d != "" {
		t.Error(d)
	}
}
