package scaling

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// task returns a task for a table of these scores, by model and dataset, of models with these numbers of parameters.
func task(t *testing.T, models []model, datasets []string, scores map[string]artifact.ScoreSummary) *action.Task {
	t.Helper()
	of, err := json.Marshal(parameters{Datasets: datasets, Models: models})
	if err != nil {
		t.Fatal(err)
	}
	inputs := map[string]string{}
	for i, m := range models {
		for _, dataset := range datasets {
			path := filepath.Join(t.TempDir(), artifact.SummaryFile)
			if err := artifact.WriteJSON(path, scores[m.Name+" "+dataset]); err != nil {
				t.Fatal(err)
			}
			inputs[side(i)+"/"+dataset+"/"+artifact.SummaryFile] = path
		}
	}
	return &action.Task{Descriptor: plan.Descriptor{Kind: name, Parameters: of}, Name: "scaling t", Inputs: inputs, Dir: t.TempDir()}
}

func scoreOf(nats float64, bytes, tokens, words, documents int64) artifact.ScoreSummary {
	return artifact.ScoreSummary{
		Nats: nats, ScoredBytes: bytes, ScoredTokens: tokens, Words: words, Documents: documents, Bytes: 1000, Tokens: 1000, BPB: artifact.BitsPerByte(nats, bytes),
		Protocol: artifact.ScoringProtocol{Prefix: "bos", Context: 8},
	}
}

// The complete table of two models on two datasets, computed by hand.
func TestTableText(t *testing.T) {
	scores := map[string]artifact.ScoreSummary{
		"m|1 d1": scoreOf(4*math.Ln2, 2, 2, 0, 1), "m|1 d2": scoreOf(8*math.Ln2, 4, 1, 0, 5), "m2 d1": scoreOf(2*math.Ln2, 2, 4, 0, 1), "m2 d2": scoreOf(4*math.Ln2, 4, 2, 0, 5),
	}
	for name, s := range scores {
		s.Computed = map[string]string{"device": name[:2], "ranks": "1"}
		scores[name] = s
	}
	work := task(t, []model{{"m|1", 0}, {"m2", 1234567}}, []string{"d1", "d2"}, scores)
	result, err := Kind{}.Work(t.Context(), work)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]float64{plan.MeasuredDocuments: 6, plan.MeasuredBytes: 6}, result.Measured); d != "" {
		t.Error(d)
	}
	for file, want := range map[string]string{
		"report.md": `# Scaling

Over 6 scored bytes of 6 documents in 2 datasets; every model was scored on the same bytes under the same scoring protocol. Bits per byte and perplexities are ratios of sums.

- Computed by different hardware or software: device: "m|1" has m|, "m2" has m2

| model | parameters | bits per byte | perplexity per token | perplexity per word | perplexity per byte |
| --- | --- | --- | --- | --- | --- |
| m\|1 | - | 2.0000 | 16 | - | 4 |
| m2 | 1234567 | 1.0000 | 2 | - | 2 |

## Bits per byte by dataset

| dataset | m\|1 | m2 |
| --- | --- | --- |
| d1 | 2.0000 | 1.0000 |
| d2 | 2.0000 | 1.0000 |
`,
		"scaling.csv": `model,parameters,scored_tokens,nats,bpb,perplexity_per_token,perplexity_per_word,perplexity_per_byte
m|1,,3,8.317766166719343,2,` + number(math.Exp(12*math.Ln2/3)) + `,,` + number(math.Exp(2*math.Ln2)) + `
m2,1234567,6,4.1588830833596715,1,` + number(math.Exp(math.Ln2)) + `,,` + number(math.Exp(math.Ln2)) + `
`,
	} {
		got, err := os.ReadFile(work.Path(file))
		if d := cmp.Diff(want, string(got)); d != "" || err != nil {
			t.Errorf("%s: %v: %s", file, err, d)
		}
	}
	var s Summary
	if err := artifact.ReadJSON(work.Path(artifact.SummaryFile), &s); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"d1", "d2"}, s.Datasets); d != "" || s.Protocol != (artifact.ScoringProtocol{Prefix: "bos", Context: 8}) || s.Documents != 6 || s.ScoredBytes != 6 ||
		s.Rows[0].Parameters != nil || *s.Rows[1].Parameters != 1234567 || s.Rows[1].Tokens != 6 {
		t.Errorf("got %+v: %s", s, d)
	}
	// The terminal shows the same.
	actions := []*plan.Action{
		{Labels: plan.Labels{Section: "a"}, Status: plan.Status{Outputs: []store.File{{}}}}, {Labels: plan.Labels{Section: "failed"}},
		{Labels: plan.Labels{Section: "b"}, Status: plan.Status{Outputs: []store.File{{}}}},
	}
	read := func(_ context.Context, _ *plan.Action, file string) ([]byte, error) {
		return os.ReadFile(work.Path(file))
	}
	report, err := Kind{}.Report(t.Context(), actions, read)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	report.Print(&out)
	table := `  parameters  bits per byte  perplexity per token  perplexity per word  perplexity per byte
m|1                 -         2.0000                    16                    -                    4
m2            1234567         1.0000                     2                    -                    2
`
	if d := cmp.Diff("scaling a"+table+"\nscaling b"+table, out.String()); d != "" {
		t.Error(d)
	}
	if report, err := (Kind{}).Report(t.Context(), actions[1:2], read); report != nil || err != nil {
		t.Errorf("got %v, %v of what failed", report, err)
	}
	if _, err := (Kind{}).Report(t.Context(), actions, func(context.Context, *plan.Action, string) ([]byte, error) { return nil, os.ErrNotExist }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v", err)
	}
}

func number(f float64) string {
	text, err := json.Marshal(f)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// A single dataset needs no table by dataset. Scores that cannot be compared are rejected with their models.
func TestTableRefuses(t *testing.T) {
	work := task(t, []model{{"m", 1}}, []string{"d"}, map[string]artifact.ScoreSummary{"m d": scoreOf(1, 1, 1, 1, 1)})
	if _, err := (Kind{}).Work(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	if report, err := os.ReadFile(work.Path("report.md")); err != nil || strings.Contains(string(report), "by dataset") {
		t.Errorf("got %s, %v", report, err)
	}
	work = task(t, []model{{"m", 1}, {"n", 1}, {"o", 1}}, []string{"d", "e"}, map[string]artifact.ScoreSummary{
		"m d": scoreOf(1, 1, 1, 1, 1), "n d": scoreOf(2, 1, 2, 2, 1), "o d": scoreOf(3, 1, 1, 1, 1), "m e": scoreOf(1, 5, 1, 1, 2), "n e": scoreOf(1, 5, 1, 1, 2), "o e": scoreOf(1, 6, 1, 1, 3),
	})
	want := `dataset "e": model "m" has losses for 5 bytes of 2 documents and model "o" for 6 of 3; exclude the dataset`
	if _, err := (Kind{}).Work(t.Context(), work); protocol.KindOf(err) != protocol.InvalidInput || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
	delete(work.Inputs, "001/e/summary.json")
	if _, err := (Kind{}).Work(t.Context(), work); err == nil || !strings.HasPrefix(err.Error(), "scaling t has no input 001/e/summary.json; ") {
		t.Errorf("got error %v", err)
	}
	if roles := []string{side(2), side(10)}; roles[0] >= roles[1] {
		t.Errorf("got the roles %q, want them in the order of the models", roles)
	}
}
