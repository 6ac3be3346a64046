package revision

import (
	"testing"
	"time"
)

// SetTime changes the limit of time until the end of a test.
func SetTime(t *testing.T, limit time.Duration) {
	t.Helper()
	before := maxTime
	maxTime = limit
	t.Cleanup(func() { maxTime = before })
}
