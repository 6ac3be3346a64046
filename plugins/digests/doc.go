// Package digests remembers the digests of large files, because reading them takes longer than the rest of a plan. A
// file is identified by its device, its inode, its size, its modification time and its change time. A file that changed
// in the last few seconds is not remembered: a file system's clock may be too coarse to show its next change.
//
// The runner keeps one cache for weights, the torch backend another for a run, and the file providers one for sources. It
// imports internal/filelock and internal/bounded.
package digests
