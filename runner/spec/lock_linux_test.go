package spec

import (
	"strings"
	"testing"
)

// A lock file that cannot be written is not changed, and what goes with the change is not done either. In /proc, nobody can
// create a file.
func TestUnwritableLock(t *testing.T) {
	called := false
	err := ChangeLock(t.Context(), "/proc/self", "", func(*Lock) error { called = true; return nil })
	if err == nil || called || !strings.HasPrefix(err.Error(), "cannot write surprisal.lock: open /proc/self/surprisal.lock.") ||
		!strings.Contains(err.Error(), "; check the owner and the permissions of the directory") {
		t.Errorf("got %v, called %v", err, called)
	}
}
