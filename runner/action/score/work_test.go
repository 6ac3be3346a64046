package score

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// bytewise is a model whose tokens are bytes that lose a nat each.
type bytewise struct {
	fail error
	skip int // answers that it keeps to itself
}

func (bytewise) Describe() protocol.LoadedModel {
	return protocol.LoadedModel{ContextLimit: 100, VocabularySize: 256, Device: "abacus", Dtype: "beads", Computed: map[string]string{"device": "wooden abacus", "rows": "7"}, Arithmetic: "abacus, 2 hands"}
}

func (m bytewise) Score(
	_ context.Context, _ protocol.Settings, documents iter.Seq2[protocol.Document, error], emit func(protocol.Document, protocol.ScoredDocument) error,
) error {
	n := 0
	for d, err := range documents {
		if err := errors.Join(err, m.fail); err != nil {
			return err
		}
		if n++; n <= m.skip {
			continue
		}
		s := protocol.ScoredDocument{Index: d.Index, SharedTokens: 5 * d.Index}
		for i := range len(d.Text) {
			s.TokenIDs, s.TokenNLL = append(s.TokenIDs, int32(d.Text[i])), append(s.TokenNLL, 1)
			s.TokenStarts, s.TokenEnds = append(s.TokenStarts, int32(i)), append(s.TokenEnds, int32(i+1))
			s.TotalNLL++
		}
		if err := emit(d, s); err != nil {
			return err
		}
	}
	return nil
}

// shelf gives a task a model, and records its requests.
type shelf struct {
	action.Plugins
	model    bytewise
	asked    protocol.Model
	fail     error
	released int
}

func (s *shelf) Model(_ context.Context, m protocol.Model) (action.Model, func() error, error) {
	s.asked = m
	return s.model, func() error { s.released++; return nil }, s.fail
}

// estimate is what the backend of a shelf estimates.
var estimate = protocol.Estimate{Parameters: 7, FLOPsPerToken: 14}

func (s *shelf) Estimate(context.Context, protocol.Model, protocol.Settings) (protocol.Estimate, error) {
	return estimate, nil
}

// newTask returns a task that scores these texts, whole, and what gives it its model.
func newTask(t *testing.T, texts ...string) (*action.Task, *shelf) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, artifact.DocumentsFile)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := artifact.NewDocumentWriter(f)
	counts := artifact.Counts{Words: 5}
	for i, text := range texts {
		err = errors.Join(err, w.Write(artifact.Document{Shard: "s", Row: int64(i), Text: text, ScoreEnd: int32(len(text))}))
		counts.Documents++
	}
	at := filepath.Join(dir, artifact.CountsFile)
	if err := errors.Join(err, w.Close(), f.Close(), artifact.WriteJSON(at, counts)); err != nil {
		t.Fatal(err)
	}
	s := &shelf{}
	return &action.Task{
		Descriptor: plan.Descriptor{
			Kind: name, Parameters: json.RawMessage(`{"config":{"a":1},"settings":{"context":8},"truncation":6,"weights":[{"digest":"d1","name":"w1"},{"digest":"d2","name":"w2"}]}`),
			Inputs: map[string]string{"model/model.bin": "d3"},
		},
		Name: "score m d", Machine: json.RawMessage(`{"settings":{"threads":3},"weights":[{"Name":"w1","Path":"/1"},{"Name":"w2","Path":"/2","Digest":"not asked"}]}`),
		Dir: t.TempDir(), Plugins: s, Advance: func(action.Progress) {},
		Inputs: map[string]string{"documents/" + artifact.CountsFile: at, "documents/" + artifact.DocumentsFile: path, "model/" + artifact.ModelFile: "/3"},
	}, s
}

// A model is loaded with all its settings, including neutral ones, and with its files at their local paths.
func TestLoad(t *testing.T) {
	task, s := newTask(t, "ab", "c")
	result, err := Kind{}.Work(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	want := protocol.Model{Config: json.RawMessage(`{"a":1,"threads":3}`), Files: []protocol.ModelFile{
		{Name: "w1", Path: "/1", Digest: "d1"}, {Name: "w2", Path: "/2", Digest: "d2"}, {Name: artifact.ModelFile, Path: "/3", Digest: "d3"},
	}}
	if d := cmp.Diff(want, s.asked); d != "" || s.released != 1 {
		t.Errorf("released %d times: %s", s.released, d)
	}
	computed := map[string]string{"device": "wooden abacus", "rows": "7"}
	if d := cmp.Diff(computed, result.Computed); d != "" {
		t.Error(d)
	}
	delete(result.Measured, "tokensPerSecond")
	delete(result.Measured, "bytesPerSecond")
	if d := cmp.Diff(map[string]float64{plan.MeasuredDocuments: 2, plan.MeasuredBytes: 3, plan.MeasuredTokens: 3, plan.MeasuredShared: 5}, result.Measured); d != "" {
		t.Error(d)
	}
	for _, name := range result.Files {
		if _, err := os.Stat(task.Path(name)); err != nil {
			t.Error(err)
		}
	}
	var summary artifact.ScoreSummary
	if err := artifact.ReadJSON(task.Path(artifact.SummaryFile), &summary); err != nil {
		t.Fatal(err)
	}
	protocolOf := artifact.ScoringProtocol{Prefix: "bos", Context: 8, Stride: 4, Anchor: "tokens", Dtype: "beads", Arithmetic: "abacus, 2 hands", Truncation: 6, Span: "even"}
	if summary.Protocol != protocolOf || summary.Words != 5 || summary.Nats != 3 {
		t.Errorf("got %+v", summary)
	}
}

// What goes wrong is told, and the model is given back.
func TestWorkFails(t *testing.T) {
	full := &protocol.Error{Kind: protocol.OutOfMemory, Message: "the abacus is full"}
	for name, test := range map[string]struct {
		change func(*action.Task, *shelf)
		want   string
		loaded int
	}{
		"weights without a path": {func(task *action.Task, _ *shelf) {
			task.Machine = json.RawMessage(`{"weights":[{"Name":"w1","Path":"/1"}]}`)
		}, "the task has no local path for the weights w2", 0},
		"weights of another name": {func(task *action.Task, _ *shelf) {
			task.Machine = json.RawMessage(`{"weights":[{"Name":"w2","Path":"/1"},{"Name":"w1"}]}`)
		}, "no local path for the weights w1", 0},
		"no counts":    {func(task *action.Task, _ *shelf) { delete(task.Inputs, "documents/"+artifact.CountsFile) }, "score m d has no input documents/counts.json; inputs are documents/documents.parquet, model/model.bin", 0},
		"no documents": {func(task *action.Task, _ *shelf) { delete(task.Inputs, "documents/"+artifact.DocumentsFile) }, "has no input documents/documents.parquet", 0},
		"parameters":   {func(task *action.Task, _ *shelf) { task.Descriptor.Parameters = json.RawMessage(`[]`) }, "parameters of a score: json: ", 0},
		"places":       {func(task *action.Task, _ *shelf) { task.Machine = json.RawMessage(`[]`) }, "local settings of a score: json: ", 0},
		"no model":     {func(_ *action.Task, s *shelf) { s.fail = errors.New("no model") }, "no model", 0},
		"a context that is too long": {func(task *action.Task, _ *shelf) {
			task.Descriptor.Parameters = json.RawMessage(`{"config":{},"settings":{"context":101}}`)
		}, "context 101 exceeds the model's maximum of 100 tokens", 1},
		"too few answers":              {func(_ *action.Task, s *shelf) { s.model.skip = 1 }, "the backend returned results for 1 of 2 documents", 1},
		"a document that is too large": {func(_ *action.Task, s *shelf) { s.model.fail = full }, "a single document does not fit (lower limits.bytes or scoring.context, or use a device with more memory): the abacus is full", 1},
		"another error":                {func(_ *action.Task, s *shelf) { s.model.fail = errors.New("beads fell off") }, "beads fell off", 1},
		"a missing directory":          {func(task *action.Task, _ *shelf) { task.Dir = filepath.Join(task.Dir, "missing") }, "no such file or directory", 1},
	} {
		task, s := newTask(t, "ab", "c")
		test.change(task, s)
		_, err := Kind{}.Work(t.Context(), task)
		if err == nil || !strings.Contains(err.Error(), test.want) || s.released != test.loaded {
			t.Errorf("%s: released %d times, got error %v, want %q", name, s.released, err, test.want)
		}
		if errors.Is(s.model.fail, full) && protocol.KindOf(err) != protocol.OutOfMemory {
			t.Errorf("%s: got the kind %s", name, protocol.KindOf(err))
		}
	}
}

// Of many tokens the summary lists the most frequent, of equal ones those with the smallest ids, and counts all.
func TestManyTokens(t *testing.T) {
	var text strings.Builder
	for c := byte('!'); c < '!'+40; c++ {
		text.WriteString(strings.Repeat(string(rune(c)), 1+int(c)%3))
	}
	task, _ := newTask(t, text.String()+"\\é")
	if _, err := (Kind{}).Work(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	var s artifact.TokenCountsSummary
	if err := artifact.ReadJSON(task.Path(artifact.TokenCountsSummaryFile), &s); err != nil {
		t.Fatal(err)
	}
	in, err := artifact.OpenTokenCounts(task.Path(artifact.TokenCountsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var ranks []artifact.TokenRank
	var tokens, once int64
	texts := map[int32]string{}
	for c, err := range in.All() {
		if err != nil {
			t.Fatal(err)
		}
		ranks = append(ranks, artifact.TokenRank(c))
		tokens += c.Count
		if c.Count == 1 {
			once++
		}
		texts[c.ID] = c.Text
	}
	if !slices.IsSortedFunc(ranks, func(a, b artifact.TokenRank) int { return int(a.ID - b.ID) }) || texts[0xc3] != `\xc3` || texts['\\'] != `\` {
		t.Errorf("got %+v", ranks)
	}
	slices.SortStableFunc(ranks, func(a, b artifact.TokenRank) int { return int(b.Count - a.Count) })
	want := artifact.TokenCountsSummary{Tokens: tokens, Distinct: 43, VocabularySize: 256, Once: once, Top: ranks[:32]}
	if d := cmp.Diff(want, s); d != "" || len(ranks) != 43 || once == 0 {
		t.Error(d)
	}
}

// A table of bits per byte has a row for each dataset and a column for each model, in the order in which people count,
// and their ratio of sums where no score is missing.
func TestHeadline(t *testing.T) {
	var actions []*plan.Action
	summaries := map[string]artifact.ScoreSummary{}
	add := func(model, dataset string, nats float64, bytes int64) {
		a := &plan.Action{Name: model + " " + dataset, Labels: plan.Labels{Model: model, Dataset: dataset}, Status: plan.Status{Outputs: []store.File{{}}}}
		if bytes < 0 {
			a.Outputs = nil
		}
		actions = append(actions, a)
		summaries[a.Name] = artifact.ScoreSummary{Nats: nats, ScoredBytes: bytes, BPB: artifact.BitsPerByte(nats, bytes)}
		if model == "m2" && bytes > 0 {
			s := summaries[a.Name]
			s.Confidence = &artifact.ConfidenceSummary{
				Top: artifact.Calibration{Error: 0.25, CalibrationUnits: artifact.CalibrationUnits{Interval: &[2]float64{0.125, 0.5}}}, Ranks: artifact.Ranks{First: 0.75},
			}
			summaries[a.Name] = s
		}
	}
	add("m10", "d10", math.Ln2, 1)
	add("m10", "d2", 8*math.Ln2, 4)
	add("m2", "d10", 3*math.Ln2, 1)
	add("m2", "d2", 0, -1)
	add("none", "d2", 0, 0)
	add("none", "d10", 0, 0)
	// Two documents of one byte each, of 0 and 2 bits.
	of10 := summaries["m10 d10"]
	of10.Units.Add(0, 1)
	of10.Units.Add(2, 1)
	of10.Interval = artifact.IntervalOf(of10.Units)
	summaries["m10 d10"] = of10
	read := func(_ context.Context, a *plan.Action, file string) ([]byte, error) {
		if file != artifact.SummaryFile || a.Outputs == nil {
			return nil, os.ErrNotExist
		}
		return json.Marshal(summaries[a.Name])
	}
	report, err := Kind{}.Report(t.Context(), actions, read)
	if err != nil {
		t.Fatal(err)
	}
	of := func(v float64) *float64 { return &v }
	want := &Headline{
		Datasets: []string{"d2", "d10"}, Models: []string{"m2", "m10", "none"},
		BPB: [][]*float64{{nil, of(2), nil}, {of(3), of(1), nil}}, Bytes: [][]int64{{0, 4, 0}, {1, 1, 0}}, Total: []*float64{nil, of(9.0 / 5), nil},
		Intervals: [][]*artifact.Interval{{nil, nil, nil}, {nil, of10.Interval, nil}}, TotalIntervals: []*artifact.Interval{nil, of10.Interval, nil},
		Confidence: [][]*Confidence{{nil, nil, nil}, {{Correct: 0.75, Error: 0.25, Interval: &[2]float64{0.125, 0.5}}, nil, nil}},
	}
	if d := cmp.Diff(want, report.(*Headline), approximate); d != "" {
		t.Error(d)
	}
	var out strings.Builder
	report.Print(&out)
	table := "bits per byte      m2              m10  none\nd2                  -           2.0000     -\nd10            3.0000  1.0000 ±12.7062     -\n" +
		"all datasets        -  1.8000 ±12.7062     -\n" +
		"top token  correct        calibration error\nm2 on d10    75.0%  0.2500 [0.1250, 0.5000]\n"
	if d := cmp.Diff(table, out.String()); d != "" {
		t.Error(d)
	}
	want.Bytes[1][0] = 7000
	out.Reset()
	want.Print(&out)
	table += "these rows are over different bytes for different models, and their numbers cannot be compared: d10 (1 B to 7.0 kB)\n"
	if d := cmp.Diff(table, out.String()); d != "" {
		t.Error(d)
	}
	actions[3].Outputs = actions[0].Outputs
	if _, err := (Kind{}).Report(t.Context(), actions, func(context.Context, *plan.Action, string) ([]byte, error) { return nil, os.ErrNotExist }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v", err)
	}
	for n, none := range map[int]bool{0: true, 4000: false, 4001: true} {
		if report, err := (Kind{}).Report(t.Context(), slices.Repeat(actions[:1], n), read); (report == nil) != none || err != nil {
			t.Errorf("%d scores: got %v, %v", n, report, err)
		}
	}
}

var approximate = cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-12 })

// The part of a large table that a terminal shows is bounded, and a line reports this.
func TestLargeHeadline(t *testing.T) {
	for _, test := range []struct {
		datasets, models, lines, columns int
		more                             string
	}{
		{1, 12, 2, 12, ""}, {40, 1, 42, 1, ""}, {41, 12, 43, 12, "... 41 datasets and 12 models in total; run `runner show --json` for all of them"}, {1, 13, 3, 12, "... 1 dataset and 13 models in total; run `runner show --json` for all of them"},
	} {
		h := &Headline{Total: make([]*float64, test.models), TotalIntervals: make([]*artifact.Interval, test.models)}
		for i := range test.datasets {
			h.Datasets = append(h.Datasets, fmt.Sprintf("d%d", i))
			h.BPB, h.Intervals = append(h.BPB, make([]*float64, test.models)), append(h.Intervals, make([]*artifact.Interval, test.models))
		}
		for i := range test.models {
			h.Models = append(h.Models, fmt.Sprintf("m%d", i))
		}
		var out strings.Builder
		h.Print(&out)
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if last := lines[len(lines)-1]; test.more != "" && last != test.more {
			t.Errorf("got %q, want %q", last, test.more)
		}
		if len(lines) != test.lines || strings.Count(lines[0], "m") != test.columns {
			t.Errorf("%d datasets, %d models: got %d lines, the first %q", test.datasets, test.models, len(lines), lines[0])
		}
	}
}

// The summary has the size of the model, as its backend estimates it.
func TestModelSize(t *testing.T) {
	task, _ := newTask(t, "ab")
	if _, err := (Kind{}).Work(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	var s artifact.ScoreSummary
	if err := artifact.ReadJSON(task.Path(artifact.SummaryFile), &s); err != nil {
		t.Fatal(err)
	}
	if want := (artifact.ModelSize{Parameters: estimate.Parameters, FLOPsPerToken: estimate.FLOPsPerToken}); s.Model != want {
		t.Errorf("got %+v, want %+v", s.Model, want)
	}
}
