package train_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/train"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

func TestMain(m *testing.M) { actiontest.Main(m, map[string]sdk.Backend{"echo": echo{}}) }

// echo "trains" models that contain the documents, one per line.
type echo struct{}

type echoConfig struct {
	// Stop is the number of documents after which it stops reading, 0 for all. Error is the message that it then
	// returns.
	Stop  int
	Error string
}

func (echo) Describe(context.Context) (protocol.BackendDescription, error) {
	return protocol.BackendDescription{Name: "echo", Version: "1", Schema: "#Config: {...}", Trains: true}, nil
}

func (echo) Plan(context.Context, protocol.Model, protocol.Settings) (protocol.Estimate, error) {
	return protocol.Estimate{}, nil
}

func (echo) Load(context.Context, protocol.Model) (sdk.Model, error) {
	return nil, sdk.Invalid("echo scores nothing")
}

func (echo) Train(_ context.Context, m protocol.Model, documents iter.Seq2[protocol.Document, error], w io.Writer) error {
	var c echoConfig
	if err := json.Unmarshal(m.Config, &c); err != nil {
		return err
	}
	read := 0
	for d, err := range documents {
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, d.Text+"\n"); err != nil {
			return err
		}
		if read++; read == c.Stop {
			break
		}
	}
	if c.Error != "" {
		return errors.New(c.Error)
	}
	return nil
}

// training is an experiment with the training datasets a and b, and the dataset eval.
func training(t *testing.T, config string, on ...string) *actiontest.Lab {
	l := actiontest.New(t, "echo")
	l.Text("a", "a1", "a2 is cut").Limits = spec.Limits{Bytes: 2}
	l.Text("b", "b1", "b2", "b3").TrainOnly = true
	l.Model("m", "echo", config, on...)
	return l
}

func TestTrain(t *testing.T) {
	for _, test := range []struct {
		name   string
		on     []string
		config string
		want   string
	}{
		{"the order is the spec's", []string{"b", "a"}, `{}`, "b1\nb2\nb3\na1\na2\n"},
		{"a dataset counts as often as it is named", []string{"a", "a"}, `{}`, "a1\na2\na1\na2\n"},
		{"the order of many is the spec's, too", append(slices.Repeat([]string{"a"}, 10), "b"), `{}`, strings.Repeat("a1\na2\n", 10) + "b1\nb2\nb3\n"},
		{"a backend may have read enough", []string{"a", "b"}, `{"Stop":1}`, "a1\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := training(t, test.config, test.on...)
			// The backend cannot load the model that it trained.
			p, _ := l.Run()
			got, err := os.ReadFile(l.Path(p, "train m", artifact.ModelFile))
			if err != nil || string(got) != test.want {
				t.Errorf("trained on %q (%v), want %q", got, err, test.want)
			}
			if again := l.Plan(); again.Resolve(t.Context(), actiontest.Cache{Store: l.Store}) != nil || again.Action("train m").State != plan.Cached {
				t.Error("it is not cached")
			}
		})
	}
}

// Models share a training if and only if they are trained on the same datasets.
func TestTrainShares(t *testing.T) {
	l := actiontest.New(t, "echo")
	for _, key := range []string{"a", "ab", "bc", "c"} {
		l.Text(key, key)
	}
	l.Model("one", "echo", `{}`, "ab", "c")
	l.Model("other", "echo", `{}`, "a", "bc")
	l.Model("same", "echo", `{}`, "ab", "c")
	l.Model("third", "echo", `{}`, "a", "c")
	var names []string
	for _, a := range l.Plan().Of("train") {
		names = append(names, a.Name)
	}
	if d := cmp.Diff([]string{"train one", "train other", "train third"}, names); d != "" {
		t.Error(d)
	}
}

func TestTrainCounts(t *testing.T) {
	l := training(t, `{}`, "a", "b")
	p, _ := l.Run()
	r, err := l.Store.GetRecord(t.Context(), p.Action("train m").Key)
	if err != nil {
		t.Fatal(err)
	}
	delete(r.Measured, plan.MeasuredSeconds)
	if d := cmp.Diff(map[string]float64{plan.MeasuredDocuments: 5, plan.MeasuredBytes: 10}, r.Measured); d != "" {
		t.Error(d)
	}
}

func TestTrainFails(t *testing.T) {
	l := training(t, `{"Stop":2,"Error":"no convergence"}`, "a", "b")
	p, failed := l.Run()
	if err := failed["train m"]; err == nil || !strings.Contains(err.Error(), "no convergence") {
		t.Errorf("got error %v", err)
	}
	if a := p.Action("train m"); a.State != plan.Failed || p.Action("score m a").State != plan.Blocked {
		t.Errorf("it is %s", a.State)
	}
	if _, hit, err := l.Store.Lookup(t.Context(), p.Action("train m").Key); hit || err != nil {
		t.Errorf("got a record of a failed training (%v)", err)
	}
}

// Equal data and settings give byte-identical models.
func TestTrainIsDeterministic(t *testing.T) {
	var digests []string
	for range 2 {
		l := actiontest.New(t)
		l.Text("a", "to be or not to be", "that is the question")
		l.Model("m", "ngram", `{"order":3,"tokens":"words"}`, "a")
		digests = append(digests, l.MustRun().Action("train m").Outputs[0].Digest)
	}
	if digests[0] != digests[1] {
		t.Errorf("two trainings gave %v", digests)
	}
}

// backends gives a task a backend that records its model.
type backends struct {
	action.Plugins
	model *protocol.Model
	none  error
}

func (b backends) Backend(context.Context) (action.Backend, error) { return b, b.none }

func (b backends) Train(ctx context.Context, m protocol.Model, documents iter.Seq2[protocol.Document, error], w io.Writer) error {
	*b.model = m
	return echo{}.Train(ctx, protocol.Model{Config: json.RawMessage("{}")}, documents, w)
}

// A backend gets its whole configuration, including neutral settings.
func TestSettings(t *testing.T) {
	var m protocol.Model
	task := &action.Task{
		Descriptor: plan.Descriptor{Kind: "train", Parameters: json.RawMessage(`{"config":{"order":3,"batch":{}}}`)}, Dir: t.TempDir(),
		Machine: json.RawMessage(`{"settings":{"threads":4,"batch.tokens":7}}`), Plugins: backends{model: &m}, Advance: func(action.Progress) {},
	}
	result, err := train.Kind{}.Work(t.Context(), task)
	if want := `{"batch":{"tokens":7},"order":3,"threads":4}`; err != nil || string(m.Config) != want || len(m.Files) > 0 || !slices.Equal(result.Files, []string{artifact.ModelFile}) {
		t.Errorf("got %s, %v, want %s", m.Config, err, want)
	}
	for name, test := range map[string]struct {
		change func(*action.Task)
		want   string
	}{
		"no backend": {func(task *action.Task) { task.Plugins = backends{model: &m, none: errors.New("no backend")} }, "no backend"},
		"parameters": {func(task *action.Task) { task.Descriptor.Parameters = json.RawMessage("[]") }, "parameters of a train: "},
		"places":     {func(task *action.Task) { task.Machine = json.RawMessage("[]") }, "local settings of a train: "},
		"settings":   {func(task *action.Task) { task.Machine = json.RawMessage(`{"settings":{"order.x":1}}`) }, "configuration "},
		"documents":  {func(task *action.Task) { task.Inputs = map[string]string{"000/documents.parquet": "/missing"} }, "open /missing: "},
		"directory":  {func(task *action.Task) { task.Dir = filepath.Join(task.Dir, "missing") }, "no such file or directory"},
	} {
		bad := *task
		test.change(&bad)
		if _, err := (train.Kind{}).Work(t.Context(), &bad); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want %q", name, err, test.want)
		}
	}
}

func TestDocuments(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	for _, shard := range []string{"x", "y"} {
		path := filepath.Join(dir, shard)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		w := artifact.NewDocumentWriter(f)
		for row := range int64(2) {
			if err := w.Write(artifact.Document{Shard: shard, Row: row, Text: "text", ScoreStart: 1, ScoreEnd: 3}); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(w.Close(), f.Close()); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	read := func(stopAt int64, paths ...string) (names []string, failed error) {
		for d, err := range artifact.ReadDocuments(paths, func(protocol.Document) {}) {
			if err != nil {
				return names, err
			}
			if d.Index != int64(len(names)) || d.Text != "text" || d.ScoreStart != 1 || d.ScoreEnd != 3 {
				t.Errorf("got %+v", d)
			}
			names = append(names, d.Shard+string('0'+byte(d.Row)))
			if d.Index == stopAt {
				break
			}
		}
		return names, nil
	}
	all := []string{"x0", "x1", "y0", "y1"}
	for stopAt := range int64(4) {
		if names, err := read(stopAt, paths...); err != nil || !slices.Equal(names, all[:stopAt+1]) {
			t.Errorf("stopped after document %d: got %q, %v", stopAt, names, err)
		}
	}
	if names, err := read(-1, paths[0], filepath.Join(dir, "none"), paths[1]); err == nil || !slices.Equal(names, all[:2]) {
		t.Errorf("a missing table: got %q, %v", names, err)
	}
	if err := os.WriteFile(paths[1], []byte("PAR1 damaged PAR1"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := read(-1, paths...); err == nil || !strings.Contains(err.Error(), paths[1]) {
		t.Errorf("a damaged table: got error %v", err)
	}
}
