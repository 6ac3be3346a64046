package cli

import (
	"sync"
	"time"

	"surprisal.dev/runner/workspace"
)

const (
	// fetchingInterval is the time between two lines about downloads.
	fetchingInterval = 5 * time.Second
	// leastFetched is the size of the smallest file whose end is worth a line.
	leastFetched = 10 << 20
)

// fetching returns a function that prints the progress of downloads to stderr.
func (a *app) fetching() func(workspace.Fetched) {
	var mu sync.Mutex
	last := time.Now()
	return func(f workspace.Fetched) {
		mu.Lock()
		defer mu.Unlock()
		ends := f.Done == f.Total && f.Total >= leastFetched
		if !ends && time.Since(last) < fetchingInterval {
			return
		}
		last = time.Now()
		writef(a.stderr, "downloading %s, %s: %s of %s\n", f.Model, f.File, size(f.Done), size(f.Total))
	}
}
