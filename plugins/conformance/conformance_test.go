package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"surprisal.dev/plugins/ngram"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/providers/text"
)

// The test binary is every plugin under test: "plugin NAME".
func TestMain(m *testing.M) {
	if len(os.Args) != 3 || os.Args[1] != "plugin" {
		os.Exit(m.Run())
	}
	if kind, fault, ok := strings.Cut(os.Args[2], ": "); ok {
		serveFaulty(kind, fault)
		return
	}
	switch os.Args[2] {
	case "text":
		sdk.ServeProvider(text.New())
	case "careless":
		sdk.ServeProvider(careless{})
	case "nameless":
		sdk.ServeProvider(nameless{})
	case "ngram":
		sdk.ServeBackend(ngram.New())
	case "sloppy":
		sdk.ServeBackend(sloppy{})
	}
}

func run(t *testing.T, kind protocol.Kind, name string, cases ...Case) Report {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	report, err := Run(t.Context(), []string{program, "plugin", name}, kind, cases...)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestTextProvider(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"a.txt":     "one\ntwo\nthree\n",
		"b.txt":     "four\n\nfünf\n" + strings.Repeat("a line of many that fill some messages\n", 30_000),
		"large.txt": strings.Repeat("no line ends here ,", DefaultLargeBytes/19+1)[:DefaultLargeBytes],
		"huge.txt":  strings.Repeat("no line ends here ,", DefaultLargeBytes/19+2),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	source := func(config string) protocol.Source { return protocol.Source{Config: json.RawMessage(config), Dir: dir} }
	large, huge := source(`{"path": "large.txt", "split": "file"}`), source(`{"path": "huge.txt", "split": "file"}`)
	wantAllPassed(t, run(t, protocol.KindProvider, "text", Case{
		Name: "lines", Source: source(`{"path": "[ab].txt", "split": "lines"}`), Fields: []string{"text"}, Large: &large, TooLarge: &huge,
	}))
}

// The plugin in README.md passes.
func TestREADME(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(readme), "```go\n")
	code, _, _ = strings.Cut(code, "```\n")
	dir := t.TempDir()
	main, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "runner-provider-numbers")
	if err := os.WriteFile(main, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("go", "build", "-o", program, main).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	report, err := Run(t.Context(), []string{program}, protocol.KindProvider, Case{
		Source: protocol.Source{Config: json.RawMessage(`{"count": 1000}`)}, Fields: []string{"text"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range report.Checks {
		if c.Outcome == Failed {
			t.Errorf("%s %s: %s", c.Name, c.Outcome, c.Detail)
		}
	}
}

func TestNgramBackend(t *testing.T) {
	t.Parallel()
	for _, tokens := range []string{"bytes", "words"} {
		// The large document is smaller than the default: this backend has one token per byte.
		wantAllPassed(t, run(t, protocol.KindBackend, "ngram", Case{
			Name: tokens, Model: protocol.Model{Config: fmt.Appendf(nil, `{"order": 3, "tokens": %q}`, tokens)},
			Tolerance: 1e-9, LargeBytes: 3 << 20,
		}))
	}
}

func wantAllPassed(t *testing.T, r Report) {
	t.Helper()
	if len(r.Checks) < 12 {
		t.Errorf("only %d checks", len(r.Checks))
	}
	for _, c := range r.Checks {
		if c.Outcome != Passed {
			t.Errorf("%s: %s %s: %s", c.Case, c.Name, c.Outcome, c.Detail)
		}
	}
}

// wantReport checks the report's lines against the expected ones, each "OUTCOME TEXT IN THE LINE".
func wantReport(t *testing.T, r Report, want string) {
	t.Helper()
	var text strings.Builder
	if _, err := r.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	if r.Passed() {
		t.Error("the report has passed")
	}
	for want := range strings.Lines(want) {
		outcome, part, _ := strings.Cut(strings.TrimSpace(want), " ")
		found := false
		for _, line := range strings.Split(text.String(), "\n") {
			found = found || strings.HasPrefix(line, outcome) && strings.Contains(line, part)
		}
		if !found {
			t.Errorf("no line %q in\n%s", want, text.String())
		}
	}
}

// careless is a provider with most of the faults that the host alone cannot detect.
type careless struct{}

func (careless) Describe(context.Context) (protocol.ProviderDescription, error) {
	return protocol.ProviderDescription{Name: "careless", Version: "1", Schema: "#Config: 1 &"}, nil
}

func (careless) Resolve(context.Context, protocol.ResolveRequest) (protocol.Resolution, error) {
	return protocol.Resolution{Parameters: []byte("{}"), Files: []protocol.File{{Name: "f", Digest: protocol.Digest(nil)}}}, nil
}

// Read ignores To and Pinned, numbers rows from its start, and gives different rows in every process.
func (careless) Read(_ context.Context, r protocol.ReadRequest, emit func(protocol.Row) error) error {
	for i := r.From; i < 5; i++ {
		err := emit(protocol.Row{Ordinal: i, Shard: "f", Number: i - r.From, Values: [][]byte{fmt.Append(nil, os.Getpid())}})
		if err != nil {
			return err
		}
	}
	return nil
}

func TestCarelessProvider(t *testing.T) {
	t.Parallel()
	wantReport(t, run(t, protocol.KindProvider, "careless", Case{Fields: []string{"text"}}), `
		passed handshake
		failed the schema is CUE
		failed a configuration that is not a struct is refused as invalid input: it was accepted
		passed case 1: resolving a source twice
		passed case 1: rows come in order
		failed reading resumes from any row: from row 1
		failed a range of rows can be read
		failed an unknown field is refused
		failed content that differs from the pinned one is refused
		failed a crash in mid-stream
		not a row of 64 MiB passes: the case has no large source
		not a row of more than 64 MiB is a problem: the case has no source with such a row`)
	wantReport(t, run(t, protocol.KindProvider, "careless", Case{Fields: []string{"text"}, TooLarge: &protocol.Source{}}), `
		failed a row of more than 64 MiB is a problem: no row is a problem`)
}

// nameless is a provider whose description is rejected.
type nameless struct{ careless }

func (nameless) Describe(context.Context) (protocol.ProviderDescription, error) {
	return protocol.ProviderDescription{Name: "nameless", Schema: "#Config: {}"}, nil
}

func TestNamelessProvider(t *testing.T) {
	t.Parallel()
	wantReport(t, run(t, protocol.KindProvider, "nameless"), `failed handshake and description: plugin `)
}

// sloppy is a backend whose losses depend on the other documents, and which ignores the prefix.
type sloppy struct{}

func (sloppy) Describe(context.Context) (protocol.BackendDescription, error) {
	return protocol.BackendDescription{
		Name: "sloppy", Version: "1", Schema: "#Config: {threads: *1 | int, batch?: tokens?: int}",
		NeutralSettings: []string{"threads", "batch.tokens", "batch.size"},
	}, nil
}

func (sloppy) Plan(context.Context, protocol.Model, protocol.Settings) (protocol.Estimate, error) {
	return protocol.Estimate{}, nil
}

func (sloppy) Load(_ context.Context, m protocol.Model) (sdk.Model, error) {
	var model sloppyModel
	return model, json.Unmarshal(m.Config, &model)
}

// sloppyModel adds the number of threads to each loss.
type sloppyModel struct{ Threads float64 }

func (sloppyModel) Describe() protocol.LoadedModel {
	return protocol.LoadedModel{VocabularySize: 1, Device: "cpu", Dtype: "float32"}
}

func (m sloppyModel) Score(ctx context.Context, _ protocol.Settings, documents sdk.Documents, emit func(protocol.ScoredDocument) error) error {
	count := m.Threads
	for d, err := range documents(ctx) {
		if err != nil {
			return err
		}
		count++
		err := emit(protocol.ScoredDocument{
			Index: d.Index, TokenIDs: []int32{0}, TokenStarts: []int32{0}, TokenEnds: []int32{int32(len(d.Text))},
			TokenNLL: []float64{count}, TotalNLL: count,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (sloppyModel) Close() error { return io.ErrUnexpectedEOF }

func TestSloppyBackend(t *testing.T) {
	t.Parallel()
	wantReport(t, run(t, protocol.KindBackend, "sloppy", Case{
		Name: "any", Model: protocol.Model{Config: json.RawMessage(`{"a": 1}`)}, Neutral: json.RawMessage(`{"a":1, "threads": 2}`), LargeBytes: 1 << 20,
	}, Case{
		Name: "without", Model: protocol.Model{Config: json.RawMessage(`{"a": 1}`)}, LargeBytes: 1 << 20,
	}, Case{
		Name: "unequal", Model: protocol.Model{Config: json.RawMessage(`{"a": 1}`)}, Neutral: json.RawMessage(`{"a": 2}`), LargeBytes: 1 << 20,
	}), `
		passed the schema is CUE
		failed neutral settings are fields of #Config: #Config has no field "batch.size"
		failed any: neutral settings do not change the losses: document 0: token 0 has the losses 1 and 3 nats
		not without: neutral settings do not change the losses: the case has no configuration that differs in them
		failed unequal: neutral settings do not change the losses: the case's configurations {"a": 1} and {"a": 2} must differ in threads, batch.tokens, batch.size and
		failed by Plan: it was accepted
		failed by Load: the error has the kind "", not "invalid input"
		failed any: unknown settings are refused
		failed any: the ledger holds with prefix "none"
		passed any: the ledger holds with prefix "bos"
		failed any: the loss of the end-of-text token
		failed any: a document has the same losses whatever is scored with it: document 0 in reversed order: token 0 has the losses 1 and 10 nats
		failed any: a model unloads`)
}

func TestNoPlugin(t *testing.T) {
	t.Parallel()
	report, err := Run(t.Context(), []string{"/bin/true"}, protocol.KindProvider)
	if err != nil {
		t.Fatal(err)
	}
	wantReport(t, report, "failed handshake and description: /bin/true ended (exit status 0) without the handshake")
	if _, err := Run(t.Context(), []string{"/bin/true"}, "wheel"); protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("got %v for a wrong kind", err)
	}
}
