package sliding_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/sliding"
	"surprisal.dev/runner/action/windows"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// verifyFiles verifies an artifact. instead has paths of files by the name of the file that each replaces.
func verifyFiles(t *testing.T, l *actiontest.Lab, a *plan.Action, instead map[string]string) error {
	t.Helper()
	names := map[string]string{}
	for _, o := range a.Outputs {
		names[o.Digest] = o.Name
	}
	files := action.NewFiles(a.Outputs, func(ctx context.Context, digest string) (string, error) {
		if path, ok := instead[names[digest]]; ok {
			return path, nil
		}
		return l.Store.LocalPath(ctx, digest, "")
	})
	var kind action.Verifier = windows.Kind{}
	if a.Kind == "sliding" {
		kind = sliding.Kind{}
	}
	_, err := kind.Verify(t.Context(), files)
	return err
}

// Verification finds sums, characters and counts that do not follow from the rest.
func TestVerifyFindsDamage(t *testing.T) {
	e := readExpected(t)
	l := lab(t, e.Texts, "{}")
	l.Section("sliding", entry(e.Cases["characters"].Case.Slicing, nil))
	p := l.MustRun()
	report, part := p.Action("sliding s m texts"), p.Action("windows s m texts 000")
	read := func(a *plan.Action, file string) string { return l.Path(p, a.Name, file) }
	change := func(path, old, with string) string {
		data, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(data), old) {
			t.Fatalf("no %q in %s, %v", old, path, err)
		}
		return write(t, []byte(strings.Replace(string(data), old, with, 1)))
	}
	for name, test := range map[string]struct {
		of      *plan.Action
		file    string
		instead string
		want    string
	}{
		"a window is missing": {
			report, artifact.WindowsFile, rewrite(t, read(report, artifact.WindowsFile), func(i int, w *artifact.Window) bool { return i != 3 }),
			"the tables have 229 windows",
		},
		"a window has another value": {
			report, artifact.WindowsFile, rewrite(t, read(report, artifact.WindowsFile), func(i int, w *artifact.Window) bool {
				if i == 0 {
					w.LogP--
					w.TokenLogP[2]--
				}
				return true
			}), "text 0: character 0 has the value ",
		},
		"a window is in another text": {
			report, artifact.WindowsFile, rewrite(t, read(report, artifact.WindowsFile), func(i int, w *artifact.Window) bool {
				if i == 229 {
					w.Document++
				}
				return true
			}), "text 3: character 743 has the value ",
		},
		"the report counts other windows": {report, "statistics.json", change(read(report, "statistics.json"), `"windows": 230`, `"windows": 231`), "the tables have 230 windows"},
		"the part counts other windows":   {part, artifact.SummaryFile, change(read(part, artifact.SummaryFile), `"windows": 230`, `"windows": 229`), "the table has 230 windows, and the summary 229"},
		"the part is out of order": {
			part, artifact.WindowsFile, rewrite(t, read(part, artifact.WindowsFile), func(i int, w *artifact.Window) bool {
				if i == 1 {
					w.Cursor = 0
				}
				return true
			}), "document 0, window at 7: the row is not in order",
		},
	} {
		if err := verifyFiles(t, l, test.of, map[string]string{test.file: test.instead}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}

// rewrite returns the path of a copy of a table of windows with changed rows, without those for which change returns
// false.
func rewrite(t *testing.T, path string, change func(i int, w *artifact.Window) bool) string {
	t.Helper()
	copied := write(t, nil)
	f, err := os.Create(copied)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out, i := artifact.NewWindowWriter(f), 0
	err = windows.ReadRows(path, func(w *artifact.Window) error {
		keep := change(i, w)
		i++
		if !keep {
			return nil
		}
		return out.Write(*w)
	})
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return copied
}

// A row whose log probability is not the sum of those of its tokens cannot be written or read.
func TestRowChecksItsSum(t *testing.T) {
	good := artifact.Window{Suffix: 3, End: 6, Tokens: 4, LogP: -3, LogPTopK: -2, LogPWithoutPrompt: -9, GreedyTokens: 1, TokenLogP: []float64{-1, -2}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*artifact.Window){
		"the log probability is -3.001, but those of the tokens add up to -3": func(w *artifact.Window) { w.LogP = -3.001 },
		"the characters 7, 3 and 6 are not in order":                          func(w *artifact.Window) { w.Start = 7 },
		"-4 among the top tokens is below -3":                                 func(w *artifact.Window) { w.LogPTopK = -4 },
		"2 tokens are in the suffix of 2":                                     func(w *artifact.Window) { w.Tokens = 2 },
		"3 of 2 tokens are the most probable":                                 func(w *artifact.Window) { w.GreedyTokens = 3 },
	} {
		w := good
		change(&w)
		if err := w.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
