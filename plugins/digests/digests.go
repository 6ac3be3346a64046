package digests

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/sys/unix"

	"surprisal.dev/internal/bounded"
	"surprisal.dev/internal/filelock"
)

const (
	// name is the file in a directory that holds the digests. lock is locked to write it.
	name = "digests.json"
	lock = "digests.lock"
	// version is raised when the meaning of the file changes.
	version = 2
	// most is the maximum number of digests that are written; the most recently used are kept.
	most = 10_000
	// mostBytes is the maximum size of the file that is read. A digest needs about 250 bytes.
	mostBytes = 16 << 20
	// settled is the minimum age of a file's last change for its digest to be remembered.
	settled = 2 * time.Second
)

// Cache remembers digests. Its methods are safe for concurrent use.
type Cache struct {
	dir string

	mu      sync.Mutex
	known   map[Identity]entry
	changed bool
	running singleflight.Group
}

// Identity identifies a file and its content: a file that changed has another identity, unless it changed twice within
// the resolution of the file system's clock. Times are nanoseconds since 1970.
type Identity struct {
	Device   uint64 `json:"device"`
	Inode    uint64 `json:"inode"`
	Bytes    int64  `json:"bytes"`
	Modified int64  `json:"modified"`
	Changed  int64  `json:"changed"`
}

// entry is the remembered data of a file: its digest, and the day since 1970 of the last request for it.
type entry struct {
	Digest string `json:"digest"`
	Used   int64  `json:"used"`
}

// record is an entry in its stored form.
type record struct {
	Identity
	entry
}

type document struct {
	Version int      `json:"version"`
	Files   []record `json:"files"`
}

// New returns an empty cache that is not saved.
func New() *Cache { return &Cache{known: map[Identity]entry{}} }

// Open returns a cache with the saved content of a directory. If the directory or its file cannot be read, the cache is
// empty.
func Open(dir string) *Cache {
	c := &Cache{dir: dir, known: map[Identity]entry{}}
	if root, err := os.OpenRoot(dir); err == nil {
		defer root.Close()
		c.known = read(root)
	}
	return c
}

func read(root *os.Root) map[Identity]entry {
	known := map[Identity]entry{}
	data, err := bounded.ReadFile(root.FS(), name, mostBytes)
	if err != nil {
		return known
	}
	var d document
	if json.Unmarshal(data, &d) != nil || d.Version != version {
		return known
	}
	for _, r := range d.Files {
		known[r.Identity] = r.entry
	}
	return known
}

// Digest returns the digest of an open regular file, "sha256:" and 64 hexadecimal digits, and its size. It uses the
// remembered digest or reads the whole file. It does not move the file's offset. Concurrent callers for the same file
// wait for a single read.
func (c *Cache) Digest(ctx context.Context, f *os.File) (digest string, size int64, err error) {
	for {
		id, err := Identify(f)
		if err != nil {
			return "", 0, err
		}
		if digest := c.get(id); digest != "" {
			return digest, id.Bytes, nil
		}
		answer := c.running.DoChan(fmt.Sprint(id), func() (any, error) { return c.sum(ctx, f, id) })
		select {
		case <-ctx.Done():
			// A read for this caller ends now, too; f must not be closed before.
			<-answer
			return "", 0, ctx.Err()
		case r := <-answer:
			if r.Err != nil && r.Shared && ctx.Err() == nil && errors.Is(r.Err, context.Canceled) {
				continue // another caller was canceled
			}
			if r.Err != nil {
				return "", 0, r.Err
			}
			s := r.Val.(summed) //nolint:forcetypeassert // sum returns no other.
			return s.digest, s.size, nil
		}
	}
}

// Identify returns the identity of an open file.
func Identify(f *os.File) (Identity, error) {
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil {
		return Identity{}, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return Identity{
		Device: uint64(s.Dev), Inode: s.Ino, Bytes: s.Size, Modified: s.Mtim.Nano(), Changed: s.Ctim.Nano(), //nolint:unconvert // Dev has another type elsewhere.
	}, nil
}

type summed struct {
	digest string
	size   int64
}

// sum hashes a file. It remembers the digest if the file was not written during the read or shortly before.
func (c *Cache) sum(ctx context.Context, f *os.File, before Identity) (summed, error) {
	start := time.Now()
	h := sha256.New()
	size := int64(0)
	// One byte more than the file's size reveals its end: a plan reads thousands of small files, each at once.
	buffer := make([]byte, min(before.Bytes+1, 256<<10))
	for {
		if err := ctx.Err(); err != nil {
			return summed{}, err
		}
		n, err := f.ReadAt(buffer, size)
		size += int64(n)
		_, _ = h.Write(buffer[:n]) // never fails
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return summed{}, err
		}
	}
	digest := "sha256:" + hex.EncodeToString(h.Sum(nil))
	after, err := Identify(f)
	if err != nil {
		return summed{}, err
	}
	last := time.Unix(0, max(before.Modified, before.Changed))
	if before == after && size == before.Bytes && start.Sub(last) > settled {
		c.put(before, digest)
	}
	return summed{digest, size}, nil
}

func today() int64 { return time.Now().Unix() / (24 * 60 * 60) }

func (c *Cache) get(id Identity) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.known[id]
	if ok && e.Used != today() {
		e.Used = today()
		c.known[id], c.changed = e, true
	}
	return e.Digest
}

func (c *Cache) put(id Identity, digest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[id], c.changed = entry{digest, today()}, true
}

// Save writes the digests learned since Open to the cache's directory, which must exist, merged with those that others
// have saved in the meantime. It waits for the lock until ctx is done. It replaces the file atomically. A cache made by
// New, or one that learned nothing, writes nothing.
func (c *Cache) Save(ctx context.Context) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dir == "" || !c.changed {
		return nil
	}
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	held, err := root.OpenFile(lock, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }() // releases the lock
	if err := filelock.Wait(ctx, held, filelock.Exclusive); err != nil {
		return err
	}
	all := read(root)
	for id, e := range c.known {
		e.Used = max(e.Used, all[id].Used)
		all[id] = e
	}
	d := document{Version: version}
	for id, e := range all {
		d.Files = append(d.Files, record{id, e})
	}
	slices.SortFunc(d.Files, func(a, b record) int {
		return cmp.Or(cmp.Compare(b.Used, a.Used), cmp.Compare(a.Device, b.Device), cmp.Compare(a.Inode, b.Inode),
			cmp.Compare(a.Changed, b.Changed), cmp.Compare(a.Modified, b.Modified), cmp.Compare(a.Bytes, b.Bytes))
	})
	d.Files = d.Files[:min(len(d.Files), most)]
	if err := write(root, d); err != nil {
		return err
	}
	maps.Copy(c.known, all)
	c.changed = false
	return nil
}

// write replaces the file. The lock is held, so that the temporary name is either free or left by a process that died.
func write(root *os.Root, d document) error {
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	const temporary = name + ".new"
	if err := root.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := root.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, root.Remove(temporary))
	}
	return root.Rename(temporary, name)
}
