//go:build torch

package backend

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/torch/decoder"
	"surprisal.dev/plugins/torch/tensor"
)

// controlled is a decoder that waits for begin before each batch, and computes one batch after another.
type controlled struct {
	predictor
	// begin gets the number of the batch, from 0, the tokens that it reads, and how many batches are not done.
	begin func(batch, tokens, running int) error

	mutex            sync.Mutex
	batches, running int
	decoding         sync.Mutex
}

func (c *controlled) Predict(ctx context.Context, sequences []decoder.Sequence, request decoder.Request) (decoder.Predictions, error) {
	tokens := 0
	for _, q := range sequences {
		tokens += q.Read()
	}
	c.mutex.Lock()
	batch := c.batches
	c.batches, c.running = c.batches+1, c.running+1
	running := c.running
	c.mutex.Unlock()
	defer func() {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		c.running--
	}()
	if err := c.begin(batch, tokens, running); err != nil {
		return decoder.Predictions{}, err
	}
	c.decoding.Lock()
	defer c.decoding.Unlock()
	return c.predictor.Predict(ctx, sequences, request)
}

// controlledModel returns a model that computes two batches of at most 100 tokens at a time.
func controlledModel(t *testing.T, begin func(batch, tokens, running int) error) *model {
	m := tiny(t)
	m.Config = json.RawMessage(strings.NewReplacer("2048", "100").Replace(defaults))
	loaded := opened(t, m).(*model)
	loaded.decoder = &controlled{predictor: loaded.decoder, begin: begin}
	loaded.batches.Store(2)
	return loaded
}

// await waits for a channel to be closed.
func await(t *testing.T, c <-chan struct{}, what string) {
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Errorf("%s within a minute", what)
	}
}

// several returns texts that are several batches.
func several() []string {
	var texts []string
	for i := range 20 {
		texts = append(texts, varied(20+i, uint64(i)))
	}
	return texts
}

// answers checks the answers of a model that computes two batches at a time against those of one that does not.
func answers(t *testing.T, m *model, texts []string) {
	t.Helper()
	settings := protocol.Settings{Context: 64, Stride: 32, Confidence: true}
	want := score(t, opened(t, tiny(t)), settings, texts...)
	for i, got := range score(t, m, settings, texts...) {
		if d := largestDifference(want[i], got); got.Index != want[i].Index || d > batchTolerance("float32") {
			t.Errorf("answer %d is for document %d, and %g nats from that of one batch at a time", i, got.Index, d)
		}
	}
}

// TestTwoBatches checks that two batches are computed at the same time, and no more, and that answers are in the order of
// documents if the first batch takes longer than those after it.
func TestTwoBatches(t *testing.T) {
	for _, last := range []int{1, 3} {
		begun := make(chan struct{})
		answers(t, controlledModel(t, func(batch, _, running int) error {
			switch batch {
			case 0:
				await(t, begun, "no later batch began")
			case last:
				close(begun)
			}
			if running > 2 {
				t.Errorf("%d batches at a time", running)
			}
			return nil
		}), several())
	}
}

// TestMemoryForOneBatch checks that a batch which does not fit into memory together with another is computed alone, with
// all its tokens, as are all batches after it.
func TestMemoryForOneBatch(t *testing.T) {
	second, failed := make(chan struct{}), make(chan struct{})
	m := controlledModel(t, func(batch, _, running int) error {
		switch {
		case batch == 0:
			await(t, second, "no second batch began")
			await(t, failed, "the second batch did not fail")
		case batch == 1:
			close(second)
			defer close(failed)
			return tensor.ErrMemory
		case running > 1:
			t.Errorf("batch %d is not computed alone", batch)
		}
		return nil
	})
	answers(t, m, several())
	if m.batches.Load() != 1 || m.budget.Load() != 100 {
		t.Errorf("%d batches of %d tokens at a time after too little memory for 2 of 100", m.batches.Load(), m.budget.Load())
	}
}

// TestLastBatch checks that the last batch is divided in two, unless its windows share tokens.
func TestLastBatch(t *testing.T) {
	alike := func(n int) (texts []string) {
		for i := range n {
			texts = append(texts, strings.Repeat("It snowed. ", 4)+varied(2, uint64(i)))
		}
		return texts
	}
	for _, test := range []struct {
		what  string
		texts []string
		want  []int
	}{
		{"one window", []string{varied(30, 1)}, []int{30}},
		{"two windows", []string{varied(30, 1), varied(40, 2)}, []int{30, 40}},
		{"many windows", []string{varied(10, 1), varied(10, 2), varied(10, 3), varied(30, 4), varied(10, 5)}, []int{40, 30}},
		{"a full batch", []string{varied(64, 1), varied(36, 2), varied(5, 3), varied(6, 4)}, []int{5, 6, 100}},
		{"shared tokens", alike(3), []int{3 * 46}},
	} {
		var mutex sync.Mutex
		var got []int
		m := controlledModel(t, func(_, tokens, _ int) error {
			mutex.Lock()
			defer mutex.Unlock()
			got = append(got, tokens)
			return nil
		})
		score(t, m, protocol.Settings{Context: 64, Stride: 64}, test.texts...)
		slices.Sort(got)
		slices.Sort(test.want)
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: batches of %d tokens, want %d", test.what, got, test.want)
		}
	}
}
