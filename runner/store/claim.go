package store

import (
	"context"
	"fmt"
	"regexp"

	"surprisal.dev/internal/filelock"
)

// locks is the prefix of lock files: one for each key that is being computed, and replaceLock. A file is removed after
// use.
const locks = "locks/"

const replaceLock = "replace"

var lockFileName = regexp.MustCompile(`^(?:[0-9a-f]{64}|` + replaceLock + `)$`)

// Claim waits until no other process or goroutine works on a key. Others then wait until release is called or this
// process ends. Look the key up again after Claim returns: the previous holder may have published the record. In a
// bucket Claim does not wait, because duplicate work there is harmless.
//
// A goroutine that holds a claim must not wait for another one, unless all goroutines claim keys in sorted order.
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
