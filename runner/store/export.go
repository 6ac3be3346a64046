package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"

	"surprisal.dev/internal/bounded"
	"surprisal.dev/internal/filelock"
	"surprisal.dev/plugins/protocol"
)

// Sidecar is the name of the file in an exported artifact that contains its record.
const Sidecar = ".artifact"

// Export writes a record's outputs and the record itself, as the file .artifact, to dir, whole or not at all. dir must
// be absent or empty.
func (s *Store) Export(ctx context.Context, r *Record, dir string) error {
	err := s.exportNew(ctx, r, dir)
	if err != nil {
		return fmt.Errorf("export %s to %s: %w", protocol.Visible(r.Name), dir, explain(err))
	}
	return nil
}

func (s *Store) exportNew(ctx context.Context, r *Record, dir string) (err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	x := &export{s: s, r: r, root: root, name: filepath.Base(dir)}
	return x.do(ctx)
}

// ExportTo is Export to the directory name, a relative path with slashes, within root. No link leads outside of root.
// ExportTo replaces the artifact of an earlier ExportTo, unless a file was changed or added.
func (s *Store) ExportTo(ctx context.Context, r *Record, root *os.Root, name string) error {
	x := &export{s: s, r: r, root: root, name: name, replaces: true}
	if err := x.do(ctx); err != nil {
		return fmt.Errorf("export %s to %s: %w", protocol.Visible(r.Name), filepath.Join(root.Name(), filepath.FromSlash(name)), explain(err))
	}
	return nil
}

type export struct {
	s        *Store
	r        *Record
	root     *os.Root
	name     string
	replaces bool
}

func (x *export) do(ctx context.Context) (err error) {
	if err := x.r.checkOutputs(); err != nil {
		return err
	}
	if !fs.ValidPath(x.name) || x.name == "." {
		return invalid("%q is not a relative path with slashes", x.name)
	}
	if err := x.makeParents(); err != nil {
		return err
	}
	base := "." + path.Base(x.name)
	lock, err := filelock.Acquire(ctx, x.root, path.Join(path.Dir(x.name), base+".lock"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	old, err := x.inspect(ctx)
	if err != nil {
		return err
	}
	if old != nil && old.Key == x.r.Key && len(old.Differs(x.r)) == 0 && x.whole(old) {
		return nil
	}
	if err := x.sweep(base); err != nil {
		return err
	}
	partial := path.Join(path.Dir(x.name), base+"."+random()+".partial")
	if err := x.fill(ctx, partial); err != nil {
		return errors.Join(err, x.root.RemoveAll(partial))
	}
	if err := x.removeOld(old); err != nil {
		return errors.Join(err, x.root.RemoveAll(partial))
	}
	if err := x.root.Rename(partial, x.name); err != nil {
		return errors.Join(err, x.root.RemoveAll(partial))
	}
	return syncIn(x.root, path.Dir(x.name))
}

// makeParents makes the directories above the artifact. None of them may be an artifact itself.
func (x *export) makeParents() error {
	for dir := path.Dir(x.name); x.replaces && dir != "."; dir = path.Dir(dir) {
		_, err := x.root.Lstat(path.Join(dir, Sidecar))
		if err == nil {
			return invalid("it would be inside %s, which is another artifact; choose other names", dir)
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return err
		}
	}
	return x.root.MkdirAll(path.Dir(x.name), 0o777)
}

// inspect returns the artifact in the directory, or nil if there is none. It rejects anything that an export did not
// write.
func (x *export) inspect(ctx context.Context) (*Record, error) {
	info, err := x.root.Lstat(x.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, invalid("it is a file or a link; remove it or name another directory")
	}
	files, dirs, err := tree(x.root, x.name)
	if err != nil || len(files)+len(dirs) == 0 {
		return nil, err
	}
	if !x.replaces {
		return nil, invalid("it is not empty; remove it or name another directory")
	}
	old, err := ExportedIn(x.root, x.name)
	if err != nil {
		return nil, invalid("it is not empty and contains no artifact (%v); move its content away", err)
	}
	return old, x.checkOurs(ctx, old, files, dirs)
}

// checkOurs fails if a directory contains anything that the export of a record did not write.
func (x *export) checkOurs(ctx context.Context, old *Record, files, dirs []string) error {
	digests := map[string]string{}
	above := map[string]bool{}
	for _, f := range old.Outputs {
		digests[f.Name] = f.Digest
		for dir := path.Dir(f.Name); dir != "."; dir = path.Dir(dir) {
			above[dir] = true
		}
	}
	for _, dir := range dirs {
		if !above[dir] {
			return invalid("it contains the directory %s, which is not part of the artifact; move it away", dir)
		}
	}
	for _, name := range files {
		if name == Sidecar {
			continue
		}
		digest, ok := digests[name]
		if !ok {
			return invalid("it contains %s, which is not part of the artifact; move it away", name)
		}
		if got, err := hashIn(ctx, x.root, path.Join(x.name, name)); err != nil {
			return err
		} else if got != digest {
			return invalid("its file %s was changed; move it away", name)
		}
	}
	return nil
}

// whole reports whether all files of an artifact exist.
func (x *export) whole(r *Record) bool {
	return !slices.ContainsFunc(r.Outputs, func(f File) bool {
		_, err := x.root.Lstat(path.Join(x.name, f.Name))
		return err != nil
	})
}

// sweep removes the partial directories of killed exports. This export holds the lock, so no other is in progress.
func (x *export) sweep(base string) error {
	left := regexp.MustCompile(`^` + regexp.QuoteMeta(base) + `\.[0-9a-f]{16}\.partial$`)
	dir, err := x.root.Open(path.Dir(x.name))
	if err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return err
	}
	for _, name := range names {
		if left.MatchString(name) {
			if err := x.root.RemoveAll(path.Join(path.Dir(x.name), name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeOld removes the files of an artifact that was inspected. The sidecar goes last, so that a partly removed
// directory can still be identified.
func (x *export) removeOld(old *Record) error {
	if old != nil {
		for _, f := range append(slices.Clone(old.Outputs), File{Name: Sidecar}) {
			if err := removeOne(x.root, path.Join(x.name, f.Name)); err != nil {
				return err
			}
		}
		_, dirs, err := tree(x.root, x.name)
		if err != nil {
			return err
		}
		for _, dir := range slices.Backward(dirs) {
			if err := removeOne(x.root, path.Join(x.name, dir)); err != nil {
				return err
			}
		}
	}
	return removeOne(x.root, x.name)
}

// fill writes the artifact to a new directory.
func (x *export) fill(ctx context.Context, dir string) error {
	if err := x.root.Mkdir(dir, 0o777); err != nil {
		return err
	}
	for _, f := range x.r.Outputs {
		r, err := x.s.Open(ctx, f.Digest)
		if err != nil {
			return err
		}
		if err := errors.Join(writeIn(x.root, path.Join(dir, f.Name), contextReader{ctx, r}), r.Close()); err != nil {
			return err
		}
	}
	record, err := x.r.SidecarJSON()
	if err != nil {
		return err
	}
	if err := writeIn(x.root, path.Join(dir, Sidecar), bytes.NewReader(record)); err != nil {
		return err
	}
	return syncIn(x.root, dir)
}

// SidecarJSON returns the content of the file .artifact. Its strings control neither a terminal nor a CI system. Therefore
// the descriptor in it may not be canonical JSON.
func (r *Record) SidecarJSON() ([]byte, error) {
	record, err := encode(r)
	if err != nil {
		return nil, err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, record, "", "  "); err != nil {
		return nil, err
	}
	return protocol.VisibleJSON(pretty.Bytes()), nil
}

// Exported returns the record of the artifact that Export wrote to dir. If there is none, the error is fs.ErrNotExist.
func Exported(dir string) (_ *Record, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return ExportedIn(root, ".")
}

// ExportedIn is Exported for a directory within root, a relative path with slashes.
func ExportedIn(root *os.Root, dir string) (*Record, error) {
	name := path.Join(dir, Sidecar)
	data, err := bounded.ReadFile(root.FS(), name, maxSidecar)
	if _, tooLarge := errors.AsType[*bounded.TooLargeError](err); tooLarge {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err != nil {
		return nil, err
	}
	r := new(Record)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := r.checkOutputs(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// tree lists the content of a directory recursively, relative to it: files, and directories with parents first.
func tree(root *os.Root, dir string) (files, dirs []string, err error) {
	err = fs.WalkDir(root.FS(), dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		rel := name[len(dir)+1:]
		if entry.IsDir() {
			dirs = append(dirs, rel)
		} else {
			files = append(files, rel)
		}
		return nil
	})
	return files, dirs, err
}

// hashIn returns the digest of a regular file, or "" for anything else.
func hashIn(ctx context.Context, root *os.Root, name string) (_ string, err error) {
	if info, err := root.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return "", err
	}
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := newHash()
	if _, err := io.Copy(h, contextReader{ctx, f}); err != nil {
		return "", err
	}
	return digestOf(h), nil
}

func writeIn(root *os.Root, name string, r io.Reader) error {
	if err := root.MkdirAll(path.Dir(name), 0o777); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncIn(root *os.Root, dir string) error {
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
