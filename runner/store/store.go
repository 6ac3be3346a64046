package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Store is an open store. Its methods may be called from many goroutines.
type Store struct {
	// Warn, if not nil, is told of damage that was passed over, from many goroutines. It is set before the store is used.
	Warn func(message string)

	b backend

	mu     sync.Mutex
	lease  *lease
	caches map[string]*folder
	// downloads keeps goroutines that want the same blob from fetching it twice.
	downloads singleflight.Group
}

// backend is where objects lie. Names are slash-separated paths of the layout. A missing object is fs.ErrNotExist, except
// to remove, which does not mind.
type backend interface {
	// base names the whole store, where an object, for people.
	base() string
	where(name string) string
	stat(ctx context.Context, name string) (int64, error)
	open(ctx context.Context, name string) (io.ReadCloser, error)
	list(ctx context.Context, prefix string) iter.Seq2[object, error]
	remove(ctx context.Context, name string) error
	// write publishes a small object, whole or not at all, over what was there.
	write(ctx context.Context, name string, data []byte) error
	// create is write, but fails with fs.ErrExist where there is an object.
	create(ctx context.Context, name string, data []byte) error
	// temp returns a file to fill, for adopt. adopt publishes a file's content, whole or not at all, and may take the file.
	temp() (*os.File, error)
	adopt(ctx context.Context, name, digest string, f *os.File) error
	// local returns the folder that the store is, or nil.
	local() *folder
	// claim publishes or refreshes a lease of this process, unclaim ends one, claimed lists all with whether their owners
	// live. A bucket's claimed is exact only soon after a claim.
	claim(ctx context.Context, name string, data []byte) error
	unclaim(ctx context.Context, name string) error
	claimed(ctx context.Context) ([]claim, error)
	liveness() liveness
	close() error
}

type object struct {
	name  string
	bytes int64
}

type claim struct {
	name string
	data []byte
	live bool
	// refreshed is the storage's time of the last refresh; zero where life does not depend on it.
	refreshed time.Time
}

// liveness says how leases are watched: how often, how long to wait for an answer, and how long a lease lives without a
// refresh (0 for ever).
type liveness struct {
	poll, patience, expiry time.Duration
}

// Open opens the store at location: a folder, or a URL: file:///folder, s3://bucket/prefix, gs://bucket/prefix, mem://.
// A folder need not exist; the first write makes it. An s3 URL takes the query parameters of gocloud.dev (region, endpoint,
// use_path_style, profile, ...) and finds credentials as the AWS SDK does. Close the store to remove its temporary files.
func Open(ctx context.Context, location string) (*Store, error) {
	s := &Store{caches: map[string]*folder{}}
	path, isFile := strings.CutPrefix(location, "file://")
	var err error
	switch {
	case location == "":
		return nil, invalid("store: no location; name a folder, or a URL such as s3://bucket/prefix")
	case isFile && !strings.HasPrefix(path, "/"):
		return nil, invalid("store %s: a file URL has three slashes and an absolute path; write the path alone", location)
	case isFile || !strings.Contains(location, "://"):
		s.b, err = openFolder(path)
	default:
		s.b, err = openBucket(ctx, location)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// String returns where the store is, without credentials or settings.
func (s *Store) String() string { return s.b.base() }

// Close ends the lease, if there is one, and removes this process's temporary files.
func (s *Store) Close() error {
	err := s.Release(context.Background())
	for _, d := range s.caches {
		err = errors.Join(err, d.close())
	}
	return errors.Join(err, s.b.close())
}

// PutFile moves a finished local file into the store and returns its digest and size. Where the blob exists already, the
// file is only removed. It needs a lease.
func (s *Store) PutFile(ctx context.Context, path string) (digest string, size int64, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", 0, err
	}
	if !info.Mode().IsRegular() {
		return "", 0, fmt.Errorf("%s: is not a regular file and cannot be an output (%s)", path, info.Mode().Type())
	}
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := newHash()
	if size, err = io.Copy(h, contextReader{ctx, f}); err != nil {
		return "", 0, err
	}
	digest = digestOf(h)
	if err := s.publish(ctx, digest, size, f); err != nil {
		return "", 0, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", 0, explain(err)
	}
	return digest, size, nil
}

// Put stores what r gives and returns its digest and size. The content goes through a temporary file. It needs a lease.
func (s *Store) Put(ctx context.Context, r io.Reader) (digest string, size int64, err error) {
	f, err := s.b.temp()
	if err != nil {
		return "", 0, fmt.Errorf("store %s: %w", s, err)
	}
	defer discard(f)
	h := newHash()
	if size, err = io.Copy(io.MultiWriter(f, h), contextReader{ctx, r}); err != nil {
		return "", 0, fmt.Errorf("store %s: %w", s, explain(err))
	}
	digest = digestOf(h)
	return digest, size, s.publish(ctx, digest, size, f)
}

func (s *Store) publish(ctx context.Context, digest string, size int64, f *os.File) error {
	if _, err := s.hold(ctx, digest); err != nil {
		return err
	}
	name := blobName(digest)
	// A blob of another size is damaged; the right content replaces it.
	if found, err := s.b.stat(ctx, name); err == nil && found == size {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store %s: %w", s, err)
	}
	if err := s.b.adopt(ctx, name, digest, f); err != nil {
		return fmt.Errorf("store %s: %w", s, err)
	}
	return nil
}

// Open opens a blob. Reading it to the end fails if the content is not what the digest says. A missing blob is
// fs.ErrNotExist.
func (s *Store) Open(ctx context.Context, digest string) (io.ReadCloser, error) {
	if err := checkDigest(digest); err != nil {
		return nil, err
	}
	r, err := s.b.open(ctx, blobName(digest))
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", s, err)
	}
	return &blobReader{verifier{r, newHash(), digest, func(got string) error {
		return &damage{s.b.where(blobName(digest)), "its content is " + got}
	}}, r}, nil
}

// LocalPath returns a path at which a blob can be read: in the store itself if it is a folder, else in a copy under
// cacheDir that was verified when it was made. Nobody may write to it.
func (s *Store) LocalPath(ctx context.Context, digest, cacheDir string) (string, error) {
	if err := checkDigest(digest); err != nil {
		return "", err
	}
	name := blobName(digest)
	d, err := s.folder(cacheDir)
	if err != nil {
		return "", err
	}
	if _, err := d.stat(ctx, name); err == nil {
		return d.where(name), nil
	} else if !errors.Is(err, fs.ErrNotExist) || d == s.b.local() {
		return "", fmt.Errorf("store %s: %w", s, err)
	}
	_, err, _ = s.downloads.Do(digest, func() (any, error) { return nil, s.download(ctx, digest, d) })
	if err != nil {
		return "", err
	}
	return d.where(name), nil
}

func (s *Store) download(ctx context.Context, digest string, to *folder) error {
	r, err := s.Open(ctx, digest)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := to.temp()
	if err != nil {
		return fmt.Errorf("cache %s: %w", to.root, err)
	}
	defer discard(f)
	if _, err := io.Copy(f, contextReader{ctx, r}); err != nil {
		return fmt.Errorf("store %s: copy of %s to %s: %w", s, digest, to.root, explain(err))
	}
	if err := to.publish(blobName(digest), f); err != nil {
		return fmt.Errorf("cache %s: %w", to.root, err)
	}
	return nil
}

// Scratch returns a new empty folder for files in the making: in the store if that is a folder, so that PutFile need not
// copy, else under cacheDir. The caller removes it; if the process dies, the next Open or Scratch there does.
func (s *Store) Scratch(cacheDir string) (string, error) {
	d, err := s.folder(cacheDir)
	if err != nil {
		return "", err
	}
	path, err := d.tempDir()
	if err != nil {
		return "", fmt.Errorf("store %s: %w", s, err)
	}
	return path, nil
}

// folder returns the store's own folder, or that of a cache.
func (s *Store) folder(cacheDir string) (*folder, error) {
	if d := s.b.local(); d != nil {
		return d, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.caches[cacheDir]; d != nil {
		return d, nil
	}
	if cacheDir == "" {
		return nil, fmt.Errorf("store %s: no cache folder was named", s)
	}
	d, err := openFolder(cacheDir)
	if err != nil {
		return nil, err
	}
	s.caches[cacheDir] = d
	return d, nil
}

func (s *Store) warn(message string) {
	if s.Warn != nil {
		s.Warn(message)
	}
}

// readAll reads a small object.
func (s *Store) readAll(ctx context.Context, name string) ([]byte, error) {
	r, err := s.b.open(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", s, err)
	}
	data, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("store: read %s: %w", s.b.where(name), err)
	}
	return data, nil
}

func (s *Store) write(ctx context.Context, name string, data []byte) error {
	if err := s.b.write(ctx, name, data); err != nil {
		return fmt.Errorf("store %s: %w", s, err)
	}
	return nil
}

const digestPrefix = "sha256:"

func newHash() hash.Hash          { return sha256.New() }
func digestOf(h hash.Hash) string { return digestPrefix + hex.EncodeToString(h.Sum(nil)) }

func isHex64(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

func checkDigest(digest string) error {
	if hex, ok := strings.CutPrefix(digest, digestPrefix); !ok || !isHex64(hex) {
		return invalid("digest %q: want \"sha256:\" and 64 lower-case hex digits", digest)
	}
	return nil
}

func checkKey(key string) error {
	if !isHex64(key) {
		return invalid("key %q: want 64 lower-case hex digits", key)
	}
	return nil
}

// checkName says whether s can be the name of a run or a tag.
func checkName(what, s string) error {
	if !isName(s) {
		return invalid("%s %q: want 1 to 128 letters, digits, '.', '_' or '-', the first a letter or digit", what, s)
	}
	return nil
}

func isName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return s != "" && len(s) <= 128 && strings.Trim(s, letters+"._-") == "" && strings.Contains(letters, s[:1])
}

func blobName(digest string) string {
	hex := strings.TrimPrefix(digest, digestPrefix)
	return "blobs/sha256/" + hex[:2] + "/" + hex
}

func recordName(key string) string { return "actions/" + key[:2] + "/" + key + ".json" }

// blobDigest is the inverse of blobName, "" for other names.
func blobDigest(name string) string {
	digest := digestPrefix + name[strings.LastIndexByte(name, '/')+1:]
	if checkDigest(digest) != nil || blobName(digest) != name {
		return ""
	}
	return digest
}

// recordKey is the inverse of recordName, "" for other names.
func recordKey(name string) string {
	key := strings.TrimSuffix(name[strings.LastIndexByte(name, '/')+1:], ".json")
	if checkKey(key) != nil || recordName(key) != name {
		return ""
	}
	return key
}

// verifier reads r and fails at its end if the content has another digest.
type verifier struct {
	r        io.Reader
	hash     hash.Hash
	want     string
	mismatch func(got string) error
}

// unchanged reads a file that was hashed before.
func unchanged(f *os.File, digest string) io.Reader {
	return &verifier{f, newHash(), digest, func(string) error {
		return fmt.Errorf("%s: changed after it was hashed; let whatever writes to it end first", f.Name())
	}}
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	if errors.Is(err, io.EOF) {
		if got := digestOf(v.hash); got != v.want {
			return n, v.mismatch(got)
		}
	}
	return n, err
}

// damage is an object whose content cannot be right.
type damage struct{ where, found string }

const mendDamage = "delete it and run again: the action that made it runs anew"

func (d *damage) Error() string { return d.where + ": is damaged: " + d.found + "; " + mendDamage }

type blobReader struct {
	verifier
	io.Closer
}

// contextReader stops reading when its context is done.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
