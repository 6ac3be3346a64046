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
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"surprisal.dev/internal/address"
)

// Store is an open store. Its methods may be called from many goroutines.
type Store struct {
	// Warn, if not nil, is called with warnings about damage, from many goroutines. Set it before using the store.
	Warn func(message string)

	b backend

	// warned holds the warnings so far.
	warned sync.Map

	// onWait, if not nil, is called when a hold starts to wait; for tests.
	onWait func()

	mu     sync.Mutex
	lease  *lease
	caches map[string]*directory
	// facts holds the facts about a bucket, by cache directory.
	facts map[string]*facts
	// downloads prevents goroutines from fetching or hashing the same blob more than once.
	downloads singleflight.Group
}

// backend stores objects. Names are slash-separated paths of the layout. The error for a missing object is
// fs.ErrNotExist, except in remove, where it is not an error.
type backend interface {
	// base returns the location of the store, and where that of an object, for people.
	base() string
	where(name string) string
	stat(ctx context.Context, name string) (int64, error)
	open(ctx context.Context, name string) (io.ReadCloser, error)
	list(ctx context.Context, prefix string) iter.Seq2[object, error]
	// children lists the names directly under a prefix that ends with a slash, not recursively.
	children(ctx context.Context, prefix string) iter.Seq2[string, error]
	remove(ctx context.Context, name string) error
	// write publishes a small object, whole or not at all, and replaces any earlier one.
	write(ctx context.Context, name string, data []byte) error
	// create is write, but fails with fs.ErrExist if the object exists.
	create(ctx context.Context, name string, data []byte) error
	// adopt publishes the content of a file, whole or not at all. It may move the file.
	adopt(ctx context.Context, name, digest string, f *os.File) error
	// adoptNew is adopt, but fails with fs.ErrExist if the object exists. It is used only for buckets.
	adoptNew(ctx context.Context, name, digest string, f *os.File) error
	// quarantine moves a blob whose content does not match its name to damagedPrefix.
	quarantine(ctx context.Context, name string) error
	// prune removes a directory if it is empty.
	prune(name string) error
	// local returns the directory of the store, or nil for a bucket.
	local() *directory
	// claim publishes or refreshes a lease of this process, and unclaim ends one. claimed lists all leases of a prefix
	// and whether their owners are alive. For a bucket, claimed is exact only soon after a claim.
	claim(ctx context.Context, name string, data []byte) error
	unclaim(ctx context.Context, name string) error
	claimed(ctx context.Context, prefix string) ([]claim, error)
	liveness() liveness
	close() error
}

type object struct {
	name  string
	bytes int64
}

// claim is a lease as a listing shows it. Its content is read only when needed.
type claim struct {
	name string
	live bool
	// stamp changes when the lease does. If it is "", the lease must be read to detect changes.
	stamp string
	// refreshed is the storage's time of the last refresh. It is zero if leases do not expire.
	refreshed time.Time
}

// liveness holds the times for watching leases: the polling interval, the interval while nothing happens, the time to
// wait for an answer, and the lifetime of a lease without a refresh (0 means unlimited).
type liveness struct {
	poll, idle, patience, expiry time.Duration
}

// halfScheme matches a scheme without "//", which would be a directory with an unexpected name.
var halfScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:($|[^/]|/$|/[^/])`)

// Open opens the store at location: a directory, or a URL: file:///path, s3://bucket/prefix, gs://bucket/prefix,
// mem://. The first write creates a missing directory, and makes an empty place a store by writing the marker. A place
// with other content is an error. An s3 URL accepts the query parameters of gocloud.dev (region, endpoint,
// use_path_style, profile, ...), and credentials are found as in the AWS SDK. Close the store to remove its temporary
// files.
func Open(ctx context.Context, location string) (*Store, error) {
	s := &Store{caches: map[string]*directory{}, facts: map[string]*facts{}}
	path, isFile := strings.CutPrefix(location, "file://")
	var err error
	switch {
	case location == "":
		return nil, invalid("store: no location; use a directory, or a URL such as s3://bucket/prefix")
	case isFile && !strings.HasPrefix(path, "/"):
		return nil, invalid("store %s: a file URL has three slashes and an absolute path; use the path alone", address.Printable(location))
	case address.Mistyped(location) != "":
		return nil, invalid(`store %s: a URL begins with %s; put "./" before the path of a directory`, address.Printable(location), address.Mistyped(location))
	case halfScheme.MatchString(location):
		return nil, invalid(`store %s: a URL has "://" after its scheme, as in s3://bucket/prefix; put "./" before the path of a directory`, address.Printable(location))
	case isFile || !strings.Contains(location, "://"):
		s.b, err = openDirectory(path, kindStore)
	default:
		s.b, err = openStoreBucket(ctx, location)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// String returns the location of the store, without credentials or settings.
func (s *Store) String() string { return s.b.base() }

// Close ends the lease, if there is one, and removes this process's temporary files.
func (s *Store) Close() error {
	err := s.Release(context.Background())
	for _, f := range s.facts {
		err = errors.Join(err, f.close())
	}
	for _, d := range s.caches {
		err = errors.Join(err, d.close())
	}
	return errors.Join(err, s.b.close())
}

// PutFile moves a finished local file into the store and returns its digest and size. If the blob already exists, the
// file is only removed. PutFile needs a lease.
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

// PutFiles moves the files with the given names, relative paths with slashes, from dir into the store, concurrently. It
// returns them in the order of names. PutFiles needs a lease.
func (s *Store) PutFiles(ctx context.Context, dir string, names []string) ([]File, error) {
	files := make([]File, len(names))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(requests)
	for i, name := range names {
		group.Go(func() (err error) {
			files[i].Name = name
			if files[i].Digest, files[i].Bytes, err = s.PutFile(ctx, filepath.Join(dir, filepath.FromSlash(name))); err != nil {
				return fmt.Errorf("publish %s: %w", name, err)
			}
			return nil
		})
	}
	return files, group.Wait()
}

func (s *Store) publish(ctx context.Context, digest string, size int64, f *os.File) error {
	l, err := s.hold(ctx, digest)
	if err != nil {
		return err
	}
	name := blobName(digest)
	if size <= smallBlob && s.b.local() == nil {
		// Sending it takes no longer than checking whether it exists.
		err := s.b.adoptNew(ctx, name, digest, f)
		if err == nil {
			l.recordSize(name, size)
			return nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("store %s: %w", s, err)
		}
	}
	there, err := s.has(ctx, name, digest, size)
	if err != nil {
		return fmt.Errorf("store %s: %w", s, err)
	}
	if !there {
		if err := s.b.adopt(ctx, name, digest, f); err != nil {
			return fmt.Errorf("store %s: %w", s, err)
		}
	}
	l.recordSize(name, size)
	return nil
}

// has reports whether an intact blob exists, so that it need not be published again.
func (s *Store) has(ctx context.Context, name, digest string, size int64) (bool, error) {
	found, err := s.b.stat(ctx, name)
	if d := s.b.local(); d != nil && err == nil && found == size {
		err = d.check(ctx, name, digest)
	}
	if _, bad := errors.AsType[*damage](err); bad || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return found == size, err
}

// Open opens a blob. If it is missing, the error is fs.ErrNotExist. In a directory, a blob whose content does not match
// the digest is moved aside, reported to Warn and treated as missing. In a bucket, reading such a blob fails at its
// end.
func (s *Store) Open(ctx context.Context, digest string) (io.ReadCloser, error) {
	if err := checkDigest(digest); err != nil {
		return nil, err
	}
	if d := s.b.local(); d != nil {
		if _, err := s.LocalPath(ctx, digest, ""); err != nil {
			return nil, err
		}
	}
	return s.open(ctx, digest)
}

// open opens a blob. Reading it fails at its end if the content does not match the digest.
func (s *Store) open(ctx context.Context, digest string) (io.ReadCloser, error) {
	r, err := s.b.open(ctx, blobName(digest))
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", s, err)
	}
	return &blobReader{verifier{r, newHash(), digest, func(got string) error {
		return &damage{s.b.where(blobName(digest)), "its content is " + got}
	}}, r}, nil
}

// LocalPath returns a path at which a blob can be read: in the store itself if it is a directory, otherwise in a copy
// under cacheDir. The file must not be modified. The content is compared with the digest, once per process while the
// file is unchanged. A damaged blob is moved aside, reported to Warn and treated as missing: the error is
// fs.ErrNotExist.
func (s *Store) LocalPath(ctx context.Context, digest, cacheDir string) (string, error) {
	if err := checkDigest(digest); err != nil {
		return "", err
	}
	d, err := s.directory(ctx, cacheDir)
	if err != nil {
		return "", err
	}
	for {
		_, err, shared := s.downloads.Do(digest, func() (any, error) { return nil, s.provide(ctx, digest, d) })
		switch {
		case err == nil:
			return d.where(blobName(digest)), nil
		case shared && ctx.Err() == nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
			// The goroutine that did it for both was canceled.
		default:
			return "", err
		}
	}
}

// provide makes sure that a directory contains a blob with the right content.
func (s *Store) provide(ctx context.Context, digest string, d *directory) error {
	name := blobName(digest)
	err := d.check(ctx, name, digest)
	if damage, bad := errors.AsType[*damage](err); bad {
		if err := d.quarantine(ctx, name); err != nil {
			return fmt.Errorf("store %s: %w: %w", s, damage, err)
		}
		err = s.reportQuarantined(damage, d.where(damagedPrefix))
	}
	if d == s.b.local() || !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			err = fmt.Errorf("store %s: %w", s, err)
		}
		return err
	}
	return s.download(ctx, digest, d)
}

// reportQuarantined reports to Warn that a damaged blob was moved, and returns the error for the missing blob.
func (s *Store) reportQuarantined(d *damage, to string) error {
	err := &quarantined{d, to}
	s.warn(err.Error())
	return err
}

// quarantined is the error for a blob that was moved aside, which is now missing.
type quarantined struct {
	*damage
	to string
}

func (q *quarantined) Error() string {
	return q.where + ": is damaged: " + q.found + "; it was moved to " + q.to + ": run again to repeat the action that made it"
}

func (q *quarantined) Is(target error) bool { return target == fs.ErrNotExist }

// download copies a blob of a bucket to a cache.
func (s *Store) download(ctx context.Context, digest string, to *directory) error {
	name := blobName(digest)
	r, err := s.open(ctx, digest)
	if err == nil {
		err = errors.Join(to.receive(ctx, name, r), r.Close())
	}
	if damage, bad := errors.AsType[*damage](err); bad {
		if err := errors.Join(s.b.quarantine(ctx, name), s.invalidateFacts(ctx)); err != nil {
			return fmt.Errorf("store %s: %w: %w", s, damage, err)
		}
		return s.reportQuarantined(damage, s.b.where(damagedPrefix))
	}
	if errors.Is(err, fs.ErrNotExist) {
		// It was removed without a change of the generation.
		err = errors.Join(err, s.invalidateFacts(ctx))
	}
	if err != nil {
		return fmt.Errorf("copy of %s to %s: %w", digest, to.path, err)
	}
	return nil
}

// Scratch returns a new empty directory for temporary files. It is in the store if that is a directory, so that PutFile
// need not copy, and otherwise under cacheDir. The caller removes it; if the process dies, the next Open or Scratch
// there does.
func (s *Store) Scratch(cacheDir string) (string, error) {
	d, err := s.directory(context.Background(), cacheDir)
	if err != nil {
		return "", err
	}
	path, err := d.tempDir()
	if err != nil {
		return "", fmt.Errorf("store %s: %w", s, err)
	}
	return path, nil
}

// directory returns the store's own directory, or that of a cache.
func (s *Store) directory(ctx context.Context, cacheDir string) (*directory, error) {
	if d := s.b.local(); d != nil {
		return d, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.caches[cacheDir]; d != nil {
		return d, nil
	}
	if cacheDir == "" {
		return nil, fmt.Errorf("store %s: a cache directory is required", s)
	}
	d, err := openDirectory(cacheDir, kindCache)
	if err != nil {
		return nil, err
	}
	if err := d.use(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cache %s: %w", cacheDir, err), d.close())
	}
	s.caches[cacheDir] = d
	return d, nil
}

// warn reports damage to Warn, once per message, because a command may find the same damage several times.
func (s *Store) warn(message string) {
	if s.Warn == nil {
		return
	}
	if _, told := s.warned.LoadOrStore(message, true); !told {
		s.Warn(message)
	}
}

func (s *Store) write(ctx context.Context, name string, data []byte) error {
	if err := s.b.write(ctx, name, data); err != nil {
		return fmt.Errorf("store %s: %w", s, err)
	}
	return nil
}

// smallBlob is the size up to which a blob is sent to a bucket without checking whether it exists.
const smallBlob = 256 << 10

const digestPrefix = "sha256:"

func newHash() hash.Hash          { return sha256.New() }
func digestOf(h hash.Hash) string { return digestPrefix + hex.EncodeToString(h.Sum(nil)) }

// damagedPrefix is the prefix of damaged blobs that were moved aside.
const damagedPrefix = "damaged/"

func isHex64(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

func checkDigest(digest string) error {
	if hex, ok := strings.CutPrefix(digest, digestPrefix); !ok || !isHex64(hex) {
		return invalid("invalid digest %q: expected \"sha256:\" and 64 lower-case hex digits", digest)
	}
	return nil
}

func checkKey(key string) error {
	if !isHex64(key) {
		return invalid("invalid key %q: expected 64 lower-case hex digits", key)
	}
	return nil
}

// checkName checks that s can be the name of a run or a tag.
func checkName(noun, s string) error {
	if !isName(s) {
		return invalid("invalid %s %q: expected 1 to 128 letters, digits, '.', '_' or '-', the first a letter or digit", noun, s)
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
		return fmt.Errorf("%s: changed after it was hashed; stop the process that is writing to it", f.Name())
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

// damage is the error for an object whose content is wrong.
type damage struct{ where, found string }

const damageHint = "delete it and run again to repeat the action that made it"

func damaged(where, found string) error { return &damage{where, found} }

func (d *damage) Error() string { return d.where + ": is damaged: " + d.found + "; " + damageHint }

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
