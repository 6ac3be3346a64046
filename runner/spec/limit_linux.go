package spec

import "golang.org/x/sys/unix"

// limitData limits the private writable memory of the process, in bytes.
func limitData(most int64) error {
	return unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: uint64(most), Max: uint64(most)})
}
