// Package filelock locks files between processes with flock(2). The kernel releases a lock when its process exits for
// any reason. Two open files of one process exclude each other like those of two processes.
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

// Mode is the mode of a lock.
type Mode int

// Modes of a lock.
const (
	// Shared allows others to hold shared locks.
	Shared Mode = syscall.LOCK_SH
	// Exclusive allows no other locks.
	Exclusive Mode = syscall.LOCK_EX
)

// Try locks an open file without waiting. It returns false if another open file has a conflicting lock.
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

// Waiting polls, first after firstInterval and then at longer intervals, because a wait in the kernel could not be
// canceled.
const (
	firstInterval = time.Millisecond
	lastInterval  = 100 * time.Millisecond
)

// Wait locks an open file. It waits for the lock until the context is done.
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

// Acquire creates and locks the file called name within root. It waits for the lock until the context is done. To avoid
// deadlock, all processes must acquire several locks in the same order.
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
		// The previous holder removed the file, and another process may have created and locked a new one.
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

// Write replaces the content of the file, which may describe the holder.
func (l *Lock) Write(data []byte) error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt(data, 0)
	return err
}

// Release removes the file and releases the lock.
func (l *Lock) Release() error {
	err := l.root.Remove(l.name)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, l.file.Close())
}

// IsAt reports whether name still refers to the open file.
func IsAt(f *os.File, root *os.Root, name string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := root.Lstat(name)
	return err == nil && os.SameFile(open, named)
}
