package store

import (
	"context"
	"os"
	"time"
)

// SetLiveness shortens the waiting of a store under test.
func SetLiveness(s *Store, poll, patience, expiry time.Duration) {
	live := liveness{poll, patience, expiry}
	switch b := s.b.(type) {
	case *folder:
		b.live = live
	case *bucket:
		b.live = live
	}
}

// Share returns another store on the same bucket, as another machine would open it.
func Share(s *Store) *Store {
	shared := *s.b.(*bucket)
	return &Store{b: &shared, caches: map[string]*folder{}}
}

// Strand ends a lease as if its process had died: nobody refreshes it.
func Strand(s *Store) {
	l := s.leased()
	l.stop()
	<-l.done
}

// ClaimCollector publishes a collector's marker that does nothing.
func ClaimCollector(ctx context.Context, s *Store) error {
	return s.b.claim(ctx, collectorPrefix+random(), nil)
}

// Overwrite replaces a blob's content.
func Overwrite(ctx context.Context, s *Store, digest, content string) error {
	return s.b.write(ctx, blobName(digest), []byte(content))
}

// Adopt publishes a file under a digest that may not be its own, as if it had changed after it was hashed.
func Adopt(ctx context.Context, s *Store, digest string, f *os.File) error {
	return s.b.adopt(ctx, blobName(digest), digest, f)
}
