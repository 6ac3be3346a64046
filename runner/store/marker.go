package store

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"surprisal.dev/internal/bounded"
)

// markerName is the object that marks a store or a cache and contains the version of its layout.
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
		panic(err) // a number and a string can always be encoded
	}
	return append(data, '\n')
}

// checkMarker checks that a marker allows its place to be used as one of a kind.
func checkMarker(place, kind string, data []byte) error {
	var m marker
	switch err := json.Unmarshal(data, &m); {
	case err != nil || m.Layout < 1:
		return invalid("%s %s: its %s is damaged; restore it from a copy, or use another place. Nothing was changed", kind, place, markerName)
	case m.Layout > layout:
		return invalid("%s %s has layout %d, from a newer runner; this one supports layout %d: use the newer one, or use another place. "+
			"Nothing was changed", kind, place, m.Layout, layout)
	case m.Layout < layout:
		return olderLayout(kind, place)
	case m.Kind != kind:
		return invalid("%s is a %s, not a %s; use another place. Nothing was changed", place, m.Kind, kind)
	}
	return nil
}

func olderLayout(kind, place string) error {
	return invalid("%s %s was made by an older runner, whose results this one cannot use; use another place, or remove it yourself if you "+
		"do not need it. Nothing was changed", kind, place)
}

// firstLayout lists the top-level names of layout 1.
var firstLayout = []string{"actions", "blobs", "leases", "runs", "tags", "tmp"}

// checkForeign returns the error for a place without a marker that is not empty. names are some of its entries.
func checkForeign(place, kind string, names []string) error {
	ours := func(name string) bool { return slices.Contains(firstLayout, name) }
	holdsWork := func(name string) bool { return ours(name) && name != "tmp" && name != "leases" }
	if !slices.ContainsFunc(names, func(name string) bool { return !ours(name) }) && slices.ContainsFunc(names, holdsWork) {
		return olderLayout(kind, place)
	}
	return invalid("%s is not a %s: it contains %s and no %s; use an empty or a new directory. Nothing was changed",
		place, kind, names[0], markerName)
}

// inspect reports whether a directory has the marker. An empty directory does not, which is not an error. The content
// is listed before the marker is read. A process of this program writes the marker before anything else. If the listing
// has entries and the marker is then absent, the directory is not a store, even while another process is creating one.
func (d *directory) inspect(root *os.Root) (marked bool, err error) {
	names, err := topNames(root)
	if err != nil {
		return false, err
	}
	// A process that was killed while it wrote the marker leaves it empty.
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
		return false, invalid("%s %s: its %s is not a regular file; use another place. Nothing was changed", d.kind, d.path, markerName)
	}
	data, err := bounded.ReadFile(root.FS(), markerName, maxSmall)
	if _, tooLarge := errors.AsType[*bounded.TooLargeError](err); err != nil && !tooLarge {
		return false, err
	}
	return true, checkMarker(d.path, d.kind, data)
}

// topNames returns some of the top-level names of a directory, except the marker, sorted.
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

// ensure creates the directory and its marker before the first write, if the directory is absent or empty.
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
	// All processes write the same bytes, so it does not matter which is first.
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

// at returns the directory for reading. If it is absent or has no marker yet, the error is fs.ErrNotExist.
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

// openRoot opens the directory and checks the marker. The caller holds d.mu.
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
