package workspace

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"surprisal.dev/internal/bounded"
)

// stateMarker is the file that marks a state directory of the runner and records its layout.
const stateMarker = "state.json"

// maxMarker is the maximum size of the marker in bytes.
const maxMarker = 64 << 10

// stateLayout is the version of the layout of state directories.
const stateLayout = 1

type marker struct {
	Layout int    `json:"layout"`
	Kind   string `json:"kind"`
}

// Names in a state directory.
const (
	runsName    = "runs"
	reportsName = "reports"
	cacheName   = "cache"
	storeName   = "store"
	ignoreName  = ".gitignore"
)

// stateNames are the names of all entries of a state directory.
var stateNames = []string{stateMarker, ignoreName, "digests.json", "digests.lock", publishedName, publishedLock, runsName, reportsName, cacheName, storeName}

// checkLinks returns an error if the state directory or an entry is a symbolic link, because links in a repository are
// not trusted. A directory that the user named may itself be a link. withStore reports whether the store is in the
// directory.
func checkLinks(state string, named, withStore bool) error {
	paths := []string{}
	if !named {
		paths = append(paths, state)
	}
	for _, name := range stateNames {
		if name != storeName || withStore {
			paths = append(paths, filepath.Join(state, name))
		}
	}
	for _, path := range paths {
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return invalid("%s is a symbolic link, which may have come with the repository, and is not followed; "+
				"remove it, or pass the target directory with --state or --store", path)
		}
	}
	return nil
}

// openState opens the state directory as a root that writes cannot leave, and reports whether it has our marker. It
// returns an error for a directory with foreign files, and fs.ErrNotExist if there is no directory.
func openState(path string) (_ *os.Root, marked bool, err error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, false, err
	}
	if marked, err = inspectState(root); err != nil {
		return nil, false, errors.Join(err, root.Close())
	}
	return root, marked, nil
}

func inspectState(root *os.Root) (marked bool, err error) {
	data, err := bounded.ReadFile(root.FS(), stateMarker, maxMarker)
	_, tooLarge := errors.AsType[*bounded.TooLargeError](err)
	if err == nil && len(data) > 0 || tooLarge {
		var m marker
		switch err := json.Unmarshal(data, &m); {
		case err != nil || m.Kind != "state" || m.Layout < 1:
			return false, invalid("state directory %s: %s is damaged; pass another directory with --state. Nothing was changed", root.Name(), stateMarker)
		case m.Layout > stateLayout:
			return false, invalid("state directory %s has layout %d of a newer runner; this one supports layout %d: use the newer runner, "+
				"or pass another directory with --state. Nothing was changed", root.Name(), m.Layout, stateLayout)
		}
		return true, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	top, err := root.Open(".")
	if err != nil {
		return false, err
	}
	names, err := top.Readdirnames(len(stateNames) + 1)
	if err := top.Close(); err != nil {
		return false, err
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	for _, name := range names {
		if !slices.Contains(stateNames, name) {
			return false, invalid("%s is not a state directory: it contains %s but not %s; pass an empty or new directory with --state. Nothing was changed",
				root.Name(), name, stateMarker)
		}
	}
	return false, nil
}

// foreignState returns an error if the state directory exists and cannot be used.
func (w *Workspace) foreignState() error {
	root, _, err := openState(w.state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return root.Close()
}

// ownState opens the state directory. It creates and marks the directory first if needed.
func (w *Workspace) ownState() (*os.Root, error) {
	if err := os.MkdirAll(w.state, 0o755); err != nil {
		return nil, err
	}
	root, marked, err := openState(w.state)
	if err != nil || marked {
		return root, err
	}
	data, err := json.Marshal(marker{stateLayout, "state"})
	if err == nil {
		err = root.WriteFile(stateMarker, append(data, '\n'), 0o644)
	}
	if err == nil {
		err = ignoreState(root)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("state directory %s: %w", w.state, err), root.Close())
	}
	return root, nil
}

// ignoreState makes git ignore the state directory. A killed run may have left an empty file; content from a user
// stays.
func ignoreState(root *os.Root) error {
	if info, err := root.Lstat(ignoreName); err == nil && info.Size() > 0 {
		return nil
	}
	return root.WriteFile(ignoreName, []byte("*\n"), 0o644)
}

// openRegular opens a regular file of a state directory. It returns fs.ErrNotExist for links, pipes and the like.
func openRegular(root *os.Root, name string) (*os.File, error) {
	info, err := root.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: filepath.Join(root.Name(), name), Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, err
	}
	return root.Open(name)
}
