package outliers_test

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/outliers"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

func TestMain(m *testing.M) { actiontest.Main(m, backends()) }

// fake is a backend whose tokens are bytes.
type fake struct{}

// fakeModel is a model with a loss of Loss nats per token. Its norms have the magnitude Scale at even dimensions of every
// other position, and 1 elsewhere.
type fakeModel struct {
	Sites, Hidden int
	Limit         int64
	Loss          float64
	Scale         float32
}

func (fake) Describe(context.Context) (protocol.BackendDescription, error) {
	return protocol.BackendDescription{
		Name: "fake", Version: "1", Schema: "#Config: {...}",
		Capabilities: []string{protocol.CapabilityActivations, protocol.CapabilityTokenRange},
	}, nil
}

func (fake) Plan(context.Context, protocol.Model, protocol.Settings) (protocol.Estimate, error) {
	return protocol.Estimate{Parameters: 1000}, nil
}

func (fake) Load(_ context.Context, m protocol.Model) (sdk.Model, error) {
	var model fakeModel
	return model, json.Unmarshal(m.Config, &model)
}

func (m fakeModel) Describe() protocol.LoadedModel {
	names := []string{}
	for i := range m.Sites {
		names = append(names, "norm."+string(rune('0'+i)))
	}
	return protocol.LoadedModel{ContextLimit: m.Limit, VocabularySize: 256, Device: "abacus", Dtype: "beads", Sites: names, HiddenSize: int64(m.Hidden)}
}

func (fakeModel) Close() error { return nil }

func (m fakeModel) Score(ctx context.Context, s protocol.Settings, documents sdk.Documents, emit func(protocol.ScoredDocument) error) error {
	for d, err := range documents(ctx) {
		if err != nil {
			return err
		}
		if err := emit(m.answer(d, s)); err != nil {
			return err
		}
	}
	return nil
}

func (m fakeModel) answer(d protocol.Document, s protocol.Settings) protocol.ScoredDocument {
	out := protocol.ScoredDocument{Index: d.Index}
	read := len(d.Text)
	if s.Range.To > 0 && int(s.Range.To) < read {
		read = int(s.Range.To)
		out.Unscored = []protocol.Unscored{{Start: int32(read), End: int32(len(d.Text)), Reason: protocol.ReasonNotRequested}}
	}
	for i := range len(d.Text) {
		out.TokenIDs = append(out.TokenIDs, int32(d.Text[i]))
		out.TokenStarts, out.TokenEnds = append(out.TokenStarts, int32(i)), append(out.TokenEnds, int32(i+1))
		loss := m.Loss
		if i >= read {
			loss = 0
		}
		out.TokenNLL = append(out.TokenNLL, loss)
		out.TotalNLL += loss
	}
	if s.ActivationThreshold > 0 {
		a := &out.Activations
		a.Positions = int64(read)
		for range m.Sites {
			a.Sites = append(a.Sites, protocol.SiteActivations{Largest: max(m.Scale, 1), Median: 1})
		}
		for i := 0; i < m.Hidden && float64(m.Scale) >= s.ActivationThreshold; i += 2 {
			a.Dimensions = append(a.Dimensions, protocol.DimensionActivations{
				Dimension: int32(i), Sites: []byte{1<<m.Sites - 1}, Positions: int64(read+1) / 2, Largest: m.Scale,
			})
		}
	}
	return out
}

// newLab has documents of 4, 10 and 20 bytes, and models of which the better ones have larger magnitudes.
func newLab(t *testing.T) *actiontest.Lab {
	l := actiontest.New(t, "fake")
	l.Text("texts", "four", "ten bytes.", "a document: 20 bytes")
	l.Model("small", "fake", `{"Sites":4,"Hidden":6,"Loss":3,"Scale":2}`)
	l.Model("middle", "fake", `{"Sites":4,"Hidden":8,"Loss":2.5,"Scale":7}`)
	l.Model("large", "fake", `{"Sites":4,"Hidden":12,"Loss":2,"Scale":9}`)
	l.Model("plain", "fake", `{"Loss":2.2}`)
	return l
}

func table(name string, models ...string) outliers.Table {
	return outliers.Table{
		Name: name, Models: models, Datasets: []string{"texts"}, Figure: outliers.Size{Width: 4, Height: 3, DPI: 50},
		Definition: outliers.Definition{Sequences: 100, SequenceLength: 8, Threshold: 6, LayerShare: 0.25, SequenceShare: 0.06},
	}
}

// A report has the losses and the outliers of the same pass; a model without norms is listed with why.
func TestReport(t *testing.T) {
	l := newLab(t)
	l.Section("outliers", []outliers.Table{table("t", "small", "middle", "large", "plain")})
	p := l.MustRun()
	s := actiontest.JSON[outliers.Summary](l, p, "outliers t", artifact.SummaryFile)
	if len(s.Rows) != 4 {
		t.Fatalf("got %+v", s)
	}
	for i, dimensions := range []int64{0, 4, 6, 0} {
		r := s.Rows[i]
		if r.Dimensions != dimensions || r.Occurrences != 3*dimensions || r.Predicted != 4+8+8 || r.ScoredBytes != 20 || r.Sequences != 3 {
			t.Errorf("%s: got %+v, want %d dimensions", r.Model, r, dimensions)
		}
		if r.Parameters == nil || *r.Parameters != 1000 {
			t.Errorf("%s: got the parameters %v", r.Model, r.Parameters)
		}
	}
	if r := s.Rows[3]; r.Problem == "" || r.Perplexity == nil || r.Largest != nil {
		t.Errorf("got %+v of a model without norms", r)
	}
	for _, note := range []string{
		`dataset "texts" has 3 documents, fewer than the 100 of sequences`, `model "plain" has no outliers here: the model has no norms`,
		`no dimension is systematic in "small": percentages`, "no curve of mean_layer_pct, median_layer_pct, mean_seq_pct, median_seq_pct is fitted to the models: 2 different perplexities with a value are fewer than 3",
	} {
		if !slices.ContainsFunc(s.Notes, func(n string) bool { return strings.HasPrefix(n, note) }) {
			t.Errorf("no note %q in %q", note, s.Notes)
		}
	}
	if len(s.Fits) != 1 || s.Fits[0].Of != "num_outliers" || len(s.Fits[0].Models) != 3 {
		t.Errorf("got the fits %+v", s.Fits)
	}
	report, err := os.ReadFile(l.Path(p, "outliers t", "report.md"))
	if err != nil || !strings.Contains(string(report), "| `large` | 7.389 |") {
		t.Errorf("got the report %s, %v", report, err)
	}
}

// A model that is added costs its passes only, and reports with other shares share them all.
func TestCached(t *testing.T) {
	l := newLab(t)
	l.Section("outliers", []outliers.Table{table("t", "small", "middle")})
	l.MustRun()
	other := table("other", "middle", "small")
	other.LayerShare = 1
	longer := table("longer", "small")
	longer.SequenceLength = 10
	l.Section("outliers", []outliers.Table{table("t", "small", "middle", "large"), other, longer})
	p := l.Plan()
	if err := p.Resolve(t.Context(), actiontest.Cache{Store: l.Store}); err != nil {
		t.Fatal(err)
	}
	var passes []string
	for _, a := range p.Of("activations") {
		if a.State == plan.Pending {
			passes = append(passes, a.Name)
		}
	}
	want := []string{"activations large texts@sequences=100,tokens=8,threshold=6", "activations small texts@sequences=100,tokens=10,threshold=6"}
	if !slices.Equal(passes, want) {
		t.Errorf("got the passes %q, want %q", passes, want)
	}
}

// Only the first documents are read.
func TestSequences(t *testing.T) {
	l := newLab(t)
	first := table("t", "middle")
	first.Sequences = 2
	l.Section("outliers", []outliers.Table{first})
	p := l.MustRun()
	s := actiontest.JSON[outliers.Summary](l, p, "outliers t", artifact.SummaryFile)
	if r := s.Rows[0]; r.Sequences != 2 || r.Predicted != 4+8 || len(s.Notes) != 1 {
		t.Errorf("got %+v, %q", r, s.Notes)
	}
}

// A sequence that is longer than a model reads is an error that says what to set.
func TestTooLong(t *testing.T) {
	l := newLab(t)
	l.Models = l.Models[:0]
	l.Model("short", "fake", `{"Sites":4,"Hidden":6,"Loss":3,"Scale":2,"Limit":5}`).Scoring.Context = 5
	l.Section("outliers", []outliers.Table{table("t", "short")})
	_, failed := l.Run()
	err := failed["activations short texts@sequences=100,tokens=8,threshold=6"]
	if want := "sequences have 8 tokens, and the model reads at most 5; set sequenceLength to 5 or less"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", failed, want)
	}
}
