package artifact_test

import (
	"testing"

	"surprisal.dev/runner/artifact"
)

// The limit leaves room for what the runtime does not count, and never is so low that a process only collects garbage.
func TestRuntimeLimit(t *testing.T) {
	for memory, want := range map[int64]int64{
		16 << 30: 14 << 30, 576 << 20: 504 << 20, 400 << 20: 328 << 20, 128 << 20: 64 << 20, 1: 64 << 20,
	} {
		if got := artifact.RuntimeLimit(memory); got != want {
			t.Errorf("%d MiB: got %d MiB, want %d", memory>>20, got>>20, want>>20)
		}
	}
}
