package series_test

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
	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/action/scaling"
	"surprisal.dev/runner/action/series"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/spec"
)

func TestMain(m *testing.M) { actiontest.Main(m, nil) }

var models = []string{"first", "second", "third"}

// newLab has the datasets a/x, a/y, whose books are clusters, and z, whose shards are clusters, and three models. The second one is the best.
func newLab(t *testing.T) *actiontest.Lab {
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
	l.Text("a/x", lines(120, "the", "cat", "sat", "mat")...)
	var rows []string
	for i, line := range lines(60, "dog", "the", "on", "tree", "by") {
		rows = append(rows, fmt.Sprintf(`{"text": %q, "book": %d}`, line, i%25))
	}
	l.Write("y.jsonl", strings.Join(rows, "\n"))
	y := l.Dataset("a/y", "jsonl", `{"path":"y.jsonl"}`, "text")
	y.Tags, y.Cluster, y.ClusterPath = []string{"old"}, spec.ClusterField, "book"
	l.Text("z", "cat the", "the dog on the mat").Cluster = spec.ClusterShard
	for i, order := range []int{4, 2, 1} {
		l.Model(models[i], "ngram", fmt.Sprintf(`{"order":%d}`, order), "corpus")
	}
	l.Section("series", []series.Series{{
		Name: "s", Models: models, Datasets: []string{"a/x", "a/y", "z"}, X: scaling.Steps(map[string]float64{"first": 1, "second": 2, "third": 4}),
	}})
	return l
}

// The differences of a series, their intervals and p-values are those of gaps between the same models.
func TestEqualsGaps(t *testing.T) {
	l := newLab(t)
	var gaps []gap.Gap
	for _, pair := range [][2]int{{1, 0}, {2, 1}, {2, 0}} {
		a, b := models[pair[0]], models[pair[1]]
		gaps = append(gaps, gap.Gap{Name: a + "-" + b, A: a, B: b, Datasets: []string{"a/x", "a/y", "z"}})
	}
	l.Section("gap", gaps)
	p := l.MustRun()
	s := actiontest.JSON[series.Summary](l, p, "series s", artifact.SummaryFile)
	if len(s.Slices) != 6 {
		t.Fatalf("got %d slices, want 6", len(s.Slices))
	}
	compared, best := 0, map[string]bool{}
	for i := 1; i < len(models); i++ {
		for _, slice := range s.Slices {
			for _, d := range []*series.Difference{slice.Points[i].Previous, slice.Points[i].Best} {
				g := actiontest.JSON[gap.Summary](l, p, "gap "+models[i]+"-"+d.Model, artifact.SummaryFile)
				row := rowOf(t, g, slice)
				compared += same(t, slice, d, row)
				near(t, slice.Name+": bits per byte", slice.Points[i].BPB, *row.ABPB)
			}
			best[slice.Best] = true
		}
	}
	if compared != 2*2*5 || len(best) != 2 {
		t.Errorf("compared %d intervals, want those of 5 slices with more than one unit; the best models are %v, want two", compared, best)
	}
}

// rowOf returns the row of a gap for a slice of a series.
func rowOf(t *testing.T, g gap.Summary, slice series.Slice) gap.Row {
	t.Helper()
	lists := map[string][]gap.Row{series.ListOverall: {g.Overall}, series.ListDatasets: g.Datasets, series.ListGroups: g.Groups}
	for _, r := range lists[slice.List] {
		if r.Name == slice.Name {
			return r
		}
	}
	t.Fatalf("no gap has the slice %s %s", slice.List, slice.Name)
	return gap.Row{}
}

func same(t *testing.T, slice series.Slice, d *series.Difference, row gap.Row) (intervals int) {
	t.Helper()
	near(t, slice.Name+": gap", d.Gap, *row.GapBPB)
	if slice.Units != row.Units || slice.Bytes != row.Bytes || (d.Estimate == nil) != (row.Error == nil) {
		t.Errorf("%s: got %d units and %d bytes, want %d and %d", slice.Name, slice.Units, slice.Bytes, row.Units, row.Bytes)
	}
	if d.Estimate == nil || row.Error == nil {
		return 0
	}
	near(t, slice.Name+": error", d.Error, *row.Error)
	near(t, slice.Name+": low", d.Low, *row.Low)
	near(t, slice.Name+": high", d.High, *row.High)
	near(t, slice.Name+": p", d.P, *row.P)
	return 1
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-8*max(math.Abs(want), 1e-4)) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// The best so far, verdicts and the slope are those of the losses, and tables have a row for each model on each slice.
func TestSummary(t *testing.T) {
	l := newLab(t)
	p := l.MustRun()
	s := actiontest.JSON[series.Summary](l, p, "series s", artifact.SummaryFile)
	overall := s.Slices[0]
	if overall.Best != "second" || overall.Points[2].Best.Verdict != series.Worse || overall.Points[1].Previous.Verdict != series.Better {
		t.Errorf("got %+v", overall)
	}
	y := []float64{overall.Points[0].BPB, overall.Points[1].BPB, overall.Points[2].BPB}
	x, mean, squares, products := []float64{1, 2, 4}, 7./3, 0.0, 0.0
	for i := range x {
		squares, products = squares+(x[i]-mean)*(x[i]-mean), products+(x[i]-mean)*y[i]
	}
	near(t, "slope", overall.Slope.Value, products/squares)
	near(t, "slope by the steps", overall.Slope.Steps.Value, products/squares)
	if d := overall.Slope.Documents; !(d.Low < overall.Slope.Value && overall.Slope.Value < d.High) {
		t.Errorf("got the interval %v of the slope %v", d, overall.Slope.Value)
	}
	for _, slice := range s.Slices {
		if small := slice.Name == "z"; slice.TooSmall != small || small && slice.Points[2].Best.Verdict != series.Small {
			t.Errorf("%s: too small is %v", slice.Name, slice.TooSmall)
		}
	}
	f, err := os.Open(l.Path(p, "series s", "points.csv"))
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(f).ReadAll()
	if err := errors.Join(err, f.Close()); err != nil || len(records) != 1+6*3 {
		t.Errorf("got %d records, %v", len(records), err)
	}
	report, err := os.ReadFile(l.Path(p, "series s", "report.md"))
	if err != nil || !strings.Contains(string(report), "`third` needs ") || !strings.Contains(string(report), "3 models are fewer than 6") {
		t.Errorf("got the report %s, %v", report, err)
	}
}

// A series has only losses that were measured under the same scoring protocol on the same bytes.
func TestRefuses(t *testing.T) {
	l := newLab(t)
	l.Models[0].Scoring.Prefix = protocol.PrefixNone
	_, failed := l.Run()
	if err := failed["series s"]; protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(cmp.Or(err, errors.New("none")).Error(), "different scoring protocols") {
		t.Errorf("got %v", failed)
	}
}

// Equal models have no difference, and nothing about it is uncertain.
func TestEqualModels(t *testing.T) {
	l := newLab(t)
	l.Models[1].Backend.Config = l.Models[0].Backend.Config
	p := l.MustRun()
	s := actiontest.JSON[series.Summary](l, p, "series s", artifact.SummaryFile)
	d := s.Slices[0].Points[1].Previous
	if d.Gap != 0 || d.Error != 0 || d.P != 1 || d.Verdict != series.Equal || s.Slices[0].Points[2].Best.Model != "first" {
		t.Errorf("got %+v", d)
	}
	l = newLab(t)
	l.Models[2].Backend.Config = l.Models[1].Backend.Config
	p = l.MustRun()
	report, err := os.ReadFile(l.Path(p, "series s", "report.md"))
	const want = "a difference of +0.0000 [+0.0000, +0.0000], since their losses are equal."
	if err != nil || !strings.Contains(string(report), want) {
		t.Errorf("got the report %s, %v", report, err)
	}
}

// Tags of a spec are text. In a report they are neither markup nor commands, and a terminal shows them on one line.
func TestHostileNames(t *testing.T) {
	const tag = "<script>alert(1)</script> | `x` [y](javascript:1)\n::error::e\x1b[31m"
	l := newLab(t)
	l.Datasets[1].Tags = []string{tag}
	p := l.MustRun()
	report, err := os.ReadFile(l.Path(p, "series s", "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	var html, terminal bytes.Buffer
	if err := goldmark.New(goldmark.WithExtensions(extension.GFM)).Convert(report, &html); err != nil {
		t.Fatal(err)
	}
	series.Headlines{{Name: "s", Summary: actiontest.JSON[series.Summary](l, p, "series s", artifact.SummaryFile)}}.Print(&terminal)
	if !strings.Contains(html.String(), "alert(1)") {
		t.Error("the report does not have the group")
	}
	for _, bad := range []string{"<script", "<a ", "\n::error", "\x1b"} {
		if strings.Contains(html.String()+terminal.String(), bad) {
			t.Errorf("the report or the terminal has %q", bad)
		}
	}
}
