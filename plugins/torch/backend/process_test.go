//go:build torch

package backend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/host"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/plugins/torch/decoder"
)

// The test binary is also a plugin: started as a built-in backend, it serves that one of inProcess.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "plugin" {
		sdk.ServeBackend(named{inProcess[os.Args[4]], os.Args[4]})
		return
	}
	os.Exit(m.Run())
}

// inProcess are backends that run in a process of their name.
var inProcess = map[string]sdk.Backend{"whole": New(), "killed": killedBackend{New()}, "cut": cutBackend{New().(backend)}}

type named struct {
	sdk.Backend
	name string
}

func (b named) Describe(ctx context.Context) (protocol.BackendDescription, error) {
	d, err := b.Backend.Describe(ctx)
	d.Name = b.name
	return d, err
}

// hosted starts a backend of inProcess, which logs to log.
func hosted(t *testing.T, name string, log io.Writer) *host.Backend {
	t.Helper()
	h, err := host.New(host.Options{Backends: slices.Collect(maps.Keys(inProcess)), Log: hclog.New(&hclog.LoggerOptions{Output: log})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	b, err := h.Backend(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// killedBackend is the torch backend in a process that the system kills when a batch of several sequences has more than
// killedTokens tokens.
type killedBackend struct{ sdk.Backend }

const killedTokens = 300

func (b killedBackend) Load(ctx context.Context, m protocol.Model) (sdk.Model, error) {
	loaded, err := b.Backend.Load(ctx, m)
	if err == nil {
		loaded.(*model).decoder = killedComputer{loaded.(*model).decoder}
	}
	return loaded, err
}

type killedComputer struct{ predictor }

func (c killedComputer) Predict(ctx context.Context, sequences []decoder.Sequence, request decoder.Request) (p decoder.Predictions, err error) {
	tokens := 0
	for _, s := range sequences {
		tokens += s.Read()
	}
	if len(sequences) > 1 && tokens > killedTokens {
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			return p, err
		}
		select {}
	}
	return c.predictor.Predict(ctx, sequences, request)
}

// TestKilled checks that a process which is killed for the memory of its batches computes smaller batches when it starts
// again, for one document as for many, and that the losses stay the same.
func TestKilled(t *testing.T) {
	t.Setenv("OMP_NUM_THREADS", "1")
	b := hosted(t, "killed", io.Discard)
	m := tiny(t)
	m.Config = json.RawMessage(strings.Replace(defaults, "2048", "1048576", 1))
	settings := protocol.Settings{Prefix: protocol.PrefixBOS, Anchor: protocol.AnchorTokens, Context: 64, Stride: 32}
	many := make([]string, 200)
	for i := range many {
		many[i] = varied(37, uint64(i))
	}
	for name, texts := range map[string][]string{
		"one document":   {varied(10_000, 1)},
		"many documents": many,
	} {
		want := score(t, opened(t, m), settings, texts...)
		loaded, err := b.Load(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		var got []protocol.ScoredDocument
		err = loaded.Score(t.Context(), settings, documents(texts...), func(_ protocol.Document, a protocol.ScoredDocument) error {
			got = append(got, a)
			return nil
		})
		if err != nil || len(got) != len(texts) {
			t.Fatalf("%s: %d answers, error %v", name, len(got), err)
		}
		for i, a := range got {
			for j, nll := range a.TokenNLL {
				if difference := nll - want[i].TokenNLL[j]; max(difference, -difference) > batchTolerance("float32") {
					t.Errorf("%s: document %d, token %d: %v, in one process %v", name, i, j, nll, want[i].TokenNLL[j])
				}
			}
		}
		if err := loaded.Close(); err != nil {
			t.Error(err)
		}
	}
}

// cutBackend is the torch backend, but the first process cuts the first model's file of weights before it reads tensors.
type cutBackend struct{ backend }

func (b cutBackend) Load(ctx context.Context, m protocol.Model) (_ sdk.Model, err error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "cut"), os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return b.backend.Load(ctx, m)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	c, err := parse(m)
	if err != nil {
		return nil, err
	}
	options, err := c.options()
	if err != nil {
		return nil, err
	}
	weights, err := open(m)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, weights.Close()) }()
	path := m.Files[slices.IndexFunc(m.Files, func(f protocol.ModelFile) bool { return f.Name == "model.safetensors" })].Path
	return nil, b.asPlanned(ctx, weights, m.Files, func(ctx context.Context) error {
		if err := os.Truncate(path, 5000); err != nil {
			return err
		}
		// The digest of the cut file, which is computed at the same time, must not end the load first.
		_, err := b.load(context.WithoutCancel(ctx), weights, c, options)
		return err
	})
}

// TestCutWhileLoading checks that a file which is cut while it is read ends the process, and that the next process says
// that the file is cut. The host then loads another model.
func TestCutWhileLoading(t *testing.T) {
	var log bytes.Buffer
	b := hosted(t, "cut", &log)
	_, err := b.Load(t.Context(), tiny(t))
	if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), "model.safetensors is truncated: ") {
		t.Errorf("found %v of kind %q", err, protocol.KindOf(err))
	}
	if n := strings.Count(log.String(), "the plugin crashed; restarting it"); n != 1 {
		t.Errorf("the process ended %d times:\n%s", n, &log)
	}
	loaded, err := b.Load(t.Context(), tiny(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := loaded.Close(); err != nil {
		t.Error(err)
	}
}

// TestCancel checks that a canceled call returns although a batch of 2^20 tokens is computed, and that the process does
// not compute the rest of the batch before it answers the next call.
func TestCancel(t *testing.T) {
	m := tiny(t)
	m.Config = json.RawMessage(strings.Replace(defaults, "2048", "1048576", 1))
	long := varied(1<<20, 1)
	settings := protocol.Settings{Prefix: protocol.PrefixBOS, Anchor: protocol.AnchorTokens, Context: 128, Stride: 64}
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()

	loaded := opened(t, m).(*model)
	watched := &watchedComputer{predictor: loaded.decoder, begun: make(chan int, 1)}
	loaded.decoder = watched
	canceled, cancel := context.WithCancel(ctx)
	go func() {
		if tokens := <-watched.begun; tokens > largestBatch {
			t.Errorf("a batch has %d tokens, more than %d", tokens, largestBatch)
		}
		cancel()
	}()
	err := loaded.Score(canceled, settings, always(documents(long)), func(protocol.ScoredDocument) error { return nil })
	if !errors.Is(err, context.Canceled) || !errors.Is(watched.ended, context.Canceled) {
		t.Errorf("the call ended with %v, its batch with %v", err, watched.ended)
	}
	score(t, loaded, settings, "The train was late.")

	b := hosted(t, "whole", io.Discard)
	far, err := b.Load(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	canceled, cancel = context.WithCancel(ctx)
	err = far.Score(canceled, settings, func(yield func(protocol.Document, error) bool) {
		for d, err := range documents(long, "x") {
			if d.Row == 1 {
				cancel()
			}
			if !yield(d, err) {
				return
			}
		}
	}, func(protocol.Document, protocol.ScoredDocument) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the call ended with %v", err)
	}
	answers := 0
	err = far.Score(ctx, settings, documents("The train was late."), func(protocol.Document, protocol.ScoredDocument) error { answers++; return nil })
	if err != nil || answers != 1 {
		t.Errorf("the next call ended with %v after %d answers", err, answers)
	}
}

// watchedComputer tells when a batch begins, and how the last one ended.
type watchedComputer struct {
	predictor
	begun chan int
	mutex sync.Mutex
	ended error
}

func (c *watchedComputer) Predict(ctx context.Context, sequences []decoder.Sequence, request decoder.Request) (p decoder.Predictions, err error) {
	tokens := 0
	for _, s := range sequences {
		tokens += s.Read()
	}
	select {
	case c.begun <- tokens:
	default:
	}
	p, err = c.predictor.Predict(ctx, sequences, request)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.ended = err
	return p, err
}
