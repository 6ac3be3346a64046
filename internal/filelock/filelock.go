// Package filelock locks files between processes with flock(2). The kernel releases a lock when its process dies, however it
// dies. Two open files of one process exclude each other as those of two processes do.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Mode says what a lock lets others do.
type Mode int

// Modes of a lock.
const (
	// Shared lets others hold shared locks, too.
	Shared Mode = syscall.LOCK_SH
	// Exclusive lets nobody else hold a lock.
	Exclusive Mode = syscall.LOCK_EX
)

// Try locks an open file without waiting. It returns false if a lock of another open file is in the way.
func Try(f *os.File, mode Mode) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), int(mode)|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, &fs.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
	}
}

// Waiting asks again after the first interval, then less and less often. A wait in the kernel could not be cancelled.
const (
	firstInterval = time.Millisecond
	lastInterval  = 100 * time.Millisecond
)

// Wait locks an open file and waits for that until the context is done.
func Wait(ctx context.Context, f *os.File, mode Mode) error {
	for interval := firstInterval; ; interval = min(2*interval, lastInterval) {
		if held, err := Try(f, mode); held || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the lock %s, which another process holds: %w", f.Name(), ctx.Err())
		case <-time.After(interval):
		}
	}
}

// Lock is a lock file that this process holds.
type Lock struct {
	root *os.Root
	name string
	file *os.File
}

// Acquire makes and locks the file called name within root, and waits for that until the context is done. Locks of several
// names are taken in an order on which all agree, or two processes can wait for each other.
func Acquire(ctx context.Context, root *os.Root, name string) (*Lock, error) {
	return acquire(root, name, func(f *os.File) (bool, error) { return true, Wait(ctx, f, Exclusive) })
}

// TryAcquire is Acquire without waiting: it returns nil if another process holds the lock.
func TryAcquire(root *os.Root, name string) (*Lock, error) {
	return acquire(root, name, func(f *os.File) (bool, error) { return Try(f, Exclusive) })
}

func acquire(root *os.Root, name string, lock func(*os.File) (bool, error)) (*Lock, error) {
	for {
		f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			return nil, err
		}
		held, err := lock(f)
		// The holder before removed the file, and another process may have made and locked a new one.
		if err == nil && held && !IsAt(f, root, name) {
			if err := f.Close(); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil || !held {
			return nil, errors.Join(err, f.Close())
		}
		return &Lock{root, name, f}, nil
	}
}

// Release removes the file and gives the lock up.
func (l *Lock) Release() error {
	err := l.root.Remove(l.name)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, l.file.Close())
}

// IsAt says whether name still names the open file.
func IsAt(f *os.File, root *os.Root, name string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := root.Lstat(name)
	return err == nil && os.SameFile(open, named)
}
