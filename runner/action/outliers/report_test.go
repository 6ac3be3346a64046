package outliers

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"

	"surprisal.dev/internal/golden"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/activations"
	"surprisal.dev/runner/artifact"
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

// The statistics equal those that numpy computes from the activations themselves.
func TestStatisticsEqualNumpy(t *testing.T) {
	all := readObserved(t)
	task, s := work(t, newFixture(all...))
	dimensions := records(t, task.Path("dimensions.csv"))
	for i, m := range all {
		r, want := s.Rows[i], m.Want
		if r.Occurrences != want.Occurrences || r.Dimensions != want.Dimensions || r.Sites != m.Sites || r.Sequences != 5 {
			t.Errorf("%s: got %+v, want %+v", m.Name, r, want)
		}
		for name, pair := range map[string][2]*float64{
			"perplexity": {r.Perplexity, &want.Perplexity}, "bits per byte": {&r.BPB, &want.BPB},
			"mean layers": {r.MeanLayer, want.MeanLayer}, "median layers": {r.MedianLayer, want.MedianLayer},
			"mean positions": {r.MeanSequence, want.MeanSequence}, "median positions": {r.MedianSequence, want.MedianSequence},
			"largest": {&r.Largest.Magnitude, &want.Largest}, "ratio": {r.Largest.Ratio, &want.LargestRatio},
		} {
			if got, want := *pair[0], *pair[1]; !(math.Abs(got-want) <= 1e-9*max(1, math.Abs(want))) {
				t.Errorf("%s: %s: got %v, want %v", m.Name, name, got, want)
			}
		}
		if r.Largest.Site != siteNames(m.Sites)[want.LargestSite] || r.Largest.Dimension == nil || *r.Largest.Dimension != want.LargestDimension {
			t.Errorf("%s: got the largest %+v, want site %d, dimension %d", m.Name, r.Largest, want.LargestSite, want.LargestDimension)
		}
		var rows [][]string
		for _, d := range want.ByDimension {
			rows = append(rows, []string{m.Name, fmt.Sprint(d.Dimension), fmt.Sprint(d.Occurrences), fmt.Sprintf("%.9f", d.MeanLayer),
				fmt.Sprintf("%.9f", d.MeanSequence), fmt.Sprintf("%.9f", d.Largest), fmt.Sprint(d.Layers)})
		}
		var got [][]string
		for _, row := range dimensions {
			if row[0] == m.Name {
				for k := 3; k <= 5; k++ {
					var v float64
					if _, err := fmt.Sscan(row[k], &v); err != nil {
						t.Fatal(err)
					}
					row[k] = fmt.Sprintf("%.9f", v)
				}
				got = append(got, row)
			}
		}
		byID := func(a, b []string) int { return strings.Compare(fmt.Sprintf("%5s", a[1]), fmt.Sprintf("%5s", b[1])) }
		slices.SortFunc(got, byID)
		if d := cmp.Diff(rows, got); d != "" {
			t.Errorf("%s: dimensions differ from numpy's: %s", m.Name, d)
		}
	}
}

// records returns the rows of a CSV file without its head.
func records(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(f).ReadAll()
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return rows[1:]
}

// A dimension is systematic from the shares on, also where a share is not exact in binary.
func TestShares(t *testing.T) {
	for _, of := range []struct {
		layers, positions int
		share             float64
		want              int64
	}{{1, 7, 0.07, 1}, {1, 6, 0.07, 0}, {0, 7, 0.07, 0}} {
		d := definition()
		d.SequenceShare, d.LayerShare = of.share, 0.25
		sum := newTally(d, siteNames(4))
		r := &activations.Reader{
			Sequence: artifact.ActivationSequence{Positions: 100, SiteLargest: []float64{7, 1, 1, 1}, SiteMedian: []float64{0, 1, 1, 1}},
			Dimensions: []artifact.ActivationDimension{{
				Dimension: 3, Sites: []byte{byte(of.layers)}, Positions: int64(of.positions), Largest: 7,
			}},
		}
		n, err := sum.add(r, func(artifact.Outlier) error { return nil })
		if err != nil || n != of.want {
			t.Errorf("%+v: got %d, %v", of, n, err)
		}
		if sum.largest.Ratio != nil {
			t.Errorf("got the ratio %v to a median of 0", *sum.largest.Ratio)
		}
	}
}

// The report is as it was reviewed, the same in each run, and nothing in it is markup of a specification.
func TestReportText(t *testing.T) {
	models := readObserved(t)
	models[4].Name = "other|\x1b[1m`x` <script>"
	none := observed{Name: "no-norms", Sequences: slices.Clone(models[4].Sequences)}
	for i := range none.Sequences {
		none.Sequences[i].Largest, none.Sequences[i].Median, none.Sequences[i].Dimensions = nil, nil, nil
	}
	few := models[3]
	few.Name, few.Family = "quiet", ""
	few.Sequences = slices.Clone(few.Sequences)
	for i := range few.Sequences {
		few.Sequences[i].Dimensions, few.Sequences[i].Largest = nil, slices.Repeat([]float64{5.5}, few.Sites)
	}
	f := newFixture(append(models, none, few)...)
	f.Definition.Sequences = 100
	f.change = func(i int, s *activations.Summary) {
		if i == 4 {
			s.Protocol.Dtype, s.Computed["device"] = "bfloat16", "cuda"
		}
	}
	task, s := work(t, f)
	again, _ := work(t, f)
	identical(t, task, again)
	report, err := os.ReadFile(task.Path(reportFile))
	if err != nil {
		t.Fatal(err)
	}
	golden.File(t, "report.md", report)
	var html bytes.Buffer
	if err := goldmark.New(goldmark.WithExtensions(extension.GFM)).Convert(report, &html); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "\x1b"} {
		if strings.Contains(html.String(), bad) {
			t.Errorf("the report has %q", bad)
		}
	}
	if n := strings.Count(html.String(), "<img "); n != 5 {
		t.Errorf("the report has %d images, want 5", n)
	}
	for _, name := range []string{perplexityFile, analysisFile, "models.csv"} {
		data, err := os.ReadFile(task.Path(name))
		if err != nil {
			t.Fatal(err)
		}
		golden.File(t, name, data)
	}
	// The terminal shows the same numbers.
	var out strings.Builder
	Headlines{{"t", s}}.Print(&out)
	golden.File(t, "terminal.txt", []byte(out.String()))
}

// identical checks that two tasks wrote the same files.
func identical(t *testing.T, task, again *action.Task) {
	t.Helper()
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
}

// Perplexities of other tokens are named in a note and on the axis of the figures.
func TestOtherTokens(t *testing.T) {
	for name, test := range map[string]struct {
		more int64
		want string
	}{
		"equal": {0, ""},
		"other": {1, `perplexities per token are comparable only between models with the same tokens, and "b" has others than "a"; compare bits per byte`},
	} {
		models := readObserved(t)[:2]
		models[1] = models[0]
		models[0].Name, models[1].Name = "a", "b"
		models[1].Sequences = slices.Clone(models[0].Sequences)
		models[1].Sequences[0].Tokens += test.more
		f := newFixture(models...)
		_, s := work(t, f)
		if got := slices.ContainsFunc(s.Notes, func(n string) bool { return strings.HasPrefix(n, "perplexities per token") }); got != (test.want != "") || got && !slices.Contains(s.Notes, test.want) {
			t.Errorf("%s: got the notes %q", name, s.Notes)
		}
		if label := s.perplexityAxis().Label; strings.HasSuffix(label, " (tokens differ between models)") != (test.want != "") {
			t.Errorf("%s: the label of the axis is %q", name, label)
		}
	}
}

// Families with too few perplexities have no curve, and the report says why.
func TestNoFit(t *testing.T) {
	models := readObserved(t)
	for name, test := range map[string]struct {
		models []observed
		note   string
	}{
		"one model":  {models[:1], `no curve is fitted to the family "tiny": a curve needs 3 different perplexities, and there is 1; add models`},
		"two models": {models[:2], `no curve is fitted to the family "tiny": a curve needs 3 different perplexities, and there are 2; add models`},
		"equal":      {[]observed{models[0], models[0], models[1]}, "a curve needs 3 different perplexities, and there are 2; add models"},
	} {
		task, s := work(t, newFixture(test.models...))
		if len(s.Fits) > 0 || !slices.ContainsFunc(s.Notes, func(n string) bool { return strings.Contains(n, test.note) }) {
			t.Errorf("%s: got the fits %v and the notes %q", name, s.Fits, s.Notes)
		}
		if _, err := os.Stat(task.Path("05_perplexity_vs_num_outliers-dark.svg")); err != nil {
			t.Error(err)
		}
	}
}

// Models of different documents or prefixes are refused.
func TestRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(*activations.Summary)
		problem string
	}{
		"documents": {func(s *activations.Summary) { s.Documents-- }, `dataset "d": model "tiny-0.3M" read 5 documents of 5000 bytes and model "tiny-1M" 4 of 5000`},
		"prefix":    {func(s *activations.Summary) { s.Protocol.Prefix = "none" }, `read the prefix "bos"`},
	} {
		f := newFixture(readObserved(t)[:2]...)
		f.change = func(i int, s *activations.Summary) {
			if i == 1 {
				test.change(s)
			}
		}
		if _, err := (Kind{}).Work(t.Context(), f.task(t)); protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Verification recomputes the numbers, and finds each that was changed.
func TestVerify(t *testing.T) {
	task, s := work(t, newFixture(readObserved(t)...))
	check := func() error {
		var outputs []store.File
		for _, name := range []string{artifact.SummaryFile, artifact.OutliersFile} {
			outputs = append(outputs, store.File{Name: name, Digest: name})
		}
		files := action.NewFiles(outputs, func(_ context.Context, digest string) (string, error) { return task.Path(digest), nil })
		_, err := Kind{}.Verify(t.Context(), files)
		return err
	}
	if err := check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Row){
		"occurrences": func(r *Row) { r.Occurrences++ },
		"dimensions":  func(r *Row) { r.Dimensions-- },
		"mean":        func(r *Row) { *r.MeanLayer += 1e-6 },
		"median":      func(r *Row) { *r.MedianSequence -= 1e-6 },
		"no median":   func(r *Row) { r.MedianLayer = nil },
		"perplexity":  func(r *Row) { *r.Perplexity *= 1.001 },
		"top":         func(r *Row) { r.Top[1].Largest++ },
		"fewer":       func(r *Row) { r.Top = r.Top[1:] },
		"name":        func(r *Row) { r.Model = "x" },
	} {
		var of Summary
		if err := errors.Join(artifact.WriteJSON(task.Path(artifact.SummaryFile), s), artifact.ReadJSON(task.Path(artifact.SummaryFile), &of)); err != nil {
			t.Fatal(err)
		}
		change(&of.Rows[2])
		if err := artifact.WriteJSON(task.Path(artifact.SummaryFile), of); err != nil {
			t.Fatal(err)
		}
		if err := check(); err == nil {
			t.Errorf("%s: a changed summary is verified", name)
		}
	}
}
