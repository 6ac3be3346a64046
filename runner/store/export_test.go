package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gocloud.dev/blob/memblob"
	"golang.org/x/sync/errgroup"
)

// SetLiveness shortens the waiting times of a store.
func SetLiveness(s *Store, poll, patience, expiry time.Duration) {
	live := liveness{poll, poll, patience, expiry}
	switch b := s.b.(type) {
	case *directory:
		b.live = live
	case *bucket:
		b.live = live
	}
}

// Share returns another store on the same bucket, as another machine would open it.
func Share(s *Store) *Store {
	b := s.b.(*bucket)
	return &Store{b: &bucket{b: b.b, name: b.name, live: b.live, marked: true}, caches: map[string]*directory{}, facts: map[string]*facts{}}
}

// ShareUnmarked is Share for a bucket whose marker this process has not read yet.
func ShareUnmarked(s *Store) *Store {
	other := Share(s)
	other.b.(*bucket).marked = false
	return other
}

// Unmarked is a store in an empty bucket.
func Unmarked() *Store {
	live := liveness{poll: time.Second, idle: time.Second, patience: time.Minute, expiry: 8 * time.Minute}
	return &Store{b: &bucket{b: memblob.OpenBucket(nil), name: "mem://bucket", live: live}, caches: map[string]*directory{}, facts: map[string]*facts{}}
}

// WriteUnmarked writes an object of a bucket as another program would, without a marker.
func WriteUnmarked(ctx context.Context, s *Store, name, content string) error {
	return s.b.(*bucket).b.WriteAll(ctx, name, []byte(content), nil)
}

// Content returns the content of an object.
func Content(ctx context.Context, s *Store, name string) (string, error) {
	var data []byte
	err := s.read(ctx, name, maxManifest, damaged, func(content []byte) error {
		data = content
		return nil
	})
	return string(data), err
}

// Strand stops refreshing a lease, as if its process had died.
func Strand(s *Store) {
	l := s.leased()
	l.stop()
	<-l.done
}

// ClaimCollector publishes a collector's marker that does nothing. end removes it.
func ClaimCollector(ctx context.Context, s *Store) (end func() error, err error) {
	name := collectorName()
	return func() error { return s.b.unclaim(context.WithoutCancel(ctx), name) }, s.b.claim(ctx, name, nil)
}

// FailClaims makes the next publications of leases fail. It returns how many have failed so far.
func FailClaims(s *Store, n int64) (failed func() int64) {
	f := &failing{backend: s.b}
	f.left.Store(n)
	s.b = f
	return f.failed.Load
}

type failing struct {
	backend
	left, failed atomic.Int64
}

func (f *failing) claim(ctx context.Context, name string, data []byte) error {
	if f.left.Add(-1) >= 0 {
		f.failed.Add(1)
		return errors.New("the network is down")
	}
	return f.backend.claim(ctx, name, data)
}

// OnWait is called when a hold starts to wait for a collection.
func OnWait(s *Store, f func()) { s.onWait = f }

// Inspect inspects a bucket with the given objects, as opening a store does, and returns the objects of the bucket
// afterwards.
func Inspect(ctx context.Context, objects map[string]string) (after map[string]string, err error) {
	k := &bucket{b: memblob.OpenBucket(nil), name: "mem://bucket"}
	for name, content := range objects {
		if err := k.b.WriteAll(ctx, name, []byte(content), nil); err != nil {
			return nil, err
		}
	}
	inspected := k.inspect(ctx)
	after = map[string]string{}
	for o, err := range k.list(ctx, "") {
		if err != nil {
			return nil, err
		}
		data, err := k.b.ReadAll(ctx, o.name)
		if err != nil {
			return nil, err
		}
		after[o.name] = string(data)
	}
	return after, errors.Join(inspected, k.close())
}

// FirstWrites lets n processes inspect a new bucket and write to it concurrently.
func FirstWrites(ctx context.Context, n int) error {
	shared := memblob.OpenBucket(nil)
	var group errgroup.Group
	for i := range n {
		group.Go(func() error {
			k := &bucket{b: shared, name: "mem://bucket"}
			if err := k.inspect(ctx); err != nil {
				return err
			}
			return k.write(ctx, fmt.Sprint("leases/", i), nil)
		})
	}
	return errors.Join(group.Wait(), shared.Close())
}

// Overwrite replaces a blob's content.
func Overwrite(ctx context.Context, s *Store, digest, content string) error {
	return s.b.write(ctx, blobName(digest), []byte(content))
}

// Adopt publishes a file under a digest that may not be its own, as if it had changed after it was hashed.
func Adopt(ctx context.Context, s *Store, digest string, f *os.File) error {
	return s.b.adopt(ctx, blobName(digest), digest, f)
}

// CountReads records the names of the objects that a store reads from now on.
func CountReads(s *Store) (names func() []string) {
	c := &counting{backend: s.b}
	s.b = c
	return func() []string {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.names
	}
}

type counting struct {
	backend
	mu    sync.Mutex
	names []string
}

func (c *counting) open(ctx context.Context, name string) (io.ReadCloser, error) {
	c.mu.Lock()
	c.names = append(c.names, name)
	c.mu.Unlock()
	return c.backend.open(ctx, name)
}

func (c *counting) stat(ctx context.Context, name string) (int64, error) {
	c.mu.Lock()
	c.names = append(c.names, name)
	c.mu.Unlock()
	return c.backend.stat(ctx, name)
}

// BlockFirstOpen makes the first opening of an object wait until its context is done.
func BlockFirstOpen(s *Store) (began <-chan struct{}) {
	b := &blocking{backend: s.b, began: make(chan struct{})}
	s.b = b
	return b.began
}

type blocking struct {
	backend
	first sync.Once
	began chan struct{}
}

func (b *blocking) open(ctx context.Context, name string) (io.ReadCloser, error) {
	var err error
	b.first.Do(func() {
		close(b.began)
		<-ctx.Done()
		err = ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	return b.backend.open(ctx, name)
}

// ListInstead is the number of keys from which lookups list all objects.
const ListInstead = listInstead

// Names lists the objects of a store under a prefix, "" for all.
func Names(ctx context.Context, s *Store, prefix string) (names []string, err error) {
	if prefix == "" && s.b.local() != nil {
		prefix = "."
	}
	for o, err := range s.b.list(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		names = append(names, o.name)
	}
	return names, nil
}

// Remove removes an object without the store's knowledge.
func Remove(ctx context.Context, s *Store, name string) error { return s.b.remove(ctx, name) }

// Write writes an object without the store's knowledge.
func Write(ctx context.Context, s *Store, name, content string) error {
	return s.b.write(ctx, name, []byte(content))
}
