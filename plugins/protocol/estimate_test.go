package protocol

import (
	"fmt"
	"io"
	"testing"
)

// The memory of training and scoring grows with the training text, each at its own rate, and is rounded up.
func TestEstimatedMemory(t *testing.T) {
	e := Estimate{MemoryBytes: 100, TrainingMemoryPerByte: 1.5, MemoryPerTrainingByte: 0.4, DeviceMemoryBytes: 7}
	for _, test := range []struct {
		e                 Estimate
		bytes             int64
		training, scoring int64
	}{
		{e, 0, 100, 100},
		{e, 2, 103, 101},
		{e, 3, 105, 102},
		{e, 1 << 40, 100 + 3<<39, 100 + 439804651111},
		{Estimate{}, 1000, 0, 0},
		{Estimate{TrainingMemoryPerByte: 1}, 1000, 1000, 0},
	} {
		if got := test.e.TrainingMemory(test.bytes); got != test.training {
			t.Errorf("training on %d bytes with %+v takes %d, want %d", test.bytes, test.e, got, test.training)
		}
		if got := test.e.ScoringMemory(test.bytes); got != test.scoring {
			t.Errorf("scoring after %d bytes with %+v takes %d, want %d", test.bytes, test.e, got, test.scoring)
		}
	}
}

func TestDigest(t *testing.T) {
	// By sha256sum.
	if got, want := Digest([]byte("hello")), "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"; got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

func TestKindOf(t *testing.T) {
	err := Invalid("row %d of %q", 7, "x")
	if KindOf(err) != InvalidInput || err.Error() != `row 7 of "x"` {
		t.Errorf("found %v of kind %q", err, KindOf(err))
	}
	for _, test := range []struct {
		err  error
		want ErrorKind
	}{
		{fmt.Errorf("wrapped: %w", &Error{Kind: Changed}), Changed},
		{fmt.Errorf("wrapped: %w", io.EOF), ""},
		{nil, ""},
	} {
		if got := KindOf(test.err); got != test.want {
			t.Errorf("%v has the kind %q, want %q", test.err, got, test.want)
		}
	}
}
