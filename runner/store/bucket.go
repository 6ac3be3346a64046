package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/blob/s3blob"
	"gocloud.dev/gcerrors"

	"surprisal.dev/internal/address"
	"surprisal.dev/internal/bounded"
	buckets "surprisal.dev/plugins/bucket"
)

// bucket keeps objects in a bucket of gocloud.dev/blob.
type bucket struct {
	b    *blob.Bucket
	name string // scheme://bucket/prefix, for people
	live liveness

	mu     sync.Mutex
	marked bool // it carries our marker
}

// openStoreBucket opens a bucket as a store. It rejects a bucket with other content, and creates nothing.
func openStoreBucket(ctx context.Context, location string) (*bucket, error) {
	k, err := openBucket(ctx, location)
	if err != nil {
		return nil, err
	}
	if err := k.inspect(ctx); err != nil {
		return nil, errors.Join(err, k.close())
	}
	return k, nil
}

// openBucket opens a bucket by URL. The URL's path is the prefix of every object name, so that several stores can share
// a bucket. The URL's query is passed to the driver (for s3: region, endpoint, use_path_style, profile, ...).
func openBucket(ctx context.Context, location string) (*bucket, error) {
	u, err := parseLocation(location)
	if err != nil {
		return nil, err
	}
	mux := new(blob.URLMux)
	mux.RegisterBucket(s3blob.Scheme, amazonOpener{})
	mux.RegisterBucket(memblob.Scheme, new(memblob.URLOpener))
	mux.RegisterBucket(gcsblob.Scheme, googleOpener{})
	if !mux.ValidBucketScheme(u.Scheme) {
		return nil, invalid("store %s: unknown scheme %q; use a directory, file://, s3://, gs:// or mem://", address.Printable(location), u.Scheme)
	}
	if u.Host == "" && u.Scheme != memblob.Scheme {
		return nil, invalid("store %s: the bucket is missing; use %s://BUCKET or %s://BUCKET/PREFIX", address.Printable(location), u.Scheme, u.Scheme)
	}
	where := u.Scheme + "://" + u.Host
	if u.Query().Has("prefix") {
		return nil, invalid("store %s: use the URL's path for the prefix: %s/PREFIX", where, where)
	}
	prefix := strings.Trim(u.Path, "/")
	u.Path, u.RawPath = "", ""
	b, err := mux.OpenBucketURL(ctx, u)
	if err != nil {
		return nil, invalid("store %s: %s", where, buckets.Cause(err, u))
	}
	k := &bucket{
		b: b, name: where,
		live: liveness{poll: 10 * time.Second, idle: 45 * time.Second, patience: 15 * time.Minute, expiry: 8 * time.Minute},
	}
	if ok, err := b.IsAccessible(ctx); err != nil || !ok {
		_ = b.Close()
		if err == nil {
			return nil, invalid("store %s: no such bucket; create it first, or check the name, the region and the endpoint", k.name)
		}
		return nil, fmt.Errorf("store %s: cannot be reached: %w; check the name, the endpoint, the network and the credentials", k.name, err)
	}
	if prefix != "" {
		k.b = blob.PrefixedBucket(b, prefix+"/")
		k.name += "/" + prefix
	}
	return k, nil
}

// parseLocation parses the URL of a bucket, which must not have credentials: nobody would use them, and a bucket's name is
// printed.
func parseLocation(location string) (*url.URL, error) {
	u, err := url.Parse(location)
	if parseErr, ok := errors.AsType[*url.Error](err); ok {
		err = parseErr.Err
	}
	if err != nil {
		return nil, invalid("store %q: not a URL (%s); use a directory, or a URL such as s3://bucket/prefix", address.Printable(location), address.Cause(err.Error()))
	}
	if u.User != nil || strings.ContainsAny(u.Host, "@:%") {
		return nil, invalid("store %q: the URL has credentials or a port; remove them, set credentials in the environment, and a server "+
			"by the option endpoint", address.Printable(location))
	}
	return u, nil
}

// inspect checks the marker. A bucket without objects has no marker, which is not an error.
func (k *bucket) inspect(ctx context.Context) error {
	if err := k.readMarker(ctx); k.marked || err != nil {
		return err
	}
	it := k.b.List(&blob.ListOptions{Delimiter: "/"})
	var names []string
	for len(names) < 100 {
		o, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return k.explain("list", "", err)
		}
		names = append(names, strings.TrimSuffix(o.Key, "/"))
	}
	if len(names) == 0 {
		return nil
	}
	// A process of this program writes the marker before anything else. It may have done so since the first check.
	if err := k.readMarker(ctx); k.marked || err != nil {
		return err
	}
	return checkForeign(k.name, kindStore, names)
}

// readMarker reads and checks the marker, if there is one.
func (k *bucket) readMarker(ctx context.Context) error {
	r, err := k.b.NewReader(ctx, markerName, nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil
	}
	if err != nil {
		return k.explain("read", markerName, err)
	}
	defer r.Close()
	data, err := bounded.ReadAll(r, maxSmall)
	if _, tooLarge := errors.AsType[*bounded.TooLargeError](err); err != nil && !tooLarge {
		return k.explain("read", markerName, err)
	}
	k.marked = true
	return checkMarker(k.name, kindStore, data)
}

// ensure creates the marker before the first write.
func (k *bucket) ensure(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.marked {
		return nil
	}
	err := k.b.WriteAll(ctx, markerName, markerOf(kindStore), &blob.WriterOptions{ContentType: "application/json", IfNotExist: true})
	if gcerrors.Code(err) == gcerrors.FailedPrecondition {
		return k.inspect(ctx) // another process was first
	}
	k.marked = err == nil
	return k.explain("write", markerName, err)
}

// connections is the number of idle connections to a server that are kept: as many as there are concurrent requests.
const connections = lookups

// amazonOpener opens s3 URLs with a client that keeps enough connections.
type amazonOpener struct{}

func (amazonOpener) OpenBucketURL(ctx context.Context, u *url.URL) (*blob.Bucket, error) {
	return buckets.Amazon(ctx, u, func(t *http.Transport) { t.MaxIdleConns, t.MaxIdleConnsPerHost = connections, connections })
}

// googleOpener finds Google's application default credentials only when a gs URL is opened.
type googleOpener struct{}

func (googleOpener) OpenBucketURL(ctx context.Context, u *url.URL) (*blob.Bucket, error) {
	return buckets.Google(ctx, u)
}

func (k *bucket) base() string             { return k.name }
func (k *bucket) where(name string) string { return k.name + "/" + name }
func (k *bucket) close() error             { return k.b.Close() }
func (k *bucket) local() *directory        { return nil }
func (k *bucket) liveness() liveness       { return k.live }

func (k *bucket) explain(op, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case gcerrors.Code(err) == gcerrors.NotFound:
		return &fs.PathError{Op: op, Path: k.where(name), Err: fs.ErrNotExist}
	case gcerrors.Code(err) == gcerrors.PermissionDenied:
		return fmt.Errorf("%s %s: %w; check the credentials and their permissions for this bucket", op, k.where(name), err)
	}
	return fmt.Errorf("%s %s: %w", op, k.where(name), err)
}

func (k *bucket) stat(ctx context.Context, name string) (int64, error) {
	a, err := k.b.Attributes(ctx, name)
	if err != nil {
		return 0, k.explain("stat", name, err)
	}
	return a.Size, nil
}

func (k *bucket) open(ctx context.Context, name string) (io.ReadCloser, error) {
	r, err := k.b.NewReader(ctx, name, nil)
	if err != nil {
		return nil, k.explain("open", name, err)
	}
	return r, nil
}

func (k *bucket) list(ctx context.Context, prefix string) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		for o, err := range k.objects(ctx, prefix) {
			if err != nil {
				yield(object{}, err)
				return
			}
			if !yield(object{o.Key, o.Size}, nil) {
				return
			}
		}
	}
}

func (k *bucket) children(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for o, err := range k.listing(ctx, &blob.ListOptions{Prefix: prefix, Delimiter: "/"}) {
			if err != nil {
				yield("", err)
				return
			}
			if !yield(strings.TrimPrefix(o.Key, prefix), nil) {
				return
			}
		}
	}
}

func (k *bucket) objects(ctx context.Context, prefix string) iter.Seq2[*blob.ListObject, error] {
	return k.listing(ctx, &blob.ListOptions{Prefix: prefix})
}

func (k *bucket) listing(ctx context.Context, o *blob.ListOptions) iter.Seq2[*blob.ListObject, error] {
	return func(yield func(*blob.ListObject, error) bool) {
		it := k.b.List(o)
		for {
			found, err := it.Next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(nil, k.explain("list", o.Prefix, err))
				return
			}
			if !yield(found, nil) {
				return
			}
		}
	}
}

func (k *bucket) remove(ctx context.Context, name string) error {
	if err := k.b.Delete(ctx, name); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return k.explain("remove", name, err)
	}
	return nil
}

func (k *bucket) write(ctx context.Context, name string, data []byte) error {
	if err := k.ensure(ctx); err != nil {
		return err
	}
	return k.explain("write", name, k.b.WriteAll(ctx, name, data, &blob.WriterOptions{ContentType: "application/json"}))
}

func (k *bucket) create(ctx context.Context, name string, data []byte) error {
	if err := k.ensure(ctx); err != nil {
		return err
	}
	err := k.b.WriteAll(ctx, name, data, &blob.WriterOptions{ContentType: "application/json", IfNotExist: true})
	if gcerrors.Code(err) == gcerrors.FailedPrecondition {
		return &fs.PathError{Op: "create", Path: k.where(name), Err: fs.ErrExist}
	}
	return k.explain("create", name, err)
}

func (k *bucket) adopt(ctx context.Context, name, digest string, f *os.File) error {
	return k.upload(ctx, name, digest, f, &blob.WriterOptions{})
}

func (k *bucket) adoptNew(ctx context.Context, name, digest string, f *os.File) error {
	err := k.upload(ctx, name, digest, f, &blob.WriterOptions{IfNotExist: true})
	if gcerrors.Code(err) == gcerrors.FailedPrecondition {
		return &fs.PathError{Op: "create", Path: k.where(name), Err: fs.ErrExist}
	}
	return err
}

func (k *bucket) upload(ctx context.Context, name, digest string, f *os.File, o *blob.WriterOptions) error {
	o.ContentType = "application/octet-stream"
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := k.ensure(ctx); err != nil {
		return err
	}
	// Closing a writer publishes what was written so far, unless its context is canceled.
	ctx, abort := context.WithCancel(ctx)
	defer abort()
	w, err := k.b.NewWriter(ctx, name, o)
	if err != nil {
		return k.explain("write", name, err)
	}
	if _, err := io.Copy(w, unchanged(f, digest)); err != nil {
		abort()
		_ = w.Close()
		return k.explain("write", name, err)
	}
	return k.explain("write", name, w.Close())
}

// quarantine moves a damaged blob to damagedPrefix.
func (k *bucket) quarantine(ctx context.Context, name string) error {
	if err := k.b.Copy(ctx, damagedPrefix+path.Base(name), name, nil); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return k.explain("copy", name, err)
	}
	return k.remove(ctx, name)
}

// prune does nothing, because a bucket has no directories.
func (k *bucket) prune(string) error { return nil }

func (k *bucket) claim(ctx context.Context, name string, data []byte) error {
	return k.write(ctx, name, data)
}

func (k *bucket) unclaim(ctx context.Context, name string) error { return k.remove(ctx, name) }

// claimed uses the newest refresh of any lease as the current time. This can only extend lives, and it needs only the
// storage's clock.
func (k *bucket) claimed(ctx context.Context, prefix string) ([]claim, error) {
	var claims []claim
	var now time.Time
	for o, err := range k.objects(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		if claimName.MatchString(strings.TrimPrefix(o.Key, prefix)) {
			claims = append(claims, claim{name: o.Key, refreshed: o.ModTime, stamp: fmt.Sprintf("%x %d %d", o.MD5, o.Size, o.ModTime.UnixNano())})
			now = latest(now, o.ModTime)
		}
	}
	other := collectors
	if prefix == collectors {
		other = writers
	}
	if len(claims) > 0 {
		for o, err := range k.objects(ctx, other) {
			if err != nil {
				return nil, err
			}
			now = latest(now, o.ModTime)
		}
	}
	for i := range claims {
		claims[i].live = now.Sub(claims[i].refreshed) < k.live.expiry
	}
	return claims, nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
