// Package revision copies files of a git repository as they were committed at a revision, within bounds. The repository may
// be a stranger's: git starts no program that its configuration names and reaches no network, links that lead out of the
// repository are not made, and what the tree claims to hold is counted before it is written.
package revision
