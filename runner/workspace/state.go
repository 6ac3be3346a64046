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
)

// stateMarker is the file that says that a state directory is ours, and of which layout.
const stateMarker = "state.json"

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

// stateNames are all that a state directory holds.
var stateNames = []string{stateMarker, ignoreName, "digests.json", "digests.lock", runsName, reportsName, cacheName, storeName}

// checkLinks refuses a state directory that leads elsewhere: links in a repository are a stranger's. A directory that the user
// named may be a link itself. withStore says that the store is the one within.
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
			return invalid("%s is a link, which may have come with the repository, and is not followed; "+
				"remove it, or name the directory that is meant with --state or --store", path)
		}
	}
	return nil
}

// openState opens the state directory, whose writes then lead nowhere outside of it, and says whether it carries our marker.
// A directory that holds anything else than a state directory does is refused. Where there is none, it is fs.ErrNotExist.
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
	data, err := root.ReadFile(stateMarker)
	if err == nil && len(data) > 0 {
		var m marker
		switch err := json.Unmarshal(data, &m); {
		case err != nil || m.Kind != "state" || m.Layout < 1:
			return false, invalid("state directory %s: its %s is damaged; name another directory with --state. Nothing was changed", root.Name(), stateMarker)
		case m.Layout > stateLayout:
			return false, invalid("state directory %s has layout %d, which a newer runner made; this one knows layout %d: use the newer one, "+
				"or name another directory with --state. Nothing was changed", root.Name(), m.Layout, stateLayout)
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
			return false, invalid("%s is not a state directory: it holds %s and no %s; name an empty or a new directory with --state. Nothing was changed",
				root.Name(), name, stateMarker)
		}
	}
	return false, nil
}

// foreignState says why the state directory cannot be used. That there is none yet is no reason.
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

// ownState opens the state directory and makes it ours first, where that is needed.
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

// ignoreState keeps the state of runs out of the git repository that holds the spec. A run that was killed may have left
// the file empty; what a user put there stays.
func ignoreState(root *os.Root) error {
	if info, err := root.Lstat(ignoreName); err == nil && info.Size() > 0 {
		return nil
	}
	return root.WriteFile(ignoreName, []byte("*\n"), 0o644)
}

// openRegular opens a regular file of a state directory; a link or a pipe is as if it were not there.
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
