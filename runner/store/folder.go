package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// folder keeps objects as files. gocloud's fileblob would do for reading, but it neither flushes nor locks.
type folder struct {
	root string
	live liveness

	mu     sync.Mutex
	owner  string   // the prefix of this process's files under tmp, "" before the first
	lock   *os.File // tmp/<owner>.lock
	next   int
	claims map[string]*os.File
}

// openFolder sweeps what dead processes left and creates nothing.
func openFolder(root string) (*folder, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	switch info, err := os.Stat(root); {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, syscall.ENOTDIR):
		return nil, invalid("store %s: a part of the path is a file; name a folder, or a URL such as s3://bucket", root)
	case err != nil:
		return nil, explain(err)
	case !info.IsDir():
		return nil, invalid("store %s: is a file; name a folder, or a URL such as s3://bucket", root)
	}
	d := &folder{
		root: root, live: liveness{poll: 200 * time.Millisecond, patience: 2 * time.Minute}, claims: map[string]*os.File{},
	}
	// A store on a read-only disk still serves reads.
	if err := d.sweep(); err != nil && !errors.Is(err, syscall.EROFS) && !errors.Is(err, fs.ErrPermission) {
		return nil, explain(err)
	}
	return d, nil
}

func (d *folder) base() string              { return d.root }
func (d *folder) where(name string) string  { return filepath.Join(d.root, filepath.FromSlash(name)) }
func (d *folder) liveness() liveness        { return d.live }
func (d *folder) local() *folder            { return d }
func (d *folder) temporary(s string) string { return filepath.Join(d.root, "tmp", s) }
func (d *folder) claimPath(n string) string { return filepath.Join(d.root, "leases", n) }
func (d *folder) lockPath(o string) string  { return d.temporary(o + ".lock") }
func (d *folder) parent(name string) string { return filepath.Dir(d.where(name)) }

func (d *folder) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for name, f := range d.claims {
		errs = append(errs, d.remove(context.Background(), "leases/"+name), f.Close())
	}
	clear(d.claims)
	if d.lock != nil {
		left, err := filepath.Glob(d.temporary(d.owner + ".*"))
		errs = append(errs, err)
		for _, path := range left {
			if path != d.lockPath(d.owner) {
				errs = append(errs, os.RemoveAll(path))
			}
		}
		errs = append(errs, d.remove(context.Background(), "tmp/"+d.owner+".lock"), d.lock.Close())
		d.lock, d.owner = nil, ""
	}
	return explain(errors.Join(errs...))
}

func (d *folder) stat(_ context.Context, name string) (int64, error) {
	info, err := os.Stat(d.where(name))
	if err != nil {
		return 0, explain(err)
	}
	return info.Size(), nil
}

func (d *folder) open(_ context.Context, name string) (io.ReadCloser, error) {
	f, err := os.Open(d.where(name))
	if err != nil {
		return nil, explain(err)
	}
	return f, nil
}

func (d *folder) list(ctx context.Context, prefix string) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		err := filepath.WalkDir(d.where(prefix), func(path string, entry fs.DirEntry, err error) error {
			if err == nil {
				err = ctx.Err()
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil // nothing there yet, or removed meanwhile
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
			name, err := filepath.Rel(d.root, path)
			if err != nil {
				return err
			}
			if !yield(object{filepath.ToSlash(name), info.Size()}, nil) {
				return filepath.SkipAll
			}
			return nil
		})
		if err != nil {
			yield(object{}, explain(err))
		}
	}
}

func (d *folder) remove(_ context.Context, name string) error {
	if err := os.Remove(d.where(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return explain(err)
	}
	return nil
}

func (d *folder) write(_ context.Context, name string, data []byte) error {
	f, err := d.temp()
	if err != nil {
		return err
	}
	defer discard(f)
	if _, err := f.Write(data); err != nil {
		return explain(err)
	}
	return d.publish(name, f)
}

func (d *folder) create(_ context.Context, name string, data []byte) error {
	f, err := d.temp()
	if err != nil {
		return err
	}
	defer discard(f)
	if _, err := f.Write(data); err != nil {
		return explain(err)
	}
	return d.place(name, f, os.Link)
}

// temp returns a new file under tmp.
func (d *folder) temp() (*os.File, error) {
	path, err := d.tempName()
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	return f, explain(err)
}

// tempDir returns a new folder under tmp.
func (d *folder) tempDir() (string, error) {
	path, err := d.tempName()
	if err != nil {
		return "", err
	}
	return path, explain(os.Mkdir(path, 0o777))
}

// adopt moves a finished file into place, or copies it there from another file system.
func (d *folder) adopt(_ context.Context, name, digest string, f *os.File) error {
	err := d.publish(name, f)
	if !errors.Is(err, syscall.EXDEV) {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return explain(err)
	}
	near, err := d.temp()
	if err != nil {
		return err
	}
	defer discard(near)
	if _, err := io.Copy(near, unchanged(f, digest)); err != nil {
		return explain(err)
	}
	return d.publish(name, near)
}

// publish flushes a file and renames it into place.
func (d *folder) publish(name string, f *os.File) error { return d.place(name, f, os.Rename) }

// place flushes a file and gives it its name by a rename, or by a link, which leaves what has the name alone.
func (d *folder) place(name string, f *os.File, move func(from, to string) error) error {
	if err := d.mkdir(d.parent(name)); err != nil {
		return explain(err)
	}
	// Artifacts are never edited in place.
	if err := f.Chmod(0o444); err != nil {
		return explain(err)
	}
	if err := f.Sync(); err != nil {
		return explain(err)
	}
	if err := move(f.Name(), d.where(name)); err != nil {
		return explain(err)
	}
	return explain(syncDir(d.parent(name)))
}

// mkdir makes a folder and those above it durable.
func (d *folder) mkdir(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := d.mkdir(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// discard closes and removes a temporary file that may have been renamed away. Its errors do not matter: whatever is left
// under tmp is swept.
func discard(f *os.File) {
	_ = f.Close()
	_ = os.Remove(f.Name())
}

func (d *folder) tempName() (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.lock == nil {
		if err := d.becomeOwner(); err != nil {
			return "", explain(err)
		}
	}
	d.next++
	return d.temporary(d.owner + "." + strconv.Itoa(d.next)), nil
}

// becomeOwner tries to make and lock tmp/<owner>.lock. A sweeper may take the file between its making and its locking;
// then the name is given up and another tried.
func (d *folder) becomeOwner() error {
	if err := d.mkdir(d.temporary("")); err != nil {
		return err
	}
	owner := fmt.Sprintf("%d-%s", os.Getpid(), random())
	path := d.lockPath(owner)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	held, err := tryLock(f, syscall.LOCK_EX)
	if err == nil && held && isAt(f, path) {
		d.owner, d.lock = owner, f
		return nil
	}
	_ = f.Close()
	return err
}

// sweep removes what dead processes left: their files under tmp and their leases.
func (d *folder) sweep() error {
	claims, err := d.claimed(context.Background())
	if err != nil {
		return err
	}
	for _, c := range claims {
		if !c.live {
			if err := d.remove(context.Background(), "leases/"+c.name); err != nil {
				return err
			}
		}
	}
	entries, err := os.ReadDir(d.temporary(""))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	files := map[string][]string{}
	for _, e := range entries {
		owner, _, _ := strings.Cut(e.Name(), ".")
		files[owner] = append(files[owner], d.temporary(e.Name()))
	}
	for owner, paths := range files {
		if err := d.sweepOwner(owner, paths); err != nil {
			return err
		}
	}
	return nil
}

func (d *folder) sweepOwner(owner string, paths []string) error {
	lock, err := os.OpenFile(d.lockPath(owner), os.O_RDWR, 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// A lock is made first and removed last, so files without one have no living owner.
	if err == nil {
		defer lock.Close()
		if dead, err := tryLock(lock, syscall.LOCK_EX); err != nil || !dead {
			return err
		}
	}
	for _, path := range paths {
		if path == d.lockPath(owner) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	if err := os.Remove(d.lockPath(owner)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// tryLock takes a flock without waiting; false if another process has it.
func tryLock(f *os.File, how int) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, &fs.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
	}
}

// isAt says whether path still names the open file.
func isAt(f *os.File, path string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(open, named)
}

// claim publishes a lease whose lock this process holds: the file is locked before it gets its name.
func (d *folder) claim(_ context.Context, name string, data []byte) error {
	if err := d.mkdir(filepath.Dir(d.claimPath(name))); err != nil {
		return explain(err)
	}
	f, err := d.temp()
	if err != nil {
		return err
	}
	locked, err := tryLock(f, syscall.LOCK_EX)
	if err == nil && !locked {
		err = fmt.Errorf("%s: another process locked a new file", f.Name())
	}
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = os.Rename(f.Name(), d.claimPath(name))
	}
	if err != nil {
		discard(f)
		return explain(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.claims[name]; old != nil {
		_ = old.Close()
	}
	d.claims[name] = f
	return nil
}

func (d *folder) unclaim(_ context.Context, name string) error {
	d.mu.Lock()
	f := d.claims[name]
	delete(d.claims, name)
	d.mu.Unlock()
	if err := os.Remove(d.claimPath(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return explain(err)
	}
	if f != nil {
		return f.Close()
	}
	return nil
}

func (d *folder) claimed(context.Context) ([]claim, error) {
	entries, err := os.ReadDir(d.claimPath(""))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(err)
	}
	var claims []claim
	for _, e := range entries {
		c, err := d.probe(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, explain(err)
		}
		claims = append(claims, c)
	}
	return claims, nil
}

// probe reads a lease and finds out whether its owner lives. An owner that renews its lease renames a new locked file over
// the old one, so a file that has lost its name says nothing.
func (d *folder) probe(name string) (claim, error) {
	d.mu.Lock()
	own := d.claims[name] != nil
	d.mu.Unlock()
	path := d.claimPath(name)
	for {
		f, err := os.Open(path)
		if err != nil {
			return claim{}, err
		}
		data, err := io.ReadAll(f)
		dead := false
		if err == nil && !own {
			dead, err = tryLock(f, syscall.LOCK_SH)
		}
		current := isAt(f, path)
		if err := errors.Join(err, f.Close()); err != nil {
			return claim{}, err
		}
		if current {
			return claim{name: name, data: data, live: !dead}, nil
		}
	}
}

// random returns 16 hex digits for names that must not meet.
func random() string {
	var b [8]byte
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return hex.EncodeToString(b[:])
}
