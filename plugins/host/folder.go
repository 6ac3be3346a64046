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

// maxSocketPath is what the shortest of the systems we run on allows for a socket's path.
const maxSocketPath = 103

// socketSuffix is the longest that go-plugin appends to the folder it is given.
const socketSuffix = "/plugin-dir4294967295/plugin4294967295"

// runFolder holds the sockets and temporary files of one host's plugins. Its lock is held until the process ends, however
// it ends, so that the next host can tell an abandoned folder.
type runFolder struct {
	path string
	lock *os.File
}

// newRunFolder makes a folder under dir, or under the system's temporary folder where dir's path is too long for a
// socket. It removes the folders that killed hosts have left there.
func newRunFolder(dir string) (*runFolder, error) {
	var parent string
	for _, dir := range []string{dir, os.TempDir()} {
		if dir == "" {
			continue
		}
		dir, err := filepath.Abs(dir)
		if err != nil {
			return nil, fmt.Errorf("folder for plugins: %w", err)
		}
		parent = filepath.Join(dir, fmt.Sprintf("runner-plugins-%d", os.Getuid()))
		if len(parent)+len("/run4294967295")+len(socketSuffix) <= maxSocketPath {
			break
		}
		parent = ""
	}
	if parent == "" {
		return nil, fmt.Errorf("folder for plugins: the path of the temporary folder %s is too long for a socket; "+
			"set TMPDIR to a shorter one", os.TempDir())
	}
	f, err := makeRunFolder(parent)
	if err != nil {
		return nil, fmt.Errorf("folder for plugins: %w", err)
	}
	return f, nil
}

func makeRunFolder(parent string) (_ *runFolder, err error) {
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, err
	}
	// In a temporary folder that others can write to, someone else may have made it first.
	info, err := os.Lstat(parent)
	if err != nil {
		return nil, err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || int(owner.Uid) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s is not a folder that only you can open; remove it", parent)
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
	// No other process sweeps while this one holds the guard.
	held, err := lock(path, true)
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return &runFolder{path, held}, nil
}

func (f *runFolder) remove() error {
	return errors.Join(os.RemoveAll(f.path), f.lock.Close())
}

var runFolderName = regexp.MustCompile(`^run[0-9]+$`)

// sweep removes the run folders under parent that no process holds. All else stays.
func sweep(parent string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() || !runFolderName.MatchString(entry.Name()) {
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
