package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"surprisal.dev/plugins/protocol"
)

func backend(t *testing.T, h *Host) *Backend {
	t.Helper()
	b, err := h.Backend(t.Context(), "honest")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func model(format string, values ...any) protocol.Model {
	return protocol.Model{Config: source(format, values...).Config}
}

func documents(count, size int) iter.Seq2[protocol.Document, error] {
	return func(yield func(protocol.Document, error) bool) {
		for i := range count {
			text := fmt.Sprintf("%0*d", size, i)
			if !yield(protocol.Document{Dataset: "d", Shard: "s", Row: int64(i), Text: text, ScoreEnd: int32(len(text))}, nil) {
				return
			}
		}
	}
}

// score scores documents and checks that they come in order, each with its own answer. It returns how many came.
func score(ctx context.Context, m *Model, documents iter.Seq2[protocol.Document, error]) (int64, error) {
	count := int64(0)
	err := m.Score(ctx, protocol.Settings{}, documents, func(d protocol.Document, s protocol.ScoredDocument) error {
		if d.Index != count || d.Row != count || s.Index != count || s.TokenEnds[0] != int32(len(d.Text)) {
			return fmt.Errorf("got row %d with answer %d at %d", d.Row, s.Index, count)
		}
		count++
		return nil
	})
	return count, err
}

func TestScore(t *testing.T) {
	for _, test := range []struct {
		name, config string
		count, size  int
		window       int64
		want         string // in the error
		kind         protocol.ErrorKind
		log          string
	}{
		{name: "one by one", config: `{}`, count: 20000, size: 100},
		{name: "no documents", config: `{}`},
		{name: "batches out of order", config: `{"batch": 32}`, count: 1000, size: 100},
		{name: "a batch that the window cannot hold", config: `{"batch": 100}`, count: 1000, size: 100, window: 1000},
		{name: "documents larger than the window", config: `{"batch": 2}`, count: 10, size: 100, window: 1},
		{name: "killed", config: `{"batch": 8, "at": 500, "do": "die", "times": 2}`, count: 1000, size: 100, window: 5000, log: "the plugin crashed; restarting it"},
		{name: "panic", config: `{"batch": 8, "at": 500, "do": "panic", "times": 1}`, count: 1000, size: 100},
		{name: "killed again and again", config: `{"batch": 8, "at": 500, "do": "die"}`, count: 1000, size: 100,
			kind: protocol.OutOfMemory, want: `scoring documents from dataset "d", shard "s", row `},
		{name: "last words", config: `{"at": 0, "do": "die"}`, count: 1, kind: protocol.OutOfMemory, want: "its last output:\n  | something terrible happened"},
		{name: "panic again and again", config: `{"at": 5, "do": "panic"}`, count: 10, want: "crashed 3 times in a row"},
		{name: "out of memory", config: `{"batch": 64, "memory": 5}`, count: 500, size: 100, window: 10000, log: "sending half as much at a time"},
		{name: "out of memory for a single document", config: `{"batch": 3, "at": 5, "do": "exhaust"}`, count: 10, size: 10, kind: protocol.OutOfMemory, want: "no memory for document 5"},
		{name: "killed for its memory", config: `{"batch": 64, "memoryBytes": 900}`, count: 500, size: 100, window: 10000,
			log: "the plugin was killed, possibly because memory ran out; sending and computing half as much at a time"},
		{name: "killed for its memory by a single document", config: `{"memoryBytes": 100}`, count: 3, size: 100_000,
			log: "the plugin was killed, possibly because memory ran out; computing less of a document at a time"},
		{name: "killed for its memory by the smallest part of a document", config: `{"at": 5, "do": "die"}`, count: 10, size: 10_000,
			kind: protocol.OutOfMemory, want: `scoring documents from dataset "d", shard "s", row 5 on: plugin`},
		{name: "twice", config: `{"at": 5, "do": "twice"}`, count: 10, size: 10, want: "it sent a duplicate answer for document 5"},
		{name: "twice, late", config: `{"batch": 4, "at": 5, "do": "twice"}`, count: 10, size: 10, want: "it sent a duplicate answer for document 5"},
		{name: "never", config: `{"at": 5, "do": "never"}`, count: 10, size: 10, want: "without an answer for 1 of its documents"},
		{name: "unasked", config: `{"at": 5, "do": "unasked"}`, count: 10, size: 10, want: "it answered document 1005, which it was not sent"},
		{name: "leaves", config: `{"at": 5, "do": "leave"}`, count: 10, size: 10, want: "returned before the end of its documents"},
		{name: "broken ledger", config: `{"at": 5, "do": "break"}`, count: 10, size: 10,
			want: `breaks the protocol: dataset "d", shard "s", row 5: the backend's answer is broken: its losses add up to 11 nats, but its total is 10`},
		{name: "end of text unasked", config: `{"at": 5, "do": "eos"}`, count: 10, size: 10, want: "that was not asked for"},
		{name: "unscored end of text unasked", config: `{"at": 5, "do": "unscored eos"}`, count: 10, size: 10, want: "that was not asked for"},
		{name: "bad configuration", config: `{"batch": "x"}`, kind: protocol.InvalidInput, want: "configuration: json"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, log := newHost(t)
			if test.window > 0 {
				h.window = test.window
			}
			count := int64(0)
			m, err := backend(t, h).Load(t.Context(), model("%s", test.config))
			if err == nil {
				count, err = score(t.Context(), m, documents(test.count, test.size))
			}
			switch {
			case test.want == "" && (err != nil || count != int64(test.count)):
				t.Errorf("got %v after %d documents, want %d", err, count, test.count)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q in it", err, test.want)
			}
			if kind := protocol.KindOf(err); kind != test.kind {
				t.Errorf("got an error of kind %q, want %q", kind, test.kind)
			}
			if !strings.Contains(log.String(), test.log) {
				t.Errorf("not in the log: %q", test.log)
			}
		})
	}
}

// TestScoreReplaysTheUnanswered checks that after a crash only unanswered documents are scored again, and that the
// model is loaded once more.
func TestScoreReplaysTheUnanswered(t *testing.T) {
	h, _ := newHost(t)
	h.window = 1000
	m, err := backend(t, h).Load(t.Context(), model(`{"at": 50, "do": "die", "times": 1, "log": "log"}`))
	if err != nil {
		t.Fatal(err)
	}
	if count, err := score(t.Context(), m, documents(100, 100)); err != nil || count != 100 {
		t.Fatal(count, err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(h.dir.path, "log"))
	if err != nil {
		t.Fatal(err)
	}
	asked := strings.Split(strings.TrimSpace(string(content)), "\n")
	if got := len(asked); asked[0] != "load" || asked[got-1] != "close" {
		t.Errorf("the model was not loaded first and closed last: %q", asked)
	}
	seen := map[string]int{}
	for _, line := range asked {
		seen[line]++
	}
	if seen["load"] != 2 || seen["document 50"] != 2 {
		t.Errorf("loaded %d times, document 50 asked %d times; want 2 and 2", seen["load"], seen["document 50"])
	}
	for i := range 100 {
		// The answers before it may not have left the plugin when it died.
		if n := seen[fmt.Sprintf("document %d", i)]; n < 1 || n > 1 && (i < 35 || i > 50) {
			t.Errorf("document %d was asked %d times", i, n)
		}
	}
}

// TestScoreKilled checks how much is sent and computed after each kill, and that only a kill without an answer reduces it.
func TestScoreKilled(t *testing.T) {
	for _, test := range []struct {
		name, config string
		size         int
		want         []string // what is in the log of the plugin, without its documents
	}{
		{"several documents", `{"batch": 64, "memoryBytes": 120, "log": "log"}`, 100,
			[]string{"load", "killed by 1600 bytes", "load", "killed by 400 bytes", "load"}},
		{"one document", `{"memoryBytes": 1, "log": "log"}`, 100_000,
			[]string{"load", "killed by 100000 bytes", "load", "killed by 390 bytes", "load"}},
		{"after an answer", `{"at": 8, "do": "die", "times": 1, "log": "log"}`, 100, []string{"load", "load"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, _ := newHost(t)
			h.window = 1600
			m, err := backend(t, h).Load(t.Context(), model("%s", test.config))
			if err != nil {
				t.Fatal(err)
			}
			if count, err := score(t.Context(), m, documents(16, test.size)); err != nil || count != 16 {
				t.Fatal(count, err)
			}
			var got []string
			for line := range strings.Lines(must(readAll(h, "log"))) {
				if line = strings.TrimSpace(line); !strings.HasPrefix(line, "document") {
					got = append(got, line)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("the plugin recorded %q, want %q", got, test.want)
			}
		})
	}
}

// TestScoreAnswersLeave checks that answers reach the runner while the model computes the next ones, so that a crash
// does not lose them.
func TestScoreAnswersLeave(t *testing.T) {
	h, _ := newHost(t)
	m, err := backend(t, h).Load(t.Context(), model(`{"batch": 8, "at": 23, "do": "wait"}`))
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	err = m.Score(t.Context(), protocol.Settings{}, documents(1000, 100), func(protocol.Document, protocol.ScoredDocument) error {
		// The backend answers a batch from its end: it has answered 0 to 15 when it waits.
		if count++; count != 16 {
			return nil
		}
		return os.WriteFile(filepath.Join(h.dir.path, "go"), nil, 0o600)
	})
	if err != nil || count != 1000 {
		t.Errorf("%v after %d documents", err, count)
	}
}

func TestScoreStops(t *testing.T) {
	h, _ := newHost(t)
	m, err := backend(t, h).Load(t.Context(), model(`{"batch": 3}`))
	if err != nil {
		t.Fatal(err)
	}
	errEnough := errors.New("enough")
	err = m.Score(t.Context(), protocol.Settings{}, documents(1000, 10000), func(d protocol.Document, _ protocol.ScoredDocument) error {
		if d.Index == 5 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Errorf("got %v, want emit's error", err)
	}

	errSource := errors.New("the source fails")
	_, err = score(t.Context(), m, func(yield func(protocol.Document, error) bool) {
		for d, err := range documents(10, 10) {
			yield(d, err)
		}
		yield(protocol.Document{}, errSource)
	})
	if !errors.Is(err, errSource) {
		t.Errorf("got %v, want the documents' error", err)
	}

	_, err = score(t.Context(), m, func(yield func(protocol.Document, error) bool) {
		yield(protocol.Document{Dataset: "d", Text: "\xff", ScoreEnd: 1}, nil)
	})
	if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), "not valid UTF-8") {
		t.Errorf("got %v of kind %q", err, protocol.KindOf(err))
	}

	ctx, cancel := context.WithCancel(t.Context())
	err = m.Score(ctx, protocol.Settings{}, documents(1<<30, 100), func(protocol.Document, protocol.ScoredDocument) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it to be canceled", err)
	}
	if count, err := score(t.Context(), m, documents(10, 10)); err != nil || count != 10 {
		t.Errorf("after all that: %d documents and %v", count, err)
	}
}

// TestScoreManyAtOnce checks that many calls share a model and its process, and that all survive its crash.
func TestScoreManyAtOnce(t *testing.T) {
	h, _ := newHost(t)
	h.window = 5000
	m, err := backend(t, h).Load(t.Context(), model(`{"batch": 4, "at": 500, "do": "die", "times": 1, "log": "log"}`))
	if err != nil {
		t.Fatal(err)
	}
	var group errgroup.Group
	for range 4 {
		group.Go(func() error {
			count, err := score(t.Context(), m, documents(1000, 100))
			if err == nil && count != 1000 {
				err = fmt.Errorf("%d documents", count)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(h.dir.path, "log"))
	if err != nil {
		t.Fatal(err)
	}
	if loads := strings.Count(string(content), "load\n"); loads != 2 {
		t.Errorf("the model was loaded %d times, want twice", loads)
	}
}

func TestScoreLargeDocument(t *testing.T) {
	h, _ := newHost(t)
	m, err := backend(t, h).Load(t.Context(), model(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("é", 32<<20)
	count, err := score(t.Context(), m, func(yield func(protocol.Document, error) bool) {
		_ = yield(protocol.Document{Text: text, ScoreEnd: int32(len(text))}, nil) && yield(protocol.Document{Row: 1, Text: "x"}, nil)
	})
	if err != nil || count != 2 {
		t.Error(count, err)
	}
}

func TestPlan(t *testing.T) {
	h, _ := newHost(t)
	e, err := backend(t, h).Plan(t.Context(), model(`{}`), protocol.Settings{Context: 11})
	if want := (protocol.Estimate{Parameters: 7, WeightBytes: 8, FLOPsPerToken: 9, MemoryBytes: 10, BytesPerToken: 11}); err != nil || e != want {
		t.Errorf("got %+v and %v, want %+v", e, err, want)
	}
	if m, err := backend(t, h).Load(t.Context(), model(`{}`)); err != nil || !reflect.DeepEqual(m.Describe(), (&fakeModel{}).Describe()) {
		t.Errorf("got %+v and %v", m, err)
	}
}

type fullDisk struct{}

var errFull = errors.New("disk full")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestTrain(t *testing.T) {
	h, _ := newHost(t)
	b := backend(t, h)
	var file bytes.Buffer
	if err := b.Train(t.Context(), model(`{}`), documents(300, 100_000), &file); err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	for d, err := range documents(300, 100_000) {
		if err != nil {
			t.Fatal(err)
		}
		want.WriteString(d.Text)
	}
	if !bytes.Equal(file.Bytes(), want.Bytes()) {
		t.Errorf("got %d bytes, want %d others", file.Len(), want.Len())
	}

	errSource := errors.New("the source fails")
	for _, test := range []struct {
		name, config string
		documents    iter.Seq2[protocol.Document, error]
		want         string
	}{
		{"killed", `{"at": 50, "do": "die"}`, documents(1000, 10_000), "ended (signal: killed"},
		{"source fails", `{}`, func(yield func(protocol.Document, error) bool) { yield(protocol.Document{}, errSource) }, "the source fails"},
		{"bad configuration", `{"x": 1}`, documents(1000, 10_000), "unknown field"},
		{"bad text", `{}`, textsOf("fine", "\xff"), `dataset "d", shard "s", row 1: the text is not valid UTF-8`},
	} {
		err := b.Train(t.Context(), model("%s", test.config), test.documents, &file)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q in it", test.name, err, test.want)
		}
	}
	if err := b.Train(t.Context(), model(`{}`), documents(300, 100_000), fullDisk{}); !errors.Is(err, errFull) {
		t.Errorf("a file that cannot be written: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := b.Train(ctx, model(`{}`), func(yield func(protocol.Document, error) bool) {
		for d, err := range documents(1<<30, 100) {
			if d.Row == 1000 {
				cancel()
			}
			if !yield(d, err) {
				return
			}
		}
	}, io.Discard)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it to be canceled", err)
	}
}

// TestNames checks that names are those of files, without duplicates. A file that cannot be started is named, so that
// the user sees why. Directories, dangling links and relative directories on the PATH are ignored.
func TestNames(t *testing.T) {
	h, _ := newHost(t)
	dir, onPath := t.TempDir(), t.TempDir()
	t.Chdir(t.TempDir())
	t.Setenv("PATH", strings.Join([]string{onPath, "relative", ".", "", "/nonexistent"}, ":"))
	for path, mode := range map[string]os.FileMode{
		dir + "/runner-backend-mine": 0o755, onPath + "/runner-backend-mine": 0o755, onPath + "/runner-backend-a": 0o644,
		dir + "/runner-provider-other": 0o755, dir + "/runner-backendx": 0o755, dir + "/xrunner-backend-b": 0o755,
		"runner-backend-here": 0o755, "relative/runner-backend-there": 0o755,
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, mode)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(dir+"/runner-backend-dir", 0o755), os.Symlink("gone", dir+"/runner-backend-link")); err != nil {
		t.Fatal(err)
	}
	h.options.SearchDirs, h.options.Backends, h.options.Providers = []string{dir}, []string{"z", "mine"}, nil
	if got := h.Names(protocol.KindBackend); !slices.Equal(got, []string{"a", "mine", "z"}) {
		t.Errorf("backends are %q", got)
	}
	if got := h.Names(protocol.KindProvider); !slices.Equal(got, []string{"other"}) {
		t.Errorf("providers are %q", got)
	}
	if got := h.options.Backends; !slices.Equal(got, []string{"z", "mine"}) {
		t.Errorf("the options are %q", got)
	}
	for name, want := range map[string]string{
		"dir":  `no backend is called "dir"; known are a, mine, z; to add one, place a program called runner-backend-dir`,
		"here": `no backend is called "here"`, "there": `no backend is called "there"`, "link": `no backend is called "link"`,
		"": `a plugin's name consists of`, ".x": `a plugin's name consists of`, "a/b": `a plugin's name consists of`,
	} {
		if _, err := h.find(protocol.KindBackend, name); err == nil || !strings.Contains(err.Error(), want) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%q: error %v of kind %q, want %q", name, err, protocol.KindOf(err), want)
		}
	}
	h.options.SearchDirs = []string{t.TempDir()}
	t.Setenv("PATH", "")
	if _, err := h.find(protocol.KindProvider, "x"); err == nil || !strings.Contains(err.Error(), `no provider is called "x"; none is known; `) {
		t.Errorf("where there is none: %v", err)
	}
	own := must(os.Executable())
	if got, err := h.find(protocol.KindBackend, "mine"); err != nil || !slices.Equal(got, []string{own, "plugin", "serve", "backend", "mine"}) {
		t.Errorf("a plugin that is built in: %q, %v", got, err)
	}
	// A file that cannot be started does not hide one that can.
	h.options.SearchDirs, h.options.Backends = []string{onPath, dir}, nil
	if err := errors.Join(os.Chmod(onPath+"/runner-backend-mine", 0o644)); err != nil {
		t.Fatal(err)
	}
	if got, err := h.find(protocol.KindBackend, "mine"); err != nil || !slices.Equal(got, []string{dir + "/runner-backend-mine"}) {
		t.Errorf("next to one that is not executable: %q, %v", got, err)
	}
}

// TestExpect checks for which documents an answer is accepted, and how long it may be.
func TestExpect(t *testing.T) {
	c := &scoring{first: 5}
	for i, size := range []int{3, 100_000, 1 << 20, 0, 7, 7} {
		c.pending = append(c.pending, &pendingDocument{document: protocol.Document{Text: strings.Repeat("x", size)}, sent: i != 4})
	}
	c.pending[5].answered = true
	for _, test := range []struct {
		index  int64
		tokens int
		want   string
	}{
		{5, 1048, ""}, {6, 1 << 20, ""}, {7, 2 << 20, ""}, {8, 1000, ""},
		{9, 0, "it answered document 9, which it was not sent"},
		{11, 0, "it answered document 11, which it was not sent"},
		{-1, 0, "it answered document -1, which it was not sent"},
		{10, 0, "it sent a duplicate answer for document 10"},
		{4, 0, "it sent a duplicate answer for document 4"},
		{0, 0, "it sent a duplicate answer for document 0"},
	} {
		tokens, err := c.expect(test.index)
		if tokens != test.tokens || (err == nil) != (test.want == "") || err != nil && err.Error() != test.want {
			t.Errorf("document %d: %d tokens, %v; want %d, %q", test.index, tokens, err, test.tokens, test.want)
		}
	}
}

// TestRoom checks how much is sent at a time, and how that shrinks when memory runs out.
func TestRoom(t *testing.T) {
	d := &pendingDocument{document: protocol.Document{Text: strings.Repeat("x", 10)}}
	for _, test := range []struct {
		c    *scoring
		want bool
	}{
		{&scoring{window: 1, held: 10, limit: 1}, true}, // one is always sent
		{&scoring{sentCount: 1, sent: 90, window: 100, held: 100, limit: 100}, true},
		{&scoring{sentCount: 1, sent: 91, window: 100, held: 100, limit: 100}, false},
		{&scoring{sentCount: 1, sent: 10, window: 100, held: 101, limit: 100}, false},
	} {
		if got := test.c.hasRoom(d); got != test.want {
			t.Errorf("%+v has room for 10 bytes: %v", test.c, got)
		}
	}
	for _, test := range []struct {
		count        int
		sent, window int64
		halved       bool
		want         int64
	}{
		{0, 0, 100, false, 100}, {1, 50, 100, false, 100}, {2, 50, 100, true, 25}, {2, 200, 100, true, 50}, {2, 1, 100, true, 1}, {3, 0, 8, true, 1},
	} {
		c := &scoring{sentCount: test.count, sent: test.sent, window: test.window, limit: 100}
		if halved := c.halve(); halved != test.halved || c.window != test.want || c.limit != 100 {
			t.Errorf("%+v: halved %v to %d", test, halved, c.window)
		}
	}
}

// TestScoreWithEnds checks that a loss of the end-of-text token is accepted where it was requested, and that documents
// keep all of their fields.
func TestScoreWithEnds(t *testing.T) {
	h, _ := newHost(t)
	m, err := backend(t, h).Load(t.Context(), model(`{"at": 1, "do": "eos"}`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = m.Score(t.Context(), protocol.Settings{EOS: true}, textsOf("a", "bc"), func(d protocol.Document, s protocol.ScoredDocument) error {
		got = append(got, fmt.Sprint(d.Index, d.Dataset, d.Shard, d.Row, d.Text, d.ScoreEnd, s.EOSNLL))
		return nil
	})
	if want := []string{"0 d s 0 a 1 0", "1 d s 1 bc 2 1"}; err != nil || !slices.EqualFunc(got, want, func(a, b string) bool { return strings.ReplaceAll(a, " ", "") == strings.ReplaceAll(b, " ", "") }) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// TestModelCloses checks that a model is unloaded once, whatever happens to its process, and loaded again if it is used
// again.
func TestModelCloses(t *testing.T) {
	h, _ := newHost(t)
	b := backend(t, h)
	m, err := b.Load(t.Context(), model(`{"log": "log"}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.Close(), m.Close()); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if count, err := score(t.Context(), m, documents(2, 3)); err != nil || count != 2 {
		t.Errorf("scored %d with a closed model: %v", count, err)
	}
	b.Kill()
	if err := m.Close(); err != nil {
		t.Errorf("closed after the plugin ended: %v", err)
	}
	if log := must(readAll(h, "log")); log != "load\nclose\nload\ndocument 0\ndocument 1\n" {
		t.Errorf("the plugin was asked %q", log)
	}
	if got := b.current.command.ending(); got != "signal: killed" {
		t.Errorf("the plugin that was killed ended with %q", got)
	}
}

// Rows of 1 KB from a provider.
func BenchmarkRead(b *testing.B) {
	h, err := New(Options{Providers: []string{"honest"}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := h.Close(); err != nil {
			b.Error(err)
		}
	}()
	p, err := h.Provider(b.Context(), "honest")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(1000)
	b.ResetTimer()
	if _, err := read(b.Context(), p, 0, 0, fmt.Sprintf(`{"rows": %d, "bytes": 1000, "at": -1}`, b.N)); err != nil {
		b.Fatal(err)
	}
}

// Documents of 1 KB to a backend that does nothing, and back.
func BenchmarkScore(b *testing.B) {
	h, err := New(Options{Backends: []string{"honest"}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := h.Close(); err != nil {
			b.Error(err)
		}
	}()
	backend, err := h.Backend(b.Context(), "honest")
	if err != nil {
		b.Fatal(err)
	}
	m, err := backend.Load(b.Context(), model(`{"batch": 32}`))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(1000)
	b.ResetTimer()
	if _, err := score(b.Context(), m, documents(b.N, 1000)); err != nil {
		b.Fatal(err)
	}
}
