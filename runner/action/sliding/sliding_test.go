package sliding_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/sliding"
	"surprisal.dev/runner/action/windows"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// expected is the output of testdata/sliding.py.
type expected struct {
	Texts []string
	Cases map[string]struct {
		Case struct {
			windows.Slicing
			Above  float64
			Stride int64
		}
		Skipped, SkippedAtEnd, Windows, Refining, Greedy int64
		Rows                                             []struct {
			Document, Cursor, Start, Suffix, End int64
			LogP                                 float64  `json:"log_p"`
			LogPTopK                             *float64 `json:"log_p_top_k"`
			LogPWithoutPrompt                    float64  `json:"log_p_without_prompt"`
			GreedyTokens                         int32    `json:"greedy_tokens"`
		}
		CharacterMax       [][]*float64 `json:"character_max"`
		Max, Mean, Without float64
		Thresholds         []struct {
			P                               float64
			Windows, TopK, Easy, Characters int64
		}
		Discoverable []struct {
			TopK        int64
			P, Possible float64
			Shares      []float64
		}
	}
}

func readExpected(t *testing.T) (e expected) {
	t.Helper()
	data, err := os.ReadFile("testdata/sliding.json")
	if err == nil {
		err = json.Unmarshal(data, &e)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// lab returns an experiment whose dataset "texts" has the texts, and whose model "m" is the fake one.
func lab(t *testing.T, texts []string, config string) *actiontest.Lab {
	t.Helper()
	l := actiontest.New(t, "fake", "plain")
	var lines []string
	for _, text := range texts {
		line, err := json.Marshal(map[string]string{"text": text})
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	l.Write("texts.jsonl", strings.Join(lines, "\n"))
	l.Dataset("texts", "jsonl", `{"path":"texts.jsonl"}`, "text")
	l.Model("m", "fake", config)
	return l
}

func entry(s windows.Slicing, refine *windows.Refine) []sliding.Entry {
	return []sliding.Entry{{
		Name: "s", Models: []string{"m"}, Datasets: []string{"texts"}, Slicing: s, Refine: refine,
		Figure: sliding.Figure{Width: 8, DPI: 50, ColorMap: "Kindlmann"},
	}}
}

// equal allows for another order of additions.
func equal(a, b float64) bool { return math.Abs(a-b) <= 1e-11*max(1, math.Abs(a), math.Abs(b)) }

// Windows, characters and statistics equal those of an independent computation, for texts with characters of several
// bytes and tokens that divide them, for both units of the cursor, with and without refinement.
func TestEqualsPython(t *testing.T) {
	e := readExpected(t)
	for name, c := range e.Cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var refine *windows.Refine
			if c.Case.Above > 0 {
				refine = &windows.Refine{Above: c.Case.Above, Stride: c.Case.Stride}
			}
			l := lab(t, e.Texts, "{}")
			l.Section("sliding", entry(c.Case.Slicing, refine))
			p := l.MustRun()
			s := actiontest.JSON[sliding.Statistics](l, p, "sliding s m texts", "statistics.json")
			got := [6]int64{s.Windows, s.Skipped, s.SkippedAtEnd, s.Refining, s.Greedy, s.Texts}
			if want := [6]int64{c.Windows, c.Skipped, c.SkippedAtEnd, c.Refining, c.Greedy, int64(len(e.Texts))}; got != want {
				t.Fatalf("windows, skipped, at the end, refining, greedy, texts: got %v, want %v", got, want)
			}
			if !equal(s.MaxLogP, c.Max) || !equal(s.MeanLogP, c.Mean) || !equal(s.MeanWithoutPrompt, c.Without) || !equal(s.MeanDifference, c.Mean-c.Without) {
				t.Errorf("got %v, %v and %v, want %v, %v and %v", s.MaxLogP, s.MeanLogP, s.MeanWithoutPrompt, c.Max, c.Mean, c.Without)
			}
			for i, want := range c.Thresholds {
				got := s.Thresholds[i]
				share := float64(want.Windows) / float64(c.Windows)
				if got.P != want.P || got.Windows != want.Windows || got.TopK != want.TopK || got.Easy != want.Easy || got.Characters != want.Characters || got.Share != share {
					t.Errorf("threshold %d: got %+v, want %+v", i, got, want)
				}
			}
			for i, want := range c.Discoverable {
				got := s.Discoverable[i]
				if fmt.Sprint(got.TopK, got.P, got.Possible, got.Shares) != fmt.Sprint(want.TopK, want.P, want.Possible, want.Shares) {
					t.Errorf("discoverable %d: got %+v, want %+v", i, got, want)
				}
			}
			i := 0
			err := windows.ReadRows(l.Path(p, "sliding s m texts", artifact.WindowsFile), func(w *artifact.Window) error {
				want := c.Rows[i]
				i++
				got := [6]int64{w.Document, w.Cursor, w.Start, w.Suffix, w.End, int64(w.GreedyTokens)}
				if got != [6]int64{want.Document, want.Cursor, want.Start, want.Suffix, want.End, int64(want.GreedyTokens)} {
					t.Errorf("row %d: got %v, want %+v", i-1, got, want)
				}
				top := math.Inf(-1)
				if want.LogPTopK != nil {
					top = *want.LogPTopK
				}
				if !equal(w.LogP, want.LogP) || !(w.LogPTopK == top || equal(w.LogPTopK, top)) || !equal(w.LogPWithoutPrompt, want.LogPWithoutPrompt) {
					t.Errorf("row %d: got %v, %v and %v, want %+v with %v", i-1, w.LogP, w.LogPTopK, w.LogPWithoutPrompt, want, top)
				}
				return nil
			})
			if err != nil || i != len(c.Rows) {
				t.Errorf("got %d rows, %v; want %d", i, err, len(c.Rows))
			}
			compareCharacters(t, l.Path(p, "sliding s m texts", artifact.CharacterMaxFile), c.CharacterMax)
			verify(t, l, p)
		})
	}
}

func compareCharacters(t *testing.T, path string, want [][]*float64) {
	t.Helper()
	in, err := artifact.OpenCharacterMax(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var rows int64
	for row, err := range in.All() {
		if err != nil {
			t.Fatal(err)
		}
		rows++
		value := math.Inf(-1)
		if v := want[row.Document][row.Character]; v != nil {
			value = *v
		}
		if row.LogP != value && !equal(row.LogP, value) {
			t.Errorf("text %d, character %d: got %v, want %v", row.Document, row.Character, row.LogP, value)
		}
	}
	for _, of := range want {
		rows -= int64(len(of))
	}
	if rows != 0 {
		t.Errorf("%d characters too many", rows)
	}
}

// verify verifies all artifacts of both kinds.
func verify(t *testing.T, l *actiontest.Lab, p *plan.Plan) {
	t.Helper()
	for _, kind := range []string{"windows", "sliding"} {
		for _, a := range p.Of(kind) {
			if err := verifyFiles(t, l, a, nil); err != nil {
				t.Errorf("%s: %v", a.Name, err)
			}
		}
	}
}

// write returns the path of a new file.
func write(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
