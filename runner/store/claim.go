package store

import (
	"context"
	"fmt"
	"regexp"

	"surprisal.dev/internal/filelock"
)

// locks holds the files that processes lock: one for each key at work, and replaceLock. A file is removed after use.
const locks = "locks/"

const replaceLock = "replace"

var lockFileName = regexp.MustCompile(`^(?:[0-9a-f]{64}|` + replaceLock + `)$`)

// Claim waits until no other process, and nobody else in this one, works on a key, and keeps others waiting until release is
// called or this process ends. Look the key up again after that: who had the claim before may have made the record. In a
// bucket it does not wait, since two who do the same there do no harm.
//
// A goroutine that holds a claim must not wait for another one, unless all take theirs in the order of the keys.
func (s *Store) Claim(ctx context.Context, key string) (release func() error, err error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	d := s.b.local()
	if d == nil {
		return func() error { return nil }, nil
	}
	release, err = d.lockFile(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", s, err)
	}
	return release, nil
}

// lockFile waits for the lock of a name.
func (d *directory) lockFile(ctx context.Context, name string) (release func() error, err error) {
	if err := d.mkdir("locks"); err != nil {
		return nil, explain(err)
	}
	l, err := filelock.Acquire(ctx, d.root, locks+name)
	if err != nil {
		return nil, explain(err)
	}
	return func() error { return explain(l.Release()) }, nil
}

// sweepLocks removes the lock files of processes that died.
func (d *directory) sweepLocks() error {
	names, err := d.names("locks")
	if err != nil {
		return err
	}
	for _, name := range names {
		if !lockFileName.MatchString(name) {
			continue
		}
		l, err := filelock.TryAcquire(d.root, locks+name)
		if err != nil {
			return explain(err)
		}
		if l != nil {
			if err := l.Release(); err != nil {
				return explain(err)
			}
		}
	}
	return nil
}
