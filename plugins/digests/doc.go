// Package digests remembers the digests of large files, because reading them takes longer than the rest of a plan. A file
// is known by its device, its inode, its size and the times of its last change of content and of anything. A file that
// changed in the last seconds is not remembered: the clock of a file system may be too coarse to show its next change.
//
// The runner keeps one for weights, the providers of files one for sources. It imports internal/filelock of this module.
package digests
