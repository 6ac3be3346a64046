package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

func (d *directory) write(_ context.Context, name string, data []byte) error {
	return d.fill(name, data, (*os.Root).Rename)
}

func (d *directory) create(_ context.Context, name string, data []byte) error {
	return d.fill(name, data, (*os.Root).Link)
}

func (d *directory) fill(name string, data []byte, move func(root *os.Root, from, to string) error) error {
	f, temporary, err := d.temp()
	if err != nil {
		return err
	}
	defer d.discard(f, temporary)
	if _, err := f.Write(data); err != nil {
		return explain(err)
	}
	return d.place(f, temporary, name, move)
}

// temp returns a new file under tmp, and its name.
func (d *directory) temp() (*os.File, string, error) {
	name, err := d.tempName()
	if err != nil {
		return nil, "", err
	}
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	return f, name, explain(err)
}

// tempDir returns the path of a new directory under tmp.
func (d *directory) tempDir() (string, error) {
	name, err := d.tempName()
	if err != nil {
		return "", err
	}
	return d.where(name), explain(d.root.Mkdir(name, 0o777))
}

// adopt moves a finished file of this directory into place, or copies another one.
func (d *directory) adopt(ctx context.Context, name, digest string, f *os.File) error {
	if from, err := filepath.Rel(d.path, f.Name()); err == nil && filepath.IsLocal(from) {
		if err := d.place(f, filepath.ToSlash(from), name, (*os.Root).Rename); err != nil {
			return err
		}
		d.markVerified(name)
		return nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return explain(err)
	}
	return d.receive(ctx, name, unchanged(f, digest))
}

// adoptNew is not used for directories.
func (d *directory) adoptNew(context.Context, string, string, *os.File) error {
	return errors.ErrUnsupported
}

// receive publishes the content of r. Reading r fails if the content does not match its digest.
func (d *directory) receive(ctx context.Context, name string, r io.Reader) error {
	f, temporary, err := d.temp()
	if err != nil {
		return err
	}
	defer d.discard(f, temporary)
	if _, err := io.Copy(f, contextReader{ctx, r}); err != nil {
		return explain(err)
	}
	if err := d.place(f, temporary, name, (*os.Root).Rename); err != nil {
		return err
	}
	d.markVerified(name)
	return nil
}

// quarantine moves a damaged blob to damagedPrefix.
func (d *directory) quarantine(_ context.Context, name string) error {
	root, err := d.at()
	if err != nil {
		return err
	}
	to := damagedPrefix + path.Base(name)
	if err := d.mkdir(path.Dir(to)); err != nil {
		return explain(err)
	}
	if err := root.Rename(name, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return explain(err)
	}
	return explain(d.syncDir(path.Dir(name)))
}

// place flushes a file and gives it its name, by a rename or by a link. A link does not replace an existing file.
func (d *directory) place(f *os.File, from, to string, move func(root *os.Root, from, to string) error) error {
	if err := d.mkdir(path.Dir(to)); err != nil {
		return explain(err)
	}
	// Artifacts are never edited in place.
	if err := f.Chmod(0o444); err != nil {
		return explain(err)
	}
	if err := f.Sync(); err != nil {
		return explain(err)
	}
	if err := move(d.root, from, to); err != nil {
		return explain(err)
	}
	return explain(d.syncDir(path.Dir(to)))
}

// mkdir durably creates a directory within the root, and its parents.
func (d *directory) mkdir(name string) error {
	root, err := d.ensure()
	if err != nil || name == "." {
		return err
	}
	if info, err := root.Lstat(name); err == nil && info.IsDir() {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := d.mkdir(path.Dir(name)); err != nil {
		return err
	}
	if err := root.Mkdir(name, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.syncDir(path.Dir(name))
}

func (d *directory) syncDir(name string) error { return syncIn(d.root, name) }

// makeDirs durably creates a directory and its parents.
func makeDirs(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeDirs(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
