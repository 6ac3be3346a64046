package store

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// directory stores objects as files. gocloud's fileblob would suffice for reading, but it neither flushes nor locks.
// All access is through an os.Root, so that no link within the directory leads outside.
type directory struct {
	path string
	kind string
	live liveness

	mu     sync.Mutex
	root   *os.Root // nil until the directory exists
	marked bool     // it has the marker
	owner  string   // the prefix of this process's files under tmp, "" before the first file
	lock   *os.File // tmp/<owner>.lock
	next   int
	users  *os.File // the lock of a cache's users
	claims map[string]*os.File
	// verified holds the identities of files whose content was compared with their digest.
	verified map[string]identity
}

// identity distinguishes a file from one that replaced it or was modified.
type identity struct {
	inode      uint64
	size, time int64
}

func identityOf(info fs.FileInfo) identity {
	id := identity{size: info.Size(), time: info.ModTime().UnixNano()}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		id.inode = s.Ino
	}
	return id
}

// openDirectory opens a store or a cache. It sweeps the files of dead processes, rejects a directory with other
// content, and creates nothing.
func openDirectory(root, kind string) (*directory, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	switch info, err := os.Stat(root); {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, syscall.ENOTDIR):
		return nil, invalid("%s %s: a part of the path is a file; use a directory, or a URL such as s3://bucket", kind, root)
	case err != nil:
		return nil, explain(err)
	case !info.IsDir():
		return nil, invalid("%s %s: is a file; use a directory, or a URL such as s3://bucket", kind, root)
	}
	d := &directory{
		path: root, kind: kind, live: liveness{poll: 200 * time.Millisecond, idle: 6 * time.Second, patience: 2 * time.Minute}, claims: map[string]*os.File{},
		verified: map[string]identity{},
	}
	_, err = d.at()
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err == nil {
		err = d.sweep()
	}
	// A store on a read-only disk can still be read.
	if err != nil && !errors.Is(err, syscall.EROFS) && !errors.Is(err, fs.ErrPermission) {
		return nil, errors.Join(explain(err), d.close())
	}
	return d, nil
}

func (d *directory) base() string             { return d.path }
func (d *directory) where(name string) string { return filepath.Join(d.path, filepath.FromSlash(name)) }
func (d *directory) liveness() liveness       { return d.live }
func (d *directory) local() *directory        { return d }

func (d *directory) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for name, f := range d.claims {
		errs = append(errs, removeOne(d.root, name), f.Close())
	}
	clear(d.claims)
	if d.lock != nil {
		errs = append(errs, d.removeOwned(d.owner), removeOne(d.root, lockName(d.owner)), d.lock.Close())
		d.lock, d.owner = nil, ""
	}
	if d.users != nil {
		errs = append(errs, d.users.Close())
		d.users = nil
	}
	if d.root != nil {
		errs = append(errs, d.root.Close())
		d.root, d.marked = nil, false
	}
	return explain(errors.Join(errs...))
}

// lstat returns the FileInfo of a file, which must be a regular file.
func (d *directory) lstat(name string) (fs.FileInfo, error) {
	root, err := d.at()
	if err != nil {
		return nil, err
	}
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &fs.PathError{Op: "open", Path: d.where(name), Err: syscall.ENOENT}
	}
	if err != nil {
		return nil, explain(err)
	}
	if !info.Mode().IsRegular() {
		return nil, &damage{d.where(name), "it is not a regular file"}
	}
	return info, nil
}

func (d *directory) stat(_ context.Context, name string) (int64, error) {
	info, err := d.lstat(name)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (d *directory) open(_ context.Context, name string) (io.ReadCloser, error) {
	f, err := d.file(name)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (d *directory) file(name string) (*os.File, error) {
	if _, err := d.lstat(name); err != nil {
		return nil, err
	}
	root, err := d.at()
	if err != nil {
		return nil, err
	}
	f, err := root.Open(name)
	return f, explain(err)
}

func (d *directory) list(ctx context.Context, prefix string) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		root, err := d.at()
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(object{}, err)
			return
		}
		err = fs.WalkDir(root.FS(), strings.TrimSuffix(prefix, "/"), func(name string, entry fs.DirEntry, err error) error {
			if err == nil {
				err = ctx.Err()
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil // not created yet, or removed meanwhile
			}
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if !yield(object{name, info.Size()}, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield(object{}, explain(err))
		}
	}
}

func (d *directory) children(_ context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		names, err := d.names(strings.TrimSuffix(prefix, "/"))
		if err != nil {
			yield("", err)
			return
		}
		for _, name := range names {
			if !yield(name, nil) {
				return
			}
		}
	}
}

func (d *directory) remove(_ context.Context, name string) error {
	root, err := d.at()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return explain(removeOne(root, name))
}

func removeOne(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// prune removes a directory if it is empty.
func (d *directory) prune(name string) error {
	if err := d.remove(context.Background(), name); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
		return err
	}
	return nil
}

// markVerified records that a file was just published with the content of its digest.
func (d *directory) markVerified(name string) {
	if info, err := d.lstat(name); err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.verified[name] = identityOf(info)
	}
}

// check compares a file with its digest, once as long as the file is unchanged.
func (d *directory) check(ctx context.Context, name, digest string) error {
	info, err := d.lstat(name)
	if err != nil {
		return err
	}
	d.mu.Lock()
	known, ok := d.verified[name]
	d.mu.Unlock()
	if ok && known == identityOf(info) {
		return nil
	}
	f, err := d.file(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return explain(err)
	}
	h := newHash()
	if _, err := io.Copy(h, contextReader{ctx, f}); err != nil {
		return explain(err)
	}
	if got := digestOf(h); got != digest {
		return &damage{d.where(name), "its content is " + got}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.verified[name] = identityOf(info)
	return nil
}

// names lists a directory within the root, which may be absent.
func (d *directory) names(name string) ([]string, error) {
	root, err := d.at()
	if err != nil {
		return nil, ignoreMissing(err)
	}
	if _, err := root.Lstat(name); err != nil {
		return nil, ignoreMissing(explain(err))
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, ignoreMissing(explain(err))
	}
	names, err := f.Readdirnames(-1)
	return names, explain(errors.Join(err, f.Close()))
}

// ignoreMissing returns err, or nil if err is fs.ErrNotExist.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// random returns 16 hex digits for unique names.
func random() string {
	var b [8]byte
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return hex.EncodeToString(b[:])
}
