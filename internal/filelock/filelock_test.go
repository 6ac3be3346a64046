package filelock_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
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
	if _, err := filelock.Try(a, filelock.Shared); err == nil {
		t.Error("a closed file was locked")
	}
}

// However many want a lock whose file goes away after each use, one at a time has it.
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
