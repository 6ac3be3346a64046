package drift_test

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/drift"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/statistics"
)

func TestMain(m *testing.M) { actiontest.Main(m, nil) }

// newLab has the texts may/x, may/y, whose books are clusters, and june, and the models before, now and words.
func newLab(t *testing.T, compared drift.Comparison) *actiontest.Lab {
	l := actiontest.New(t)
	l.Text("corpus", "the cat sat on the mat by the dog", "the dog sat on the cat by the tree").TrainOnly = true
	lines := func(n int, words ...string) (all []string) {
		for i := range n {
			var line []string
			for j := range 5 + 7*i%11 {
				line = append(line, words[(i*j+i)%len(words)])
			}
			all = append(all, strings.Join(line, " "))
		}
		return all
	}
	l.Text("may/x", lines(120, "the", "cat", "sat", "mat")...)
	var rows []string
	for i, line := range lines(60, "dog", "the", "on", "tree", "by") {
		rows = append(rows, fmt.Sprintf(`{"text": %q, "book": %d}`, line, i%25))
	}
	l.Write("y.jsonl", strings.Join(rows, "\n"))
	y := l.Dataset("may/y", "jsonl", `{"path":"y.jsonl"}`, "text")
	y.Cluster, y.ClusterPath = spec.ClusterField, "book"
	l.Text("june", lines(150, "the", "dog", "unheard", "of", "ζ")...)
	l.Model("before", "ngram", `{"order":4}`, "corpus")
	l.Model("now", "ngram", `{"order":1}`, "corpus")
	l.Model("words", "ngram", `{"order":1,"tokens":"words"}`, "corpus")
	l.Section("drift", []drift.Drift{{Name: "d", Comparison: compared}})
	return l
}

var (
	may  = []string{"may/x", "may/y"}
	june = []string{"june"}
	two  = drift.Comparison{Reference: drift.Side{Model: "before", Datasets: may}, Current: drift.Side{Model: "now", Datasets: june}}
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-8*max(math.Abs(want), 1e-4)) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// The parts add up. On one text they are gaps, and the losses of a side are those of its scores.
func TestEqualsGaps(t *testing.T) {
	l := newLab(t, two)
	l.Section("gap", []gap.Gap{
		{Name: "reference", A: "now", B: "before", Datasets: may}, {Name: "current", A: "now", B: "before", Datasets: june},
	})
	p := l.MustRun()
	s := actiontest.JSON[drift.Summary](l, p, "drift d", artifact.SummaryFile)
	parts := map[string]drift.Part{}
	for _, part := range s.Parts {
		parts[part.Name] = part
	}
	orders := map[string]drift.Part{}
	for _, part := range s.Orders {
		orders[part.Name+" "+part.Given] = part
	}
	if len(parts) != 4 || len(orders) != 4 {
		t.Fatalf("got %d parts and %d orders", len(parts), len(orders))
	}
	var half []statistics.Term
	for _, given := range []string{"reference", "current"} {
		g := actiontest.JSON[gap.Summary](l, p, "gap "+given, artifact.SummaryFile).Overall
		of := orders["model "+given]
		near(t, given+": gap", of.Value, *g.GapBPB)
		near(t, given+": low", of.Low, *g.Low)
		near(t, given+": high", of.High, *g.High)
		half = append(half, statistics.Term{Factor: 0.5, Estimate: statistics.Estimate{Value: *g.GapBPB, Error: *g.Error, Effective: *g.Effective}})
	}
	model, _ := statistics.Combination(half...)
	near(t, "model's part", parts[drift.OfModel].Value, model.Value)
	near(t, "its low end", parts[drift.OfModel].Low, model.Low)
	total := parts[drift.Total].Value
	near(t, "sum of the parts", parts[drift.OfText].Value+parts[drift.OfModel].Value, total)
	near(t, "text first", orders["text reference"].Value+orders["model current"].Value, total)
	near(t, "model first", orders["model reference"].Value+orders["text current"].Value, total)
	near(t, "interaction", parts[drift.Interaction].Value, orders["model current"].Value-orders["model reference"].Value)
	near(t, "change", total, s.Current.BPB.Value-s.Reference.BPB.Value)
	score := actiontest.JSON[artifact.ScoreSummary](l, p, "score now june", artifact.SummaryFile)
	near(t, "bits per byte", s.Current.BPB.Value, score.BPB)
	near(t, "its low end", *s.Current.BPB.Low, score.Interval.Low)
	if s.Reference.Units != 120+25 || s.Reference.Documents != 180 || s.Current.Units != 150 {
		t.Errorf("got %d units of %d documents and %d units", s.Reference.Units, s.Reference.Documents, s.Current.Units)
	}
	checkTables(t, l.Path(p, "drift d", "measures.csv"), 1+len(s.Measures))
	checkTables(t, l.Path(p, "drift d", "parts.csv"), 1+8)
}

func checkTables(t *testing.T, path string, rows int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(f).ReadAll()
	if err := errors.Join(err, f.Close()); err != nil || len(records) != rows {
		t.Errorf("%s has %d records, want %d; %v", path, len(records), rows, err)
	}
}

// Measures have the tokens and quantiles of the scores, and the loss of one token is not compared with that of another
// tokenizer.
func TestMeasures(t *testing.T) {
	compared := two
	compared.Current.Model = "words"
	l := newLab(t, compared)
	p := l.MustRun()
	s := actiontest.JSON[drift.Summary](l, p, "drift d", artifact.SummaryFile)
	if s.Tokenizers != "different" || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "tokenizers of the two models differ") {
		t.Errorf("got the tokenizers %q, notes %q", s.Tokenizers, s.Notes)
	}
	score := actiontest.JSON[artifact.ScoreSummary](l, p, "score words june", artifact.SummaryFile)
	found := map[string]drift.Measure{}
	for _, m := range s.Measures {
		found[m.Model+" "+m.Name] = m
	}
	near(t, "tokens", found["words tokens per byte"].Current.Value, float64(score.Tokens)/float64(score.Bytes))
	if m := found["words tokens per byte"]; m.Verdict != drift.Higher && m.Verdict != drift.Lower || m.Estimate == nil {
		t.Errorf("got %+v", m)
	}
	for _, q := range score.TokenLosses.Quantiles {
		name := fmt.Sprintf("words quantile %v of token loss in nats", q.Share)
		m, ok := found[name]
		if ok && math.Abs(m.Current.Value-q.Nats) > 1e-9+q.Nats/512 {
			t.Errorf("%s: got %v, want %v", name, m.Current.Value, q.Nats)
		}
	}
	if m := found["words quantile 0.999 of token loss in nats"]; m.Verdict != drift.Small || m.Estimate != nil {
		t.Errorf("few tokens are beyond the quantile: got %+v", m)
	}
}

// One model tells about the text only, and a gate bounds its part.
func TestText(t *testing.T) {
	compared := drift.Comparison{
		Reference: drift.Side{Model: "before", Datasets: may}, Current: drift.Side{Model: "before", Datasets: june},
		Gate: &drift.Gate{Margin: 0.1, Confidence: 0.95},
	}
	l := newLab(t, compared)
	p := l.MustRun()
	s := actiontest.JSON[drift.Summary](l, p, "drift d", artifact.SummaryFile)
	if len(s.Parts) != 1 || s.Explains != drift.OfText || s.Parts[0].Verdict != drift.Higher || s.Gate.Answer != action.Fail || s.Tokenizers != "" {
		t.Errorf("got %+v", s)
	}
	report, err := os.ReadFile(l.Path(p, "drift d", "report.md"))
	if want := "# Drift of text: the text is harder\n\n`before` needs "; err != nil || !strings.HasPrefix(string(report), want) {
		t.Errorf("got the report %s, %v", report, err)
	}
	if answer := (drift.Headlines{{Name: "d", Summary: s}}).Answer(); answer != action.Fail {
		t.Errorf("got the answer %s", answer)
	}
}

// A baseline that has no scores of the current text leaves the interaction unknown. Here, its scores are left out.
func TestPartial(t *testing.T) {
	compared := two
	compared.Partial = true
	l := newLab(t, compared)
	p := l.MustRun()
	s := actiontest.JSON[drift.Summary](l, p, "drift d", artifact.SummaryFile)
	if len(s.Parts) != 3 || len(s.Orders) != 0 || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "interaction is unknown") {
		t.Errorf("got %+v", s)
	}
	near(t, "sum of the parts", s.Parts[1].Value+s.Parts[2].Value, s.Parts[0].Value)
	for _, d := range s.Current.Datasets {
		if d.Difference != nil || len(d.BPB) != 1 {
			t.Errorf("%s: got %+v", d.Name, d)
		}
	}
}

// Scores of other scoring protocols, and equal documents, are refused.
func TestRefuses(t *testing.T) {
	l := newLab(t, two)
	l.Models[0].Scoring.Prefix = protocol.PrefixNone
	_, failed := l.Run()
	if err := failed["drift d"]; protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(cmp.Or(err, errors.New("none")).Error(), `prefix is "none" and "bos"`) {
		t.Errorf("got %v", failed)
	}
	l = newLab(t, two)
	// A plan does not know that there are no more rows.
	same := l.Dataset("same", "text", string(l.Datasets[1].Source.Config), "text")
	same.Rows.To = 1000
	l.Section("drift", []drift.Drift{{Name: "d", Comparison: drift.Comparison{
		Reference: drift.Side{Model: "now", Datasets: []string{"may/x"}}, Current: drift.Side{Model: "now", Datasets: []string{"same"}},
	}}})
	_, failed = l.Run()
	if err := failed["drift d"]; protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(cmp.Or(err, errors.New("none")).Error(), "have the same documents") {
		t.Errorf("got %v", failed)
	}
}

// Names of a spec are text. In a report they are neither markup nor commands, and a terminal shows them on one line.
func TestHostileNames(t *testing.T) {
	const model = "<script>alert(1)</script> | `x` [y](javascript:1)\n::error::e\x1b[31m"
	compared := two
	compared.Current.Model = model
	l := newLab(t, compared)
	l.Models[1].Name = model
	p := l.MustRun()
	report, err := os.ReadFile(l.Path(p, "drift d", "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	var html, terminal bytes.Buffer
	if err := goldmark.New(goldmark.WithExtensions(extension.GFM)).Convert(report, &html); err != nil {
		t.Fatal(err)
	}
	drift.Headlines{{Name: "d", Summary: actiontest.JSON[drift.Summary](l, p, "drift d", artifact.SummaryFile)}}.Print(&terminal)
	if !strings.Contains(html.String(), "alert(1)") {
		t.Error("the report does not have the model")
	}
	for _, bad := range []string{"<script", "<a ", "\n::error"} {
		if strings.Contains(html.String(), bad) {
			t.Errorf("the report has %q", bad)
		}
	}
	for _, bad := range []string{"\n::error", "\x1b"} {
		if strings.Contains(terminal.String(), bad) {
			t.Errorf("the terminal has %q", bad)
		}
	}
}
