package sliding_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/sliding"
	"surprisal.dev/runner/action/windows"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// rows returns the windows of the report.
func rows(t *testing.T, l *actiontest.Lab, p *plan.Plan) (all []string, values map[string]float64) {
	t.Helper()
	values = map[string]float64{}
	err := windows.ReadRows(l.Path(p, "sliding s m texts", artifact.WindowsFile), func(w *artifact.Window) error {
		at := fmt.Sprintf("%d:%06d", w.Document, w.Cursor)
		all = append(all, fmt.Sprintf("%s [%d, %d, %d) %v", at, w.Start, w.Suffix, w.End, w.LogP))
		values[at] = w.LogP
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, values
}

// Parts and refinement give the windows that a single part with a small step gives.
func TestParts(t *testing.T) {
	e := readExpected(t)
	var texts []string
	for _, text := range append(slices.Clone(e.Texts), e.Texts...) {
		// Two tokens start in some of these characters, and which of them has a window depends on the step.
		texts = append(texts, strings.ReplaceAll(text, "😀", "東"))
	}
	for _, unit := range []string{windows.UnitCharacters, windows.UnitTokens} {
		t.Run(unit, func(t *testing.T) {
			t.Parallel()
			s := e.Cases["characters"].Case.Slicing
			s.CursorUnit, s.CursorInc = unit, 1
			fine := lab(t, texts, "{}")
			fine.Section("sliding", entry(s, nil))
			p := fine.MustRun()
			all, values := rows(t, fine, p)
			if n := len(p.Of("windows")); unit == windows.UnitCharacters && n < 4 {
				t.Errorf("got %d parts", n)
			}
			const inc, above = 2, 0.3
			s.CursorInc = inc
			coarse := lab(t, texts, "{}")
			coarse.Section("sliding", entry(s, &windows.Refine{Above: above, Stride: 1}))
			p = coarse.MustRun()
			got, _ := rows(t, coarse, p)
			var want []string
			for _, row := range all {
				var document, cursor int
				if _, err := fmt.Sscanf(row, "%d:%d", &document, &cursor); err != nil {
					t.Fatal(err)
				}
				bright := false
				for _, neighbor := range []int{cursor - 1, cursor + 1} {
					v, ok := values[fmt.Sprintf("%d:%06d", document, neighbor)]
					bright = bright || ok && v >= math.Log(above)
				}
				if cursor%inc == 0 || bright {
					want = append(want, row)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %d windows, want %d of %d:\n%s\n\n%s", len(got), len(want), len(all), strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			verify(t, coarse, p)
		})
	}
}

// After a failure, a run continues with the parts that are missing, and the report is that of an uninterrupted run.
func TestContinues(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "marker")
	text := strings.Repeat("Some words of a text that is longer than a part. ", 30)
	texts := []string{text, text + "Here is a stop." + text}
	s := windows.Slicing{SliceLength: 100, ChunkTokens: 20, PromptTokens: 10, CursorInc: 1, CursorUnit: windows.UnitCharacters, TopK: 5}
	l := lab(t, texts, `{"marker":"`+marker+`"}`)
	l.Section("sliding", entry(s, nil))
	p, failed := l.Run()
	done := 0
	for _, a := range p.Of("windows") {
		if a.State == plan.Done {
			done++
		}
	}
	if parts := len(p.Of("windows")); done == 0 || done == parts || len(failed) == 0 {
		t.Fatalf("%d of %d parts are done, %v", done, parts, failed)
	}
	if err := os.WriteFile(marker, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	p = l.MustRun()
	cached := 0
	for _, a := range p.Of("windows") {
		if a.State == plan.Cached {
			cached++
		}
	}
	if cached != done {
		t.Errorf("%d parts are cached, %d were done", cached, done)
	}
	uninterrupted := lab(t, texts, `{"marker":"`+marker+`"}`)
	uninterrupted.Section("sliding", entry(s, nil))
	q := uninterrupted.MustRun()
	for _, o := range p.Action("sliding s m texts").Outputs {
		if !slices.Contains(q.Action("sliding s m texts").Outputs, o) {
			t.Errorf("%s differs", o.Name)
		}
	}
}

// Bad input is an error that says what to do, and not of the runner.
func TestBadInput(t *testing.T) {
	good := windows.Slicing{SliceLength: 120, ChunkTokens: 20, PromptTokens: 10, CursorInc: 7, CursorUnit: windows.UnitCharacters, TopK: 5}
	text := []string{strings.Repeat("a text of some length ", 10)}
	for name, test := range map[string]struct {
		texts  []string
		config string
		change func(*windows.Slicing)
		want   string
	}{
		"no window":      {[]string{"short", "texts"}, "{}", nil, "no window in 2 texts of 10 characters: a window needs 20 tokens; lower chunkTokens, or use longer texts"},
		"a short slice":  {text, "{}", func(s *windows.Slicing) { s.SliceLength = 50 }, "no window in 1 text of 220 characters: nowhere do 50 characters have 20 tokens; lower chunkTokens, raise sliceLength, or use longer texts"},
		"a long window":  {text, `{"limit":19}`, nil, "chunkTokens 20 exceeds the model's maximum of 19 tokens; lower it"},
		"no mass":        {text, `{"answer":"no mass"}`, nil, "the answer has the mass of the top tokens for 0 tokens, asked for all 20"},
		"other tokens":   {text, `{"answer":"other tokens"}`, nil, "tokenized the window differently the second time: 3 tokens instead of 20"},
		"missing answer": {text, `{"answer":"silent"}`, nil, "without an answer for 1 of its documents"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := good
			if test.change != nil {
				test.change(&s)
			}
			l := lab(t, test.texts, test.config)
			l.Section("sliding", entry(s, nil))
			_, failed := l.Run()
			found := false
			var all []string
			for name, err := range failed {
				if strings.HasPrefix(name, "score ") {
					continue
				}
				all = append(all, err.Error())
				found = found || strings.Contains(err.Error(), test.want)
			}
			if !found {
				t.Errorf("got %v, want %s", all, test.want)
			}
		})
	}
}

// Notes name the cause of what has no window, and what to do about it: texts that are short, or slices that are. The tokens
// of the model have three bytes.
func TestNotes(t *testing.T) {
	long := strings.Repeat("a text of some length ", 10)
	short := []string{strings.Repeat("a text of some length", 3), strings.Repeat("b text of some length", 3), strings.Repeat("c text of some length", 3)}
	const lessText = "lower chunkTokens, or use longer texts"
	for name, test := range map[string]struct {
		texts       []string
		sliceLength int64
		want        []string
	}{
		"none": {[]string{long}, 120, nil},
		"a text without a window": {[]string{"short", long}, 120, []string{
			"1 of 2 texts have no window: a window needs 20 tokens; " + lessText,
		}},
		"short texts": {short, 1000, []string{
			"more cursors are skipped (24) than have a window (3): at 24, the text ends in fewer than 20 tokens; " + lessText,
		}},
		"short slices": {[]string{strings.Repeat("東", 20) + long}, 40, []string{
			"more cursors are skipped (33) than have a window (2): at 27, the 40 characters of a slice have fewer than 20 tokens; raise sliceLength; " +
				"at 6, the text ends in fewer than 20 tokens; " + lessText,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := windows.Slicing{SliceLength: test.sliceLength, ChunkTokens: 20, PromptTokens: 10, CursorInc: 7, CursorUnit: windows.UnitCharacters, TopK: 5}
			l := lab(t, test.texts, "{}")
			l.Section("sliding", entry(s, nil))
			p := l.MustRun()
			got := actiontest.JSON[sliding.Statistics](l, p, "sliding s m texts", "statistics.json")
			if !slices.Equal(got.Notes, test.want) {
				t.Errorf("got %q, want %q", got.Notes, test.want)
			}
			verify(t, l, p)
		})
	}
}
