package filelock_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"surprisal.dev/internal/filelock"
)

func openFile(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestTry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	a, b, c := openFile(t, path), openFile(t, path), openFile(t, path)
	try := func(f *os.File, mode filelock.Mode, want bool) {
		t.Helper()
		if got, err := filelock.Try(f, mode); err != nil || got != want {
			t.Errorf("Try: %v, %v; want %v", got, err, want)
		}
	}
	try(a, filelock.Shared, true)
	try(b, filelock.Shared, true)
	try(c, filelock.Exclusive, false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := filelock.Wait(ctx, c, filelock.Exclusive); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), path) {
		t.Errorf("Wait: %v", err)
	}
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	if err := filelock.Wait(t.Context(), c, filelock.Exclusive); err != nil {
		t.Error(err)
	}
	var of *fs.PathError
	if _, err := filelock.Try(a, filelock.Shared); !errors.As(err, &of) || of.Path != path || !errors.Is(err, syscall.EBADF) {
		t.Errorf("Try of a closed file: %v", err)
	}
	if err := filelock.Wait(ctx, a, filelock.Shared); !errors.Is(err, syscall.EBADF) {
		t.Errorf("Wait for a closed file: %v", err)
	}
}

// Wait locks in the given mode: holders of shared locks do not wait for each other.
func TestWaitShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a, b := openFile(t, path), openFile(t, path)
	for _, f := range []*os.File{a, b} {
		if err := filelock.Wait(ctx, f, filelock.Shared); err != nil {
			t.Errorf("Wait for a lock that is shared: %v", err)
		}
	}
	if held, err := filelock.Try(openFile(t, path), filelock.Exclusive); err != nil || held {
		t.Errorf("Try of a lock that is shared: %v, %v", held, err)
	}
}

// Only the name of the open file itself counts, not a link to it or another file in its place.
func TestIsAt(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	f := openFile(t, filepath.Join(dir, "lock"))
	openFile(t, filepath.Join(dir, "other"))
	if err := os.Symlink("lock", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"lock": true, "other": false, "link": false, "absent": false} {
		if got := filelock.IsAt(f, root, name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if filelock.IsAt(f, root, "lock") {
		t.Error("a closed file is said to be there")
	}
}

// A lock is released even if its file cannot be removed, and the error reports the remaining file.
func TestRelease(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	acquire := func() *filelock.Lock {
		t.Helper()
		l, err := filelock.Acquire(t.Context(), root, "lock")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	path := filepath.Join(dir, "lock")
	l := acquire()
	old := openFile(t, path)
	if err := errors.Join(os.Remove(path), l.Release()); err != nil {
		t.Errorf("Release without the file: %v", err)
	}
	if held, err := filelock.Try(old, filelock.Exclusive); err != nil || !held {
		t.Errorf("the lock is still held: %v, %v", held, err)
	}
	l = acquire()
	old = openFile(t, path)
	if err := errors.Join(os.Remove(path), os.MkdirAll(filepath.Join(path, "below"), 0o777)); err != nil {
		t.Fatal(err)
	}
	if err := l.Release(); !errors.Is(err, syscall.ENOTEMPTY) {
		t.Errorf("Release where the file cannot be removed: %v", err)
	}
	if held, err := filelock.Try(old, filelock.Exclusive); err != nil || !held {
		t.Errorf("the lock is still held: %v, %v", held, err)
	}
}

// openFiles counts the open files of this process. It returns false if the system does not report them.
func openFiles(t *testing.T) (int, bool) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(entries), true
}

// Neither a failed nor a released lock leaves a file open.
func TestNoFileStaysOpen(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before, counts := 0, false
	for i := range 30 {
		l, err := filelock.Acquire(t.Context(), root, "lock")
		if err != nil {
			t.Fatal(err)
		}
		if other, err := filelock.TryAcquire(root, "lock"); err != nil || other != nil {
			t.Errorf("TryAcquire of a lock that is held: %v, %v", other, err)
		}
		if other, err := filelock.Acquire(ctx, root, "lock"); !errors.Is(err, context.Canceled) || other != nil {
			t.Errorf("Acquire of a lock that is held: %v, %v", other, err)
		}
		if err := l.Release(); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			before, counts = openFiles(t)
		}
	}
	if after, _ := openFiles(t); counts && after != before {
		t.Errorf("%d files are open, and before there were %d", after, before)
	}
}

// Any number of waiters can use a lock whose file is removed after each use, one at a time.
func TestAcquire(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var group sync.WaitGroup
	n := 0
	for range 8 {
		group.Go(func() {
			for range 20 {
				l, err := filelock.Acquire(t.Context(), root, "lock")
				if err != nil {
					t.Error(err)
					return
				}
				n++ // the race detector and the sum both notice a second holder
				if other, err := filelock.TryAcquire(root, "lock"); err != nil || other != nil {
					t.Errorf("TryAcquire of a lock that is held: %v, %v", other, err)
				}
				if err := l.Release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if n != 160 {
		t.Errorf("counted %d, want 160", n)
	}
	if _, err := root.Lstat("lock"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	l, err := filelock.TryAcquire(root, "lock")
	if err != nil || l == nil {
		t.Fatalf("TryAcquire of a free lock: %v, %v", l, err)
	}
	if err := l.Release(); err != nil {
		t.Error(err)
	}
	if _, err := filelock.Acquire(t.Context(), root, "absent/lock"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Acquire in an absent directory: %v", err)
	}
}
