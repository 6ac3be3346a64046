package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"

	"surprisal.dev/internal/bounded"
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

// Holder describes the process that holds a claim.
type Holder struct {
	Process int    `json:"process"`
	Host    string `json:"host"`
}

// String returns words for the process, also if it is unknown.
func (h Holder) String() string {
	switch {
	case h.Process == 0:
		return "another process"
	case h.Host == "":
		return fmt.Sprintf("process %d", h.Process)
	}
	return fmt.Sprintf("process %d (%s)", h.Process, h.Host)
}

// maxHolder and maxHost bound the description of a holder and the name of its host, in bytes.
const (
	maxHolder = 1 << 10
	maxHost   = 255
)

// Holder returns the process that holds the claim on a key. It returns the zero Holder if that is unknown: if no
// process does, or if it does not describe itself.
func (s *Store) Holder(key string) (Holder, error) {
	if err := checkKey(key); err != nil {
		return Holder{}, err
	}
	d := s.b.local()
	if d == nil {
		return Holder{}, nil
	}
	h, err := d.holder(key)
	if err != nil {
		return Holder{}, fmt.Errorf("store %s: %w", s, err)
	}
	return h, nil
}

func (d *directory) holder(name string) (h Holder, err error) {
	f, err := d.file(locks + name)
	if err != nil {
		// The claim may have ended.
		return h, ignoreMissing(err)
	}
	data, err := bounded.ReadAll(f, maxHolder)
	if _, tooLarge := errors.AsType[*bounded.TooLargeError](err); tooLarge {
		data, err = nil, nil
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return h, explain(err)
	}
	// A holder that has just begun has not described itself yet, and the file may be damaged.
	known := json.Unmarshal(data, &h) == nil && h.Process > 0 && len(h.Host) <= maxHost
	if !known {
		h = Holder{}
	}
	return h, nil
}

// describe writes which process holds a lock, for those that wait for it.
func describe(l *filelock.Lock) error {
	// Without a name, the number of the process still helps.
	host, _ := os.Hostname()
	data, err := json.Marshal(Holder{os.Getpid(), host})
	if err != nil {
		return err
	}
	return l.Write(data)
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
	if err := describe(l); err != nil {
		return nil, explain(errors.Join(err, l.Release()))
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
