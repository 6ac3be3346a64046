package report_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/report"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
)

func TestMain(m *testing.M) { actiontest.Main(m, nil) }

// newLab has the datasets x, y and z of different lengths; the models big and small; and a gap between them on x and y.
func newLab(t *testing.T) *actiontest.Lab {
	l := actiontest.New(t)
	l.Text("corpus", "the cat sat on the mat", "the dog sat on the cat").TrainOnly = true
	l.Text("z", "the")
	l.Text("x", strings.Repeat("the cat ", 20))
	l.Text("y", "zyxwvutsrqponmlkjihgfedcba")
	l.Model("big", "ngram", `{"order":3}`, "corpus")
	l.Model("small", "ngram", `{"order":1}`, "corpus")
	l.Gaps = []spec.Gap{{Name: "g", A: "big", B: "small", Datasets: []string{"x", "y"}}}
	return l
}

func headline(t *testing.T, p *plan.Plan, s *store.Store) *report.Headline {
	t.Helper()
	h, err := report.New(t.Context(), p, s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHeadline(t *testing.T) {
	l := newLab(t)
	p := l.MustRun()
	h := headline(t, p, l.Store)
	if d := cmp.Diff([][]string{{"x", "y", "z"}, {"big", "small"}}, [][]string{h.Datasets, h.Models}); d != "" {
		t.Fatal(d)
	}
	for column, model := range h.Models {
		var nats, bytes, mean, nats2, bytes2 float64
		for row, dataset := range h.Datasets {
			s := actiontest.JSON[artifact.ScoreSummary](l, p, "score "+model+" "+dataset, artifact.SummaryFile)
			if got := h.BPB[row][column]; got == nil || *got != s.BPB {
				t.Errorf("%s on %s: found %v, wanted %v", model, dataset, got, s.BPB)
			}
			nats, bytes, mean = nats+s.Nats, bytes+float64(s.ScoredBytes), mean+s.BPB/3
			if dataset != "z" {
				nats2, bytes2 = nats2+s.Nats, bytes2+float64(s.ScoredBytes)
			}
		}
		total := nats / math.Ln2 / bytes
		if got := h.Total[column]; got == nil || math.Abs(*got-total) > 1e-12 || math.Abs(*got-mean) < 1e-3 {
			t.Errorf("%s: found the total %v, wanted the ratio of sums %v and not the mean %v", model, got, total, mean)
		}
		if of := []*float64{h.Gaps[0].ABPB, h.Gaps[0].BBPB}[column]; math.Abs(*of-nats2/math.Ln2/bytes2) > 1e-12 {
			t.Errorf("%s in the gap: found %v, wanted %v", model, *of, nats2/math.Ln2/bytes2)
		}
	}
	g := h.Gaps[0]
	if g.Name != "g" || g.A != "big" || g.B != "small" || g.Bytes != 160+26 || math.Abs(*g.GapBPB-(*g.ABPB-*g.BBPB)) > 1e-12 {
		t.Errorf("found %+v", g)
	}
}

// What is missing or has no scored byte is null, in the table and in JSON, and so is a total that it would be part of.
func TestMissing(t *testing.T) {
	l := newLab(t)
	l.Text("one", "!")
	l.Models[1].Scoring.Prefix, l.Gaps[0].Allow = "none", []string{"prefix"}
	p := l.MustRun()
	p.Action("score big y").Outputs, p.Action("gap g").Outputs = nil, nil
	h := headline(t, p, l.Store)
	null := func(at [][]*float64) (s string) {
		for _, row := range at {
			for _, v := range row {
				if v == nil {
					s += "-"
				} else {
					s += "x"
				}
			}
			s += " "
		}
		return s
	}
	// Columns are big and small, rows one, x, y and z.
	if got := null(append(h.BPB, h.Total)); got != "x- xx -x xx -x " || len(h.Gaps) != 0 {
		t.Errorf("found %s, %v", got, h.Gaps)
	}
	empty := headline(t, &plan.Plan{}, l.Store)
	encoded, err := json.Marshal(empty)
	if err != nil || string(encoded) != `{"datasets":[],"models":[],"bpb":[],"total":[],"gaps":[]}` {
		t.Errorf("an empty plan is %s, %v", encoded, err)
	}
}

// A plan of very many scores is summed up by its gaps alone.
func TestManyScores(t *testing.T) {
	l := newLab(t)
	p := l.MustRun()
	a := *p.Action("score big x")
	for range report.MaxCells {
		p.Actions = append(p.Actions, &a)
	}
	if h := headline(t, p, l.Store); len(h.BPB) > 0 || len(h.Gaps) != 1 {
		t.Errorf("found %d rows and the gaps %v", len(h.BPB), h.Gaps)
	}
}

// A summary that is damaged, gone or no summary is an error that names the action.
func TestDamage(t *testing.T) {
	for name, damage := range map[string]func(path string, a *plan.Action) error{
		"damaged":    func(path string, _ *plan.Action) error { return os.WriteFile(path, []byte("{}"), 0o600) },
		"gone":       func(path string, _ *plan.Action) error { return os.Remove(path) },
		"no summary": func(_ string, a *plan.Action) error { a.Outputs[1].Name = artifact.SummaryFile; return nil },
		"no file":    func(_ string, a *plan.Action) error { a.Outputs = a.Outputs[:1]; return nil },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			p := l.MustRun()
			a := p.Action("score big x")
			path := l.Path(p, a.Name, artifact.SummaryFile)
			if err := os.Chmod(path, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := damage(path, a); err != nil {
				t.Fatal(err)
			}
			if h, err := report.New(t.Context(), p, l.Store); err == nil || !strings.Contains(err.Error(), a.Name) {
				t.Errorf("found %s, error %v", fmt.Sprint(h), err)
			}
		})
	}
}
