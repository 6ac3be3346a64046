package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"surprisal.dev/plugins/host"
	"surprisal.dev/plugins/protocol"
)

// task is the configuration of the test plugins: their work, and a directory shared with the test.
type task struct {
	Do    string `json:"do"`
	Bytes int    `json:"bytes"`
	Dir   string `json:"dir"`
}

func taskOf(config json.RawMessage) (t task, err error) {
	if err := json.Unmarshal(config, &t); err != nil {
		return t, Invalid("configuration: %v", err)
	}
	return t, nil
}

// note leaves a file for the test, and seen waits for one.
func (t task) note(name string) {
	if err := os.WriteFile(filepath.Join(t.Dir, name), nil, 0o600); err != nil {
		panic(err)
	}
}

func (t task) seen(name string) bool {
	for range 6000 {
		if _, err := os.Stat(filepath.Join(t.Dir, name)); err == nil {
			return true
		}
		time.Sleep(5 * time.Millisecond)
	}
	return false
}

type testProvider struct{}

func (testProvider) Describe(context.Context) (protocol.ProviderDescription, error) {
	return protocol.ProviderDescription{Name: "test", Version: "1", Schema: "#Config: {...}", Capabilities: []string{"c"}}, nil
}

func (testProvider) Resolve(_ context.Context, r protocol.ResolveRequest) (protocol.Resolution, error) {
	t, err := taskOf(r.Source.Config)
	if err == nil && !r.Network {
		err = NeedsNetwork("do %q: it needs the network", t.Do)
	}
	return protocol.Resolution{Parameters: []byte("{}"), Files: []protocol.File{{Name: "s", Digest: protocol.Digest(nil)}}}, err
}

func (testProvider) Read(ctx context.Context, r protocol.ReadRequest, emit func(protocol.Row) error) error {
	t, err := taskOf(r.Source.Config)
	if err != nil {
		return err
	}
	value := bytes.Repeat([]byte("é"), t.Bytes/2)
	for i := r.From; ; i++ {
		row := protocol.Row{Ordinal: i, Number: i, Shard: "s", Values: [][]byte{value}}
		if t.Do == "problem" {
			row.Values, row.Problem = nil, string(value)
		}
		err := emit(row)
		for j := range value {
			value[j] = 'x' // a row may be reused after emit
		}
		if err != nil {
			if ctx.Err() != nil {
				t.note("stopped")
			}
			return err
		}
		copy(value, bytes.Repeat([]byte("é"), t.Bytes/2))
		if t.Do != "endless" && i == 1 {
			return nil
		}
	}
}

// testBackend trains; idleBackend does not.
type testBackend struct{ idleBackend }

type idleBackend struct{}

func (idleBackend) Describe(context.Context) (protocol.BackendDescription, error) {
	return protocol.BackendDescription{Name: "test", Version: "1", Schema: "#Config: {...}", NeutralSettings: []string{"bytes"}}, nil
}

func (idleBackend) Plan(_ context.Context, _ protocol.Model, s protocol.Settings) (protocol.Estimate, error) {
	return protocol.Estimate{Parameters: s.Context, Devices: 2}, nil
}

func (testBackend) Train(_ context.Context, m protocol.Model, documents iter.Seq2[protocol.Document, error], w io.Writer) error {
	t, err := taskOf(m.Config)
	if err != nil {
		return err
	}
	for d, err := range documents {
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%d %s\n", d.Index, strings.Repeat(d.Text, t.Bytes)); err != nil {
			return err
		}
		if t.Do == "enough" {
			break
		}
	}
	return nil
}

func (idleBackend) Load(ctx context.Context, m protocol.Model) (Model, error) {
	t, err := taskOf(m.Config)
	if err != nil {
		return nil, err
	}
	if t.Do == "load slowly" {
		t.note("loading")
		<-ctx.Done()
	}
	return testModel{t}, nil
}

type testModel struct{ task }

func (testModel) Describe() protocol.LoadedModel {
	return protocol.LoadedModel{VocabularySize: 3, Device: "cpu", Dtype: "float32", Computed: map[string]string{"device": "abacus"}}
}

func (m testModel) Close() error {
	m.note("closed")
	if m.Do == "close badly" {
		return errors.New("the lid is stuck")
	}
	return nil
}

func (m testModel) Score(ctx context.Context, _ protocol.Settings, documents Documents, emit func(protocol.ScoredDocument) error) error {
	var held []protocol.ScoredDocument
	for d, err := range documents(ctx) {
		if err != nil {
			return err
		}
		answer := protocol.ScoredDocument{
			Index: d.Index, TokenIDs: []int32{2}, TokenStarts: []int32{0}, TokenEnds: []int32{int32(len(d.Text))}, TokenNLL: []float64{1}, TotalNLL: 1,
		}
		switch {
		case m.Do == "hold":
			held = append(held, answer)
			continue
		case m.Do == "return early" && d.Index == 1:
			return nil
		case m.Do == "forget" && d.Index == 1:
			continue
		case m.Do == "give up" && d.Index == 1:
			return OutOfMemory("no room for document %d", d.Index)
		}
		if err := emit(answer); err != nil {
			return err
		}
		switch m.Do {
		case "compute": // for as long as the test has no answer
			if !m.seen("answered") {
				return errors.New("the answer did not arrive")
			}
		case "listen":
			<-ctx.Done()
			m.note("stopped")
			return ctx.Err()
		}
	}
	for _, answer := range held {
		if err := emit(answer); err != nil {
			return err
		}
	}
	return nil
}

func newHost(t *testing.T) *host.Host {
	t.Helper()
	h, err := host.New(host.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func command(t *testing.T, name string) []string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{program, "plugin", name}
}

func openBackend(t *testing.T, name string) *host.Backend {
	t.Helper()
	b, err := newHost(t).OpenBackend(t.Context(), command(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (t task) config() json.RawMessage {
	config, err := json.Marshal(t)
	if err != nil {
		panic(err)
	}
	return config
}

func TestProvider(t *testing.T) {
	p, err := newHost(t).OpenProvider(t.Context(), command(t, "provider"))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Info().Capabilities; len(got) != 1 || got[0] != "c" {
		t.Errorf("capabilities %q", got)
	}
	source := protocol.Source{Config: task{Do: "x"}.config()}
	if _, err := p.Resolve(t.Context(), protocol.ResolveRequest{Source: source}); protocol.KindOf(err) != protocol.NeedsNetwork {
		t.Errorf("without the network: %v", err)
	}
	pinned, err := p.Resolve(t.Context(), protocol.ResolveRequest{Source: source, Network: true})
	if err != nil || len(pinned.Files) != 1 {
		t.Errorf("resolved to %+v, %v", pinned, err)
	}
	const most = protocol.MaxTextBytes
	for _, test := range []struct {
		name  string
		task  task
		value int // bytes of each row
		want  string
	}{
		{"rows", task{Bytes: 100}, 100, ""},
		{"rows of many messages", task{Bytes: 3 << 20}, 3 << 20, ""},
		{"the largest rows", task{Bytes: most}, most, ""},
		{"rows that are too large", task{Bytes: most + 2}, 0, "row 0 of shard \"s\" has a value of 67108866 bytes; the maximum is 67108864"},
		{"a problem", task{Do: "problem", Bytes: 100}, 100, ""},
		{"a long problem", task{Do: "problem", Bytes: 1 << 20}, protocol.MaxProblemBytes, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows := 0
			err := p.Read(t.Context(), protocol.ReadRequest{
				Source: protocol.Source{Config: test.task.config()}, Pinned: pinned, Fields: []string{"text"},
			}, func(r protocol.Row) error {
				rows++
				text := r.Problem
				if len(r.Values) > 0 {
					text = string(r.Values[0])
				}
				if len(text) > test.value || len(text) < test.value-1 || !utf8.ValidString(text) || !strings.HasPrefix(text, "éé") ||
					len(text) < test.task.Bytes != strings.HasSuffix(text, " ...") || strings.Contains(text, "x") {
					t.Errorf("row %d has %d bytes, %.10q to %.10q; want %d", r.Ordinal, len(text), text, text[max(0, len(text)-10):], test.value)
				}
				return nil
			})
			switch {
			case test.want == "" && (err != nil || rows != 2):
				t.Errorf("%d rows, %v", rows, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	endless := task{Do: "endless", Bytes: 10, Dir: t.TempDir()}
	errEnough := errors.New("enough")
	err = p.Read(t.Context(), protocol.ReadRequest{
		Source: protocol.Source{Config: endless.config()}, Pinned: pinned, Fields: []string{"text"},
	}, func(protocol.Row) error { return errEnough })
	if !errors.Is(err, errEnough) || !endless.seen("stopped") {
		t.Errorf("a reading that nobody wants any more: %v", err)
	}
}

func TestBackend(t *testing.T) {
	b := openBackend(t, "backend")
	if e, err := b.Plan(t.Context(), protocol.Model{}, protocol.Settings{Context: 7}); err != nil || e.Parameters != 7 || e.Devices != 2 {
		t.Errorf("planned %+v, %v", e, err)
	}
	for _, test := range []struct {
		do       string
		answered int
		want     string
		kind     protocol.ErrorKind
	}{
		{"", 3, "", ""},
		{"hold", 3, "", ""},
		{"compute", 3, "", ""},
		{"return early", 1, "the backend returned before the end of its documents", ""},
		{"forget", 1, "the backend returned without an answer for 1 of its documents", ""},
		{"give up", 1, "no room for document 1", protocol.OutOfMemory},
	} {
		t.Run(test.do, func(t *testing.T) {
			does := task{Do: test.do, Dir: t.TempDir()}
			m, err := b.Load(t.Context(), protocol.Model{Config: does.config()})
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Describe(); got.VocabularySize != 3 || got.Computed["device"] != "abacus" {
				t.Errorf("loaded %+v", got)
			}
			answered := 0
			err = m.Score(t.Context(), protocol.Settings{}, documents("a", "bc", "def"), func(protocol.Document, protocol.ScoredDocument) error {
				answered++
				does.note("answered")
				return nil
			})
			if answered > test.answered || test.want == "" && answered != test.answered {
				t.Errorf("%d answers, want %d", answered, test.answered)
			}
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || protocol.KindOf(err) != test.kind):
				t.Errorf("got %v of kind %q, want %q of kind %q", err, protocol.KindOf(err), test.want, test.kind)
			}
			if err := m.Close(); err != nil || !does.seen("closed") {
				t.Error(err)
			}
		})
	}
}

func documents(texts ...string) iter.Seq2[protocol.Document, error] {
	return func(yield func(protocol.Document, error) bool) {
		for _, text := range texts {
			if !yield(protocol.Document{Text: text, ScoreEnd: int32(len(text))}, nil) {
				return
			}
		}
	}
}

// TestCanceled checks that a call's work ends with the call.
func TestCanceled(t *testing.T) {
	b := openBackend(t, "backend")
	slow := task{Do: "load slowly", Dir: t.TempDir()}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		slow.seen("loading")
		cancel()
	}()
	if _, err := b.Load(ctx, protocol.Model{Config: slow.config()}); !errors.Is(err, context.Canceled) {
		t.Errorf("loading: %v", err)
	}
	if !slow.seen("closed") {
		t.Error("a model that nobody waits for stays loaded")
	}
	listens := task{Do: "listen", Dir: t.TempDir()}
	m, err := b.Load(t.Context(), protocol.Model{Config: listens.config()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	err = m.Score(ctx, protocol.Settings{}, documents("a", "b"), func(protocol.Document, protocol.ScoredDocument) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) || !listens.seen("stopped") {
		t.Errorf("scoring: %v", err)
	}
	badly, err := b.Load(t.Context(), protocol.Model{Config: task{Do: "close badly", Dir: t.TempDir()}.config()})
	if err != nil {
		t.Fatal(err)
	}
	if err := badly.Close(); err == nil || !strings.Contains(err.Error(), "the lid is stuck") {
		t.Errorf("closing: %v", err)
	}
}

func TestTraining(t *testing.T) {
	for _, test := range []struct {
		name, backend string
		task          task
		want          string
		err           string
	}{
		{"a file", "backend", task{Bytes: 2}, "0 aa\n1 bb\n", ""},
		{"a file of many messages", "backend", task{Bytes: 3 << 20}, "0 " + strings.Repeat("a", 3<<20) + "\n1 " + strings.Repeat("b", 3<<20) + "\n", ""},
		{"a backend that has enough", "backend", task{Do: "enough", Bytes: 1}, "0 a\n", ""},
		{"a backend that does not train", "idle", task{}, "", "it does not implement this backend operation"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got bytes.Buffer
			err := openBackend(t, test.backend).Train(t.Context(), protocol.Model{Config: test.task.config()}, documents("a", "b"), &got)
			switch {
			case test.err == "" && (err != nil || got.String() != test.want):
				t.Errorf("got %d bytes, %.20q, and %v", got.Len(), got.String(), err)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("got %v, want %q", err, test.err)
			}
		})
	}
}
