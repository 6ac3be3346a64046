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
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"surprisal.dev/internal/filelock"
)

// directory keeps objects as files. gocloud's fileblob would do for reading, but it neither flushes nor locks. All access is
// through an os.Root, so that a link within it leads nowhere outside.
type directory struct {
	path string
	kind string
	live liveness

	mu     sync.Mutex
	root   *os.Root // nil until there is a directory
	marked bool     // it carries our marker
	owner  string   // the prefix of this process's files under tmp, "" before the first
	lock   *os.File // tmp/<owner>.lock
	next   int
	users  *os.File // the lock of a cache's users
	claims map[string]*os.File
	// verified are the files whose content was compared with their digest, as they were then.
	verified map[string]identity
}

// identity tells a file from one that took its place or was written to.
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

// openDirectory opens a store or a cache. It sweeps what dead processes left, refuses what is not ours, and creates nothing.
func openDirectory(root, kind string) (*directory, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	switch info, err := os.Stat(root); {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, syscall.ENOTDIR):
		return nil, invalid("%s %s: a part of the path is a file; name a directory, or a URL such as s3://bucket", kind, root)
	case err != nil:
		return nil, explain(err)
	case !info.IsDir():
		return nil, invalid("%s %s: is a file; name a directory, or a URL such as s3://bucket", kind, root)
	}
	d := &directory{
		path: root, kind: kind, live: liveness{poll: 200 * time.Millisecond, idle: 4 * time.Second, patience: 2 * time.Minute}, claims: map[string]*os.File{},
		verified: map[string]identity{},
	}
	_, err = d.at()
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err == nil {
		err = d.sweep()
	}
	// A store on a read-only disk still serves reads.
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

// lstat looks at a file, which must be a regular one.
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
		d.trust(name)
		return nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return explain(err)
	}
	return d.receive(ctx, name, unchanged(f, digest))
}

// adoptNew is never called.
func (d *directory) adoptNew(context.Context, string, string, *os.File) error {
	return errors.ErrUnsupported
}

// receive publishes what r gives, whose errors say that it is not what it should be.
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
	d.trust(name)
	return nil
}

// trust remembers that a file was just published with the content of its digest.
func (d *directory) trust(name string) {
	if info, err := d.lstat(name); err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.verified[name] = identityOf(info)
	}
}

// check compares a file with its digest, once as long as it is the same file.
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

// setAside moves a damaged blob away from where it would count as one.
func (d *directory) setAside(_ context.Context, name string) error {
	root, err := d.at()
	if err != nil {
		return err
	}
	aside := damagedPrefix + path.Base(name)
	if err := d.mkdir(path.Dir(aside)); err != nil {
		return explain(err)
	}
	if err := root.Rename(name, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return explain(err)
	}
	return explain(d.syncDir(path.Dir(name)))
}

// place flushes a file and gives it its name: by a rename, or by a link, which leaves alone what has the name.
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

// mkdir makes a directory within the root, and those above it, durable.
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

// makeDirs makes a directory and those above it durable.
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

// discard closes and removes a temporary file that may have been renamed away. Its errors do not matter: whatever is left
// under tmp is swept.
func (d *directory) discard(f *os.File, name string) {
	_ = f.Close()
	_ = d.root.Remove(name)
}

func lockName(owner string) string { return "tmp/" + owner + ".lock" }

func (d *directory) tempName() (string, error) {
	if err := d.mkdir("tmp"); err != nil {
		return "", explain(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.lock == nil {
		if err := d.becomeOwner(); err != nil {
			return "", explain(err)
		}
	}
	d.next++
	return "tmp/" + d.owner + "." + strconv.Itoa(d.next), nil
}

// becomeOwner tries to make and lock tmp/<owner>.lock. A sweeper may take the file between its making and its locking;
// then the name is given up and another tried.
func (d *directory) becomeOwner() error {
	owner := fmt.Sprintf("%d-%s", os.Getpid(), random())
	f, err := d.root.OpenFile(lockName(owner), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	held, err := filelock.Try(f, filelock.Exclusive)
	if err == nil && held && filelock.IsAt(f, d.root, lockName(owner)) {
		d.owner, d.lock = owner, f
		return nil
	}
	return errors.Join(err, f.Close())
}

// Names that only this package makes: nothing else is swept.
var (
	ownerLock = regexp.MustCompile(`^([0-9]+-[0-9a-f]{16})\.lock$`)
	ownedFile = regexp.MustCompile(`^([0-9]+-[0-9a-f]{16})\.[0-9]+$`)
)

// sweep removes what dead processes left: their files under tmp, their leases and the files that they locked.
func (d *directory) sweep() error {
	ctx := context.Background()
	for _, prefix := range []string{writers, collectors} {
		claims, err := d.claimed(ctx, prefix)
		if err != nil {
			return err
		}
		for _, c := range claims {
			if !c.live {
				if err := d.remove(ctx, c.name); err != nil {
					return err
				}
			}
		}
	}
	names, err := d.names("tmp")
	if err != nil {
		return err
	}
	for _, name := range names {
		if m := ownerLock.FindStringSubmatch(name); m != nil {
			if err := d.sweepOwner(m[1]); err != nil {
				return err
			}
		}
	}
	return d.sweepLocks()
}

// names lists a directory within the root that may not be there.
func (d *directory) names(name string) ([]string, error) {
	root, err := d.at()
	if err != nil {
		return nil, noError(err)
	}
	if _, err := root.Lstat(name); err != nil {
		return nil, noError(explain(err))
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, noError(explain(err))
	}
	names, err := f.Readdirnames(-1)
	return names, explain(errors.Join(err, f.Close()))
}

// noError passes over that something is not there.
func noError(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sweepOwner removes the files of an owner that does not live. An owner makes its lock before its first file and holds it as
// long as it lives, and a sweep removes the lock last, so files without a lock are not of this package's making.
func (d *directory) sweepOwner(owner string) error {
	lock, err := d.root.OpenFile(lockName(owner), os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return noError(err)
	}
	defer lock.Close()
	if dead, err := filelock.Try(lock, filelock.Exclusive); err != nil || !dead {
		return err
	}
	if err := d.removeOwned(owner); err != nil {
		return err
	}
	return removeOne(d.root, lockName(owner))
}

// removeOwned removes what an owner made under tmp, but not its lock.
func (d *directory) removeOwned(owner string) error {
	f, err := d.root.Open("tmp")
	if err != nil {
		return noError(err)
	}
	names, err := f.Readdirnames(-1)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	for _, name := range names {
		if m := ownedFile.FindStringSubmatch(name); m != nil && m[1] == owner {
			if err := d.root.RemoveAll("tmp/" + name); err != nil {
				return err
			}
		}
	}
	return nil
}

// claim publishes a lease whose lock this process holds: the file is locked before it gets its name.
func (d *directory) claim(_ context.Context, name string, data []byte) error {
	f, temporary, err := d.temp()
	if err != nil {
		return err
	}
	locked, err := filelock.Try(f, filelock.Exclusive)
	if err == nil && !locked {
		err = fmt.Errorf("%s: another process locked a new file", f.Name())
	}
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = d.moveInto(temporary, name)
	}
	if err != nil {
		d.discard(f, temporary)
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

// moveInto renames a file into a directory that another process may remove while it is empty.
func (d *directory) moveInto(from, to string) error {
	for {
		if err := d.mkdir(path.Dir(to)); err != nil {
			return err
		}
		if err := d.root.Rename(from, to); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if _, err := d.root.Lstat(from); err != nil {
			return err
		}
	}
}

func (d *directory) unclaim(ctx context.Context, name string) error {
	d.mu.Lock()
	f := d.claims[name]
	delete(d.claims, name)
	d.mu.Unlock()
	err := d.remove(ctx, name)
	if f != nil {
		err = errors.Join(err, f.Close())
	}
	if path.Dir(name)+"/" == collectors {
		// Looking for collectors where there is no such directory costs the least.
		err = errors.Join(err, d.prune("collectors"))
	}
	return err
}

func (d *directory) claimed(_ context.Context, prefix string) ([]claim, error) {
	names, err := d.names(strings.TrimSuffix(prefix, "/"))
	if err != nil {
		return nil, err
	}
	var claims []claim
	for _, name := range names {
		if !claimName.MatchString(name) {
			continue
		}
		c, err := d.probe(prefix + name)
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

// probe finds out whether the owner of a lease lives. An owner that renews its lease renames a new locked file over the old
// one, so a file that has lost its name says nothing.
func (d *directory) probe(name string) (claim, error) {
	d.mu.Lock()
	own := d.claims[name] != nil
	d.mu.Unlock()
	for {
		f, err := d.file(name)
		if err != nil {
			return claim{}, err
		}
		dead := false
		if !own {
			dead, err = filelock.Try(f, filelock.Shared)
		}
		current := filelock.IsAt(f, d.root, name)
		if err := errors.Join(err, f.Close()); err != nil {
			return claim{}, err
		}
		if current {
			return claim{name: name, live: !dead}, nil
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
