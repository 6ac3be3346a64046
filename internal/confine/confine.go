// Package confine opens files within a directory: those that a spec names, under --confine.
//
// A file may be replaced by a link at any time. So a file is not opened by the path that was checked: it is opened
// through an os.Root of the directory, which does not follow a link out of it.
package confine

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Check returns an error if a file is outside of directory dir after all links are followed. A relative path starts in
// dir. A file that does not exist is where its nearest existing parent directory is.
func Check(dir, file string) error {
	_, _, err := locate(dir, file)
	return err
}

// locate returns the real path of dir, and the path of file relative to it, without links.
func locate(dir, file string) (root, name string, err error) {
	root, err = filepath.Abs(dir)
	if err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	if err != nil {
		return "", "", fmt.Errorf("cannot read the directory %s of --confine: %w", dir, err)
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(root, file)
	}
	real, err := resolved(filepath.Clean(file))
	if err != nil {
		return "", "", fmt.Errorf("cannot determine whether %s is in the directory %s of --confine: %w", file, root, err)
	}
	if !Within(root, real) {
		if real != file {
			file = fmt.Sprintf("%s, a link to %s,", file, real)
		}
		return "", "", fmt.Errorf("%s is outside of the directory %s of --confine", file, root)
	}
	name, err = filepath.Rel(root, real)
	return root, name, err
}

// resolved follows all links in a path. The end of the path may not exist.
func resolved(file string) (string, error) {
	real, err := filepath.EvalSymlinks(file)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	dir := filepath.Dir(file)
	if dir == file {
		return file, nil
	}
	if dir, err = resolved(dir); err != nil {
		return "", err
	}
	// The file may be a link to a file that does not exist.
	target, linkErr := os.Readlink(filepath.Join(dir, filepath.Base(file)))
	switch {
	case linkErr != nil:
		return filepath.Join(dir, filepath.Base(file)), nil //nolint:nilerr // It is not a link.
	case !filepath.IsAbs(target):
		target = filepath.Join(dir, target)
	}
	return resolved(target)
}

// Within reports whether a path is dir or is below it. Both are absolute and clean.
func Within(dir, file string) bool {
	return file == dir || strings.HasPrefix(file, strings.TrimSuffix(dir, string(filepath.Separator))+string(filepath.Separator))
}

// IrregularError is the error of a file that is a directory, a device or a pipe.
type IrregularError struct{ Mode fs.FileMode }

func (e *IrregularError) Error() string { return fmt.Sprintf("it is not a regular file (%s)", e.Mode) }

// Open opens a regular file in dir for reading, as Check understands it; if dir is "", the file may be anywhere. It does
// not wait for the other end of a pipe.
func Open(dir, file string) (f *os.File, err error) {
	err = inside(dir, file, func(o opener, name string) error {
		info, err := o.Stat(name)
		if err == nil && !info.Mode().IsRegular() {
			return &IrregularError{info.Mode()}
		}
		if err == nil {
			f, err = o.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		}
		if err != nil {
			return err
		}
		// It may be another file than before.
		if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
			err = &IrregularError{info.Mode()}
		}
		if err != nil {
			return errors.Join(err, f.Close())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Stat describes a file in dir after following links, or a file anywhere if dir is "".
func Stat(dir, file string) (info fs.FileInfo, err error) {
	err = inside(dir, file, func(o opener, name string) error {
		info, err = o.Stat(name)
		return err
	})
	return info, err
}

// ReadDir lists a directory in dir, sorted by name, or a directory anywhere if dir is "".
func ReadDir(dir, directory string) (entries []fs.DirEntry, err error) {
	err = inside(dir, directory, func(o opener, name string) error {
		f, err := o.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		entries, err = f.ReadDir(-1)
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
		return errors.Join(err, f.Close())
	})
	return entries, err
}

// FS returns the files below base, an absolute path, that are in dir; without dir, all of them.
func FS(dir, base string) fs.FS { return files{dir, base} }

type files struct{ dir, base string }

func (f files) path(name string) string { return filepath.Join(f.base, filepath.FromSlash(name)) }

func (f files) Open(name string) (fs.File, error)          { return Open(f.dir, f.path(name)) }
func (f files) Stat(name string) (fs.FileInfo, error)      { return Stat(f.dir, f.path(name)) }
func (f files) ReadDir(name string) ([]fs.DirEntry, error) { return ReadDir(f.dir, f.path(name)) }

// opener is an *os.Root, or the whole file system.
type opener interface {
	OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error)
	Stat(name string) (fs.FileInfo, error)
}

type anywhere struct{}

func (anywhere) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag, perm)
}
func (anywhere) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

// inside calls fn with the root of dir and the path of the file in it.
func inside(dir, file string, fn func(o opener, name string) error) (err error) {
	if dir == "" {
		return fn(anywhere{}, file)
	}
	root, name, err := locate(dir, file)
	if err != nil {
		return err
	}
	return openInside(root, name, file, fn)
}

// openInside is the second step of inside: the file may have been replaced by a link.
func openInside(root, name, file string, fn func(o opener, name string) error) (err error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := fn(r, name); err != nil {
		if outside := Check(root, file); outside != nil {
			return outside
		}
		return err
	}
	return nil
}
