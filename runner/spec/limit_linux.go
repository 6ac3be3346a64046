package spec

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// limitData limits the private writable memory of the process, in bytes, unless the system already limits it to less.
func limitData(most int64) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_DATA, &limit); err != nil {
		return fmt.Errorf("read the limit of private memory: %w", err)
	}
	limit.Max = min(limit.Max, uint64(most))
	limit.Cur = min(limit.Cur, limit.Max)
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &limit); err != nil {
		return fmt.Errorf("limit private memory to %d bytes: %w", limit.Cur, err)
	}
	return nil
}
