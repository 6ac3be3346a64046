package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	"surprisal.dev/internal/filelock"
)

// maxSocketPath is the smallest limit on a socket's path among the supported systems.
const maxSocketPath = 103

// socketSuffix is the longest suffix that go-plugin appends to the directory it is given.
const socketSuffix = "/plugin-dir4294967295/plugin4294967295"

// runDir is the directory for the sockets and temporary files of one host's plugins. Its lock is held until the
// process ends, for whatever reason, so that the next host can recognize an abandoned directory.
type runDir struct {
	path string
	lock *os.File
}

// newRunDir creates a directory under dir, or under the system's temporary directory if dir's path is too long for a
// socket. It removes the directories that killed hosts have left there.
func newRunDir(dir string) (*runDir, error) {
	var parent string
	for _, dir := range []string{dir, os.TempDir()} {
		if dir == "" {
			continue
		}
		dir, err := filepath.Abs(dir)
		if err != nil {
			return nil, fmt.Errorf("directory for plugins: %w", err)
		}
		parent = filepath.Join(dir, fmt.Sprintf("runner-plugins-%d", os.Getuid()))
		if len(parent)+len("/run4294967295")+len(socketSuffix) <= maxSocketPath {
			break
		}
		parent = ""
	}
	if parent == "" {
		return nil, fmt.Errorf("directory for plugins: the path of the temporary directory %s is too long for a socket; "+
			"set TMPDIR to a shorter one", os.TempDir())
	}
	f, err := makeRunDir(parent)
	if err != nil {
		return nil, fmt.Errorf("directory for plugins: %w", err)
	}
	return f, nil
}

func makeRunDir(parent string) (_ *runDir, err error) {
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, err
	}
	// In a temporary directory that others can write to, another user may have created it first.
	info, err := os.Lstat(parent)
	if err != nil {
		return nil, err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || int(owner.Uid) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s is not a directory that only you can open; remove it", parent)
	}
	guard, err := lock(parent, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, guard.Close()) }()
	if err := sweep(parent); err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(parent, "run")
	if err != nil {
		return nil, err
	}
	// No other process sweeps while this process holds the guard.
	held, err := lock(path, true)
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return &runDir{path, held}, nil
}

func (f *runDir) remove() error {
	return errors.Join(os.RemoveAll(f.path), f.lock.Close())
}

var runDirName = regexp.MustCompile(`^run[0-9]+$`)

// sweep removes the run directories under parent that no process holds. Everything else stays.
func sweep(parent string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() || !runDirName.MatchString(entry.Name()) {
			continue
		}
		path := filepath.Join(parent, entry.Name())
		abandoned, err := lock(path, false)
		if errors.Is(err, os.ErrNotExist) || err == nil && abandoned == nil {
			continue
		}
		if err != nil {
			return err
		}
		if err := errors.Join(os.RemoveAll(path), abandoned.Close()); err != nil {
			return err
		}
	}
	return nil
}

// lock opens a directory and locks it. It returns nil if another process holds the lock and wait is false.
func lock(dir string, wait bool) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	held := true
	if wait {
		err = filelock.Wait(context.Background(), f, filelock.Exclusive)
	} else {
		held, err = filelock.Try(f, filelock.Exclusive)
	}
	if err != nil || !held {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
