package workspace_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRates checks that a plan projects the durations of actions from earlier runs, and that it ignores damaged
// measurements.
func TestRates(t *testing.T) {
	t.Parallel()
	f := newDirectory(t)
	f.runs()
	f.write("a.txt", "the dog sat on the mat")
	run := filepath.Dir(f.glob(".surprisal/runs/*/rates.json"))

	// planned returns the projection for the score of the changed text, and the warnings of the plan.
	planned := func() (seconds float64, warnings string) {
		t.Helper()
		w := f.open()
		p, err := w.Plan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return p.Action("score big books/a").Cost.Seconds, strings.Join(w.Warnings(), "\n")
	}
	if seconds, warnings := planned(); seconds <= 0 || warnings != "" {
		t.Errorf("after a run: %v seconds, warnings %q", seconds, warnings)
	}
	// A later run with nothing to do has no measurements and does not hide earlier ones.
	f.write("a.txt", "the cat sat\nthe dog")
	f.runs()
	if seconds, warnings := planned(); seconds <= 0 || warnings != "" {
		t.Errorf("after a run with nothing to do: %v seconds, warnings %q", seconds, warnings)
	}

	journal := filepath.Join(run, "journal.jsonl")
	data, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(data), "\n")
	lines[len(lines)/2] = "\x00\x00\x00 not JSON\n"
	overwrite(t, journal, strings.Join(lines, ""))
	if seconds, warnings := planned(); seconds <= 0 || warnings != "" {
		t.Errorf("with a damaged journal: %v seconds, warnings %q", seconds, warnings)
	}

	rates := filepath.Join(run, "rates.json")
	for _, damaged := range []string{
		"[{", `{"score": 1}`, `[{"kind": "score", "who": "big", "bytes": 0, "seconds": 1}]`,
		`[{"kind": "score", "who": "big", "bytes": 1, "seconds": -1}]`, strings.Repeat(" ", 8<<20) + "[]",
	} {
		overwrite(t, rates, damaged)
		if seconds, warnings := planned(); seconds != 0 || strings.Count(warnings, rates) != 1 {
			t.Errorf("with rates %.80q: %v seconds, warnings %q", damaged, seconds, warnings)
		}
	}
	// A killed run leaves no file or an empty one.
	overwrite(t, rates, "")
	if seconds, warnings := planned(); seconds != 0 || warnings != "" {
		t.Errorf("with empty rates: %v seconds, warnings %q", seconds, warnings)
	}
}

// glob returns the only file that matches a pattern.
func (f *directory) glob(pattern string) string {
	f.t.Helper()
	files, err := filepath.Glob(filepath.Join(f.dir, pattern))
	if err != nil || len(files) != 1 {
		f.t.Fatalf("%s: found %q, %v", pattern, files, err)
	}
	return files[0]
}

func overwrite(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
