package scaling

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// fixture is a family with losses by a known rule.
type fixture struct {
	parameters
	// sizes are those of the models; 0 is unknown.
	sizes []int64
	// active are the parameters that a token uses, of the models in which they are fewer.
	active map[int]int64
	texts  map[string][]string
	// nll is the loss of a byte of a document of model i.
	nll func(i int, dataset string, row int, b byte) float64
	// pairs are the models whose tokens are of two bytes.
	pairs map[int]bool
	// unscored omits the loss of the first byte of each document.
	unscored bool
}

// task returns a task over the fixture's scores. Every byte is a token, except for models with pairs.
func (f fixture) task(t *testing.T) *action.Task {
	t.Helper()
	inputs := map[string]string{}
	f.Datasets = slices.Sorted(maps.Keys(f.texts))
	for i := range f.Models {
		for dataset, texts := range f.texts {
			dir := t.TempDir()
			scored, summary := filepath.Join(dir, artifact.ScoredFile), filepath.Join(dir, artifact.SummaryFile)
			if err := artifact.WriteJSON(summary, f.write(t, i, dataset, texts, scored)); err != nil {
				t.Fatal(err)
			}
			inputs[score.Side(i)+"/"+dataset+"/"+artifact.ScoredFile] = scored
			inputs[score.Side(i)+"/"+dataset+"/"+artifact.SummaryFile] = summary
		}
	}
	of, err := json.Marshal(f.parameters)
	if err != nil {
		t.Fatal(err)
	}
	return &action.Task{Descriptor: plan.Descriptor{Kind: name, Parameters: of}, Name: "scaling t", Inputs: inputs, Dir: t.TempDir()}
}

// write writes a table of scores and returns its summary.
func (f fixture) write(t *testing.T, i int, dataset string, texts []string, path string) artifact.ScoreSummary {
	t.Helper()
	s := artifact.ScoreSummary{
		Protocol: artifact.ScoringProtocol{Prefix: "bos", Context: 8}, Computed: map[string]string{"device": "cpu"},
		Model: artifact.ModelSize{Parameters: f.sizes[i], ActiveParameters: f.active[i], FLOPsPerToken: 2 * float64(f.sizes[i])},
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := artifact.NewScoredWriter(file)
	for row, text := range texts {
		nats, bytes := s.Ledger.Span, s.ScoredBytes
		d := artifact.ScoredDocument{Shard: "s|1", Row: int64(row), Text: text, ScoreEnd: int32(len(text))}
		size := 1
		if f.pairs[i] {
			size = 2
		}
		for k := 0; k < len(text); k += size {
			end := min(k+size, len(text))
			loss := 0.0
			for _, b := range []byte(text[k:end]) {
				loss += f.nll(i, dataset, row, b)
			}
			if f.unscored && k == 0 {
				loss, d.UnscoredStarts, d.UnscoredEnds = 0, []int32{0}, []int32{int32(end)}
				s.ScoredBytes -= int64(end)
				s.ScoredTokens--
			}
			d.TokenIDs, d.TokenEnds, d.TokenNLL = append(d.TokenIDs, int32(text[k])), append(d.TokenEnds, int32(end)), append(d.TokenNLL, loss)
			s.Ledger.Span += loss
			s.ScoredTokens++
		}
		s.Documents++
		s.Words += int64(len(strings.Fields(text)))
		s.ScoredBytes += int64(len(text))
		// JSON has no number for a square beyond any float64.
		if bits := (s.Ledger.Span - nats) / math.Ln2; bits < math.Sqrt(math.MaxFloat64)/8 {
			s.Units.Add(bits, float64(s.ScoredBytes-bytes))
		}
		if err := w.Write(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
	s.Finish()
	return s
}

// hostile is text with a special meaning in Markdown, HTML, GitHub, a terminal or a CI log.
var hostile = "<script>alert(1)</script> [x](javascript:1) ![y](https://e.example/p.png) @someone #1 | a `b` ``c`` **d**\n::error::e\n\x1b[31mred \u202eabc"

// law is a family with the losses of a power law, exactly, and one model of another design. The second document of
// dataset b gets harder with size. Bytes of vowels are three times as hard.
func law() fixture {
	f := fixture{
		sizes: []int64{1e6, 1e7, 1e8, 1e9, 135e6},
		texts: map[string][]string{
			"a/stories": {
				"Tom had a dog. The dog was old. Tom was sad. He took the dog out. They were happy.",
				"short",
				"Ann went to the sea. It was cold! She did not mind.",
				hostile,
			},
			"b": {"3.14159265358979323846264338327950288419716939937510", "A text that every larger model finds harder than before."},
		},
	}
	for i, n := range []string{"m-1M", "m-10M", "m-100M", "m-1B", "other|\x1b[1m`x`"} {
		m := model{Name: n, Family: "m"}
		if i == 4 {
			m.Family = ""
		}
		f.Models = append(f.Models, m)
	}
	sizes := []float64{1e6, 1e7, 1e8, 1e9, 135e6}
	f.nll = func(i int, dataset string, row int, b byte) float64 {
		base := 5 * math.Pow(sizes[i], -0.08)
		switch {
		case dataset == "b" && row == 1:
			base = 1 + 0.1*float64(i)
		case strings.IndexByte("aeiou", b) >= 0:
			base *= 3
		}
		return base
	}
	return f
}
