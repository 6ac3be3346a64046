package store

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
)

// markerName is the object that says that a place is ours, and of which layout.
const markerName = "store.json"

// layout is the version of the layout that this package reads and writes. Version 1 had no marker.
const layout = 2

// Kinds of places.
const (
	kindStore = "store"
	kindCache = "cache"
)

type marker struct {
	Layout int    `json:"layout"`
	Kind   string `json:"kind"`
}

func markerOf(kind string) []byte {
	data, err := json.Marshal(marker{layout, kind})
	if err != nil {
		panic(err) // it holds a number and a string
	}
	return append(data, '\n')
}

// checkMarker says why the place of a marker cannot be used as one of a kind.
func checkMarker(place, kind string, data []byte) error {
	var m marker
	switch err := json.Unmarshal(data, &m); {
	case err != nil || m.Layout < 1:
		return invalid("%s %s: its %s is damaged; restore it from a copy, or name another place. Nothing was changed", kind, place, markerName)
	case m.Layout > layout:
		return invalid("%s %s has layout %d, which a newer runner made; this one knows layout %d: use the newer one, or name another place. "+
			"Nothing was changed", kind, place, m.Layout, layout)
	case m.Layout < layout:
		return olderLayout(kind, place)
	case m.Kind != kind:
		return invalid("%s holds a %s, not a %s; name another place. Nothing was changed", place, m.Kind, kind)
	}
	return nil
}

func olderLayout(kind, place string) error {
	return invalid("%s %s was made by an older runner, whose results this one cannot use; name another place, or remove it yourself if you "+
		"need none of it. Nothing was changed", kind, place)
}

// firstLayout are the names at the top of a place of layout 1.
var firstLayout = []string{"actions", "blobs", "leases", "runs", "tags", "tmp"}

// checkForeign says why a place cannot be used that holds things, of which some are called names, and no marker.
func checkForeign(place, kind string, names []string) error {
	ours := func(name string) bool { return slices.Contains(firstLayout, name) }
	holdsWork := func(name string) bool { return ours(name) && name != "tmp" && name != "leases" }
	if !slices.ContainsFunc(names, func(name string) bool { return !ours(name) }) && slices.ContainsFunc(names, holdsWork) {
		return olderLayout(kind, place)
	}
	return invalid("%s is not a %s: it holds %s and no %s; name an empty or a new directory. Nothing was changed",
		place, kind, names[0], markerName)
}

// inspect reports whether a directory carries our marker. One that is empty does not, and is no error. What the directory
// holds is read before the marker: whatever a process of ours puts there is preceded by the marker, so a name without a
// marker after it is not ours, even while another process makes the place.
func (d *directory) inspect(root *os.Root) (marked bool, err error) {
	names, err := topNames(root)
	if err != nil {
		return false, err
	}
	// A process that was killed while it made the marker leaves it empty.
	info, err := root.Lstat(markerName)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return false, err
	case err != nil || info.Size() == 0:
		if len(names) == 0 {
			return false, nil
		}
		return false, checkForeign(d.path, d.kind, names)
	case !info.Mode().IsRegular():
		return false, invalid("%s %s: its %s is not a regular file; name another place. Nothing was changed", d.kind, d.path, markerName)
	}
	data, err := root.ReadFile(markerName)
	if err != nil {
		return false, err
	}
	return true, checkMarker(d.path, d.kind, data)
}

// topNames returns some of what is at the top of a directory besides a marker, sorted.
func topNames(root *os.Root) ([]string, error) {
	top, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer top.Close()
	names, err := top.Readdirnames(100)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == markerName })
	slices.Sort(names)
	return names, nil
}

// ensure makes the directory ours before the first write: an absent or empty one gets the marker.
func (d *directory) ensure() (*os.Root, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.marked {
		return d.root, nil
	}
	if err := makeDirs(d.path); err != nil {
		return nil, explain(err)
	}
	root, err := d.openRoot()
	if err != nil {
		return nil, err
	}
	if d.marked {
		return root, nil
	}
	// All who make a marker write the same bytes, so it does not matter who is first.
	f, err := root.OpenFile(markerName, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return nil, explain(err)
	}
	_, err = f.Write(markerOf(d.kind))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, explain(err)
	}
	if err := d.syncDir("."); err != nil {
		return nil, explain(err)
	}
	d.marked = true
	return root, nil
}

// at returns the directory for reading. Where it is not there, or not ours yet, the error is fs.ErrNotExist.
func (d *directory) at() (*os.Root, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.marked {
		return d.root, nil
	}
	root, err := d.openRoot()
	if err == nil && !d.marked {
		err = &fs.PathError{Op: "open", Path: d.path, Err: fs.ErrNotExist}
	}
	return root, err
}

// openRoot opens the directory and looks for the marker. The caller holds d.mu.
func (d *directory) openRoot() (_ *os.Root, err error) {
	if d.root == nil {
		if d.root, err = os.OpenRoot(d.path); err != nil {
			return nil, explain(err)
		}
	}
	if d.marked, err = d.inspect(d.root); err != nil {
		return nil, explain(err)
	}
	return d.root, nil
}
