package glob

import (
	"context"
	"errors"
	"io/fs"
	"path"
)

// Files calls fn with the slash-separated name of each file below the root of fsys that the glob matches. A link is
// such a file if its name matches, whatever it leads to. A link to a directory is followed only if no wildcard precedes
// its end in the glob. Entries for which skip returns true, and all below them, do not exist. An error of fsys is a *PathError.
func (g *Glob) Files(ctx context.Context, fsys fs.FS, skip func(name string) bool, fn func(name string) error) error {
	g.files = true
	w := &walk{g: g, ctx: ctx, fsys: fsys, skip: skip, fn: fn}
	g.begin()
	return w.directory(".", g.add(nil, state{g.start, atStart, false}))
}

// PathError is an error of reading a directory or a link; Name is its name below the root.
type PathError struct {
	Name string
	Err  error
}

func (e *PathError) Error() string { return e.Name + ": " + e.Err.Error() }
func (e *PathError) Unwrap() error { return e.Err }

type walk struct {
	g    *Glob
	ctx  context.Context
	fsys fs.FS
	skip func(name string) bool
	fn   func(name string) error
}

// directory visits a directory that led to the states.
func (w *walk) directory(dir string, set states) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	entries, err := fs.ReadDir(w.fsys, dir)
	if err != nil && (!errors.Is(err, fs.ErrNotExist) || dir == ".") {
		return &PathError{dir, err}
	}
	for _, e := range entries {
		if w.skip(e.Name()) {
			continue
		}
		after := w.g.steps(set, e.Name())
		if len(after) == 0 {
			continue
		}
		if err := w.entry(path.Join(dir, e.Name()), e, after); err != nil {
			return err
		}
	}
	return nil
}

// entry visits an entry of a directory whose name led to the states.
func (w *walk) entry(name string, e fs.DirEntry, set states) error {
	isDir := e.IsDir()
	if !isDir && w.g.accepts(set) {
		if err := w.fn(name); err != nil {
			return err
		}
	}
	below := w.g.step(set, '/')
	if e.Type()&fs.ModeSymlink != 0 {
		literal := below[:0]
		for _, x := range below {
			if !x.wild {
				literal = append(literal, x)
			}
		}
		if below = literal; len(below) > 0 {
			info, err := fs.Stat(w.fsys, name)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return &PathError{name, err}
			}
			isDir = err == nil && info.IsDir()
		}
	}
	if !isDir || len(below) == 0 {
		return nil
	}
	return w.directory(name, below)
}
