//go:build torch

package backend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/torch/decoder"
	"surprisal.dev/plugins/torch/tensor"
)

// TestErrors checks the errors for models that cannot be loaded.
func TestErrors(t *testing.T) {
	good := tiny(t)
	change := func(edit func(*protocol.Model, string)) protocol.Model {
		m := tiny(t)
		edit(&m, filepath.Dir(m.Files[0].Path))
		return m
	}
	for _, test := range []struct {
		what  string
		model protocol.Model
		want  string
	}{
		{"no files", protocol.Model{Config: good.Config}, "needs weights"},
		{"a file that is gone", change(func(m *protocol.Model, dir string) { m.Files = m.Files[:1]; m.Files[0].Path = dir + "/x.gguf" }), "x.gguf"},
		{"a file that changed", change(func(m *protocol.Model, dir string) {
			write(t, filepath.Join(dir, "tokenizer.json"), append(byteTokenizer(t), '\n'))
		}), "tokenizer.json changed since planning: the plan has"},
		{"weights cut off", change(func(m *protocol.Model, dir string) {
			if err := os.Truncate(filepath.Join(dir, "model.safetensors"), 20000); err != nil {
				t.Fatal(err)
			}
		}), "model.safetensors"},
		{"no tokenizer", change(func(m *protocol.Model, dir string) {
			m.Files = m.Files[:2]
			if err := os.Remove(filepath.Join(dir, "tokenizer.json")); err != nil {
				t.Fatal(err)
			}
		}), "tokenizer.json not found in the model directory"},
		{"a configuration alone", change(func(m *protocol.Model, dir string) {
			m.Files = m.Files[:1]
			if err := os.Remove(filepath.Join(dir, "model.safetensors")); err != nil {
				t.Fatal(err)
			}
		}), "neither model.safetensors nor"},
		{"no such GPU", change(func(m *protocol.Model, _ string) {
			m.Config = json.RawMessage(strings.Replace(defaults, `"cpu"`, `"cuda:63"`, 1))
		}), "runner doctor"},
		{"too many ranks", change(func(m *protocol.Model, _ string) {
			m.Config = json.RawMessage(strings.Replace(defaults, `"tensorParallel": 1`, `"tensorParallel": 7`, 1))
		}), "7 ranks cannot share"},
	} {
		if test.what == "too many ranks" {
			if _, err := New().Plan(t.Context(), test.model, protocol.Settings{}); protocol.KindOf(err) != protocol.InvalidInput {
				t.Errorf("a plan with %s: %v", test.what, err)
			}
		}
		loaded, err := New().Load(t.Context(), test.model)
		if err == nil {
			t.Errorf("%s: no error", test.what)
			if err := loaded.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		if protocol.KindOf(err) == "" || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: found %q of kind %q, want %q", test.what, err, protocol.KindOf(err), test.want)
		}
	}
}

// TestUnknownTokens checks the error for a tokenizer with a token that the model does not have.
func TestUnknownTokens(t *testing.T) {
	m := tiny(t)
	dir := filepath.Dir(m.Files[0].Path)
	added := `"added_tokens":[{"id":256,"content":"snow","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":false}]`
	write(t, filepath.Join(dir, "tokenizer.json"), bytes.Replace(byteTokenizer(t), []byte(`"added_tokens":[]`), []byte(added), 1))
	loaded := opened(t, planned(t, dir, "config.json", "model.safetensors", "tokenizer.json"))
	err := loaded.Score(t.Context(), protocol.Settings{}, always(documents("Rain.", "It snowed.")), func(protocol.ScoredDocument) error { return nil })
	const want = `row 1: the tokenizer has token 256, but the model has tokens 0 to 255`
	if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), want) {
		t.Errorf("found %v, want %q", err, want)
	}
}

// TestLeak checks that hundreds of batches, and a canceled one, leak neither tensors nor memory.
func TestLeak(t *testing.T) {
	loaded := opened(t, tiny(t))
	m := loaded.(*model)
	settings := protocol.Settings{Context: 64, Stride: 32}
	text := strings.Repeat("It snowed. ", 30)
	for range 50 {
		score(t, loaded, settings, text)
	}
	before := resident(t)
	for range 500 {
		score(t, loaded, settings, text)
	}
	if grown := resident(t) - before; grown > 32<<20 {
		t.Errorf("500 batches left %d MB", grown>>20)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := loaded.Score(ctx, settings, always(documents(text)), func(protocol.ScoredDocument) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("after canceling: %v", err)
	}
	if live := m.heap.Live(); live != m.weights {
		t.Errorf("%d tensors, %d of them weights", live, m.weights)
	}
}

// TestLengths checks that memory does not grow with the number of lengths that texts have.
func TestLengths(t *testing.T) {
	m := opened(t, tiny(t))
	settings := protocol.Settings{Context: 64, Stride: 64}
	before := int64(0)
	for i := range 300 {
		score(t, m, settings, varied(20+i*157%400, 1))
		if i == 100 {
			before = resident(t)
		}
	}
	if grown := resident(t) - before; grown > 32<<20 {
		t.Errorf("200 texts of other lengths left %d MB", grown>>20)
	}
}

// resident returns the resident memory of this process in bytes.
func resident(t *testing.T) int64 {
	t.Helper()
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(data), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// TestHalving checks that each attempt after a lack of memory is at most half as large as the one before, even if the
// budget is far larger than the batch.
func TestHalving(t *testing.T) {
	m := tiny(t)
	m.Config = json.RawMessage(strings.NewReplacer("2048", "1048576", `"threads": 0`, `"threads": 1`).Replace(defaults))
	loaded := opened(t, m)
	limited := &limitedComputer{predictor: loaded.(*model).decoder, tokens: 100}
	loaded.(*model).decoder = limited
	settings := protocol.Settings{Context: 64, Stride: 32}
	score(t, loaded, settings, varied(2000, 1))
	for i, tokens := range limited.failed {
		if i > 0 && tokens > limited.failed[i-1]/2 {
			t.Errorf("%d tokens failed, and then %d", limited.failed[i-1], tokens)
		}
	}
	if len(limited.failed) < 3 {
		t.Errorf("%d attempts failed", len(limited.failed))
	}
}

// TestHalvingOfSharedWindows checks that batches become smaller also if their windows share all tokens that they read, as
// documents of one token do, or read none. Batches of them are bounded, too.
func TestHalvingOfSharedWindows(t *testing.T) {
	var texts []string
	for i := range 300 {
		texts = append(texts, string(rune('!'+i%90)))
	}
	for _, prefix := range []string{protocol.PrefixBOS, protocol.PrefixNone} {
		m := tiny(t)
		m.Config = json.RawMessage(strings.NewReplacer("2048", "64", `"threads": 0`, `"threads": 1`).Replace(defaults))
		loaded := opened(t, m)
		limited := &limitedComputer{predictor: loaded.(*model).decoder, tokens: 1 << 20, sequences: 10}
		loaded.(*model).decoder = limited
		score(t, loaded, protocol.Settings{Context: 64, Stride: 32, Prefix: prefix}, texts...)
		if want := []int{64, 32, 16}; !slices.Equal(limited.failed, want) {
			t.Errorf("prefix %q: batches of %v windows failed, want %v", prefix, limited.failed, want)
		}
	}
}

// limitedComputer has memory for that many tokens, and sequences unless that is 0.
type limitedComputer struct {
	predictor
	tokens, sequences int
	failed            []int
}

func (c *limitedComputer) Predict(ctx context.Context, sequences []decoder.Sequence, request decoder.Request) (p decoder.Predictions, err error) {
	tokens := 0
	for _, q := range sequences {
		tokens += q.Read()
	}
	if tokens > c.tokens {
		c.failed = append(c.failed, tokens)
		return p, tensor.ErrMemory
	}
	if c.sequences > 0 && len(sequences) > c.sequences {
		c.failed = append(c.failed, len(sequences))
		return p, tensor.ErrMemory
	}
	return c.predictor.Predict(ctx, sequences, request)
}

// TestFailsBeforeTheNextDocument checks that a model that fails does not wait for its source.
func TestFailsBeforeTheNextDocument(t *testing.T) {
	loaded := opened(t, tiny(t))
	loaded.(*model).decoder = &limitedComputer{predictor: loaded.(*model).decoder}
	loaded.(*model).budget.Store(1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	source := func(ctx context.Context) iter.Seq2[protocol.Document, error] {
		return func(yield func(protocol.Document, error) bool) {
			text := strings.Repeat("x", groupBytes)
			if !yield(protocol.Document{Text: text, ScoreEnd: int32(len(text))}, nil) {
				return
			}
			<-ctx.Done()
			yield(protocol.Document{}, ctx.Err())
		}
	}
	err := loaded.Score(ctx, protocol.Settings{}, source, func(protocol.ScoredDocument) error { return nil })
	if protocol.KindOf(err) != protocol.OutOfMemory || ctx.Err() != nil {
		t.Errorf("%v, after a minute: %v", err, ctx.Err())
	}
}
