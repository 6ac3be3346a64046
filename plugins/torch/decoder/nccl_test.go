//go:build torch

package decoder

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"surprisal.dev/plugins/torch/tensor"
)

// standIn builds testdata/nccl.c. No GPU is available here: the test checks which functions of NCCL are called, in
// which order and with which arguments, and not NCCL itself.
func standIn(t *testing.T) string {
	t.Helper()
	library := filepath.Join(t.TempDir(), "libnccl.so.2")
	out, err := exec.CommandContext(t.Context(), "cc", "-O2", "-shared", "-fPIC", "-pthread", "-o", library, "testdata/nccl.c").CombinedOutput()
	if err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	return library
}

func withNCCL(t *testing.T, directory string, kind tensor.Type, library string, ranks int) (*Decoder, *tensor.Heap) {
	t.Helper()
	var devices, numbers []tensor.Device
	for i := range ranks {
		devices, numbers = append(devices, tensor.CPU), append(numbers, tensor.Device(i))
	}
	d, heap := load(t, directory, Options{Type: kind, Devices: devices})
	c, err := newNCCL(library, numbers)
	if err != nil {
		t.Fatal(err)
	}
	d.workers[0].collective.Close()
	d.workers[0].collective = c
	return d, heap
}

// TestNCCL computes the goldens with sums over ranks by NCCL's functions.
func TestNCCL(t *testing.T) {
	library := standIn(t)
	for _, directory := range families(t) {
		t.Run(filepath.Base(directory), func(t *testing.T) {
			sequences, want := readGolden(t, directory)
			for _, ranks := range []int{2, 4} {
				d, heap := withNCCL(t, directory, tensor.Float32, library, ranks)
				compareGolden(t, d, heap, sequences, want, float32Near)
				testConfidence(t, d, directory)
				d, heap = withNCCL(t, directory, tensor.BFloat16, library, ranks)
				compareGolden(t, d, heap, sequences, want, coarseNear(t, directory))
			}
		})
	}
}

// TestNCCLFailure checks that ranks do not wait for a rank that fails, before a sum or in it.
func TestNCCLFailure(t *testing.T) {
	library := standIn(t)
	for _, missing := range []struct{ library, want string }{
		{filepath.Join(t.TempDir(), "none.so"), "none.so"},
		{"libm.so.6", "ncclCommInitAll"},
	} {
		if _, err := newNCCL(missing.library, []tensor.Device{0, 1}); err == nil || !strings.Contains(err.Error(), missing.want) {
			t.Errorf("%s: %v", missing.library, err)
		}
	}
	if _, err := newNCCL(library, []tensor.Device{1, 1}); err == nil || !strings.Contains(err.Error(), "invalid argument") {
		t.Errorf("a device twice: %v", err)
	}
	if _, err := newCollective([]tensor.Device{0, 0, 1}); err == nil || !strings.Contains(err.Error(), "one device for all ranks") {
		t.Errorf("three ranks on two devices: %v", err)
	}

	directory := filepath.Join(goldenDirectory, "llama")
	sequences, want := readGolden(t, directory)
	d, heap := withNCCL(t, directory, tensor.Float32, library, 2)
	weights := heap.Live()
	// The second rank has a vector in place of a matrix, so that it never reaches the first sum.
	layer := d.ranks[1].layers[0]
	first := layer.mixer.(*attention)
	matrix := first.out.weight
	first.out.weight = layer.mixerNorm.weight
	within(t, func() {
		if _, err := lossesOf(t.Context(), d, sequences); err == nil || strings.Contains(err.Error(), errAborted.Error()) {
			t.Errorf("a vector in place of a matrix: %v", err)
		}
	})
	if heap.Live() != weights {
		t.Errorf("%d tensors before, %d after", weights, heap.Live())
	}
	first.out.weight = matrix
	compareGolden(t, d, heap, sequences, want, float32Near)

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	within(t, func() {
		if _, err := lossesOf(canceled, d, sequences); err == nil {
			t.Error("canceled, and there are losses")
		}
	})
	// The second rank fails where the ranks exchange the targets' logits.
	head := d.ranks[1].head
	d.ranks[1].head.Weights = []tensor.Tensor{matrix}
	within(t, func() {
		if _, err := d.Predict(t.Context(), sequences, Request{Confidence: true, TopK: goldenTopK}); err == nil || strings.Contains(err.Error(), errAborted.Error()) {
			t.Errorf("a matrix of another width in place of the head: %v", err)
		}
	})
	d.ranks[1].head = head
	compareGolden(t, d, heap, sequences, want, float32Near)

	d.workers[0].collective.(*nccl).group.Abort()
	within(t, func() {
		if _, err := lossesOf(t.Context(), d, sequences); err == nil || !strings.Contains(err.Error(), "load the model again") {
			t.Errorf("after a sum that was aborted: %v", err)
		}
	})
}

// within fails the test if f takes so long that a rank must be waiting.
func within(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("a rank waits for another that has failed")
	}
}
