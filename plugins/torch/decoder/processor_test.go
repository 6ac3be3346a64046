//go:build torch

package decoder

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"surprisal.dev/plugins/torch/tensor"
)

// TestShares checks that the batches that are computed at a time use all threads, and no more.
func TestShares(t *testing.T) {
	p := NewProcessor()
	for threads := 2; threads < 9; threads++ {
		if got := p.share(threads, 1); got != threads {
			t.Errorf("a batch alone uses %d of %d threads", got, threads)
		}
		first, err := p.Enter(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.share(threads, 0); got != threads {
			t.Errorf("one batch uses %d of %d threads", got, threads)
		}
		second, err := p.Enter(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := p.share(threads, 0), p.share(threads, 1); a+b != threads || a-b > 1 {
			t.Errorf("two batches use %d and %d of %d threads", a, b, threads)
		}
		first()
		second()
	}
}

// TestEnter checks that a batch that is to be alone waits for others, and that a wait ends with its context.
func TestEnter(t *testing.T) {
	p := NewProcessor()
	leave, err := p.Enter(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := p.Enter(ctx, true); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a batch is computed alone although another is: %v", err)
	}
	leave()
	leave, err = p.Enter(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	leave()
}

// TestConcurrentPredictions checks that predictions have the same bits when several are computed at the same time.
func TestConcurrentPredictions(t *testing.T) {
	for _, directory := range families(t) {
		for _, kind := range []tensor.Type{tensor.Float32, tensor.BFloat16} {
			t.Run(fmt.Sprintf("%s/%d", filepath.Base(directory), kind), func(t *testing.T) {
				sequences, _ := readGolden(t, directory)
				request := Request{Confidence: true, TopK: 4}
				o := Options{Type: kind, Devices: []tensor.Device{tensor.CPU}, Threads: 3}
				d, _ := load(t, directory, o)
				want := make([]Predictions, len(sequences))
				for i := range sequences {
					p, err := d.Predict(t.Context(), sequences[i:i+1], request)
					if err != nil {
						t.Fatal(err)
					}
					want[i] = p
				}
				again, _ := load(t, directory, o)
				processor := again.workers[0].processor
				var running sync.WaitGroup
				for i := range sequences {
					running.Go(func() {
						leave, err := processor.Enter(t.Context(), o.Batches() == 1)
						if err != nil {
							t.Error(err)
							return
						}
						defer leave()
						p, err := again.Predict(t.Context(), sequences[i:i+1], request)
						if err != nil || tensor.IndependentRows() && !reflect.DeepEqual(p, want[i]) {
							t.Errorf("sequence %d has other predictions than alone, %v", i, err)
						}
					})
				}
				running.Wait()
			})
		}
	}
}
