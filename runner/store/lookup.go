package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"golang.org/x/sync/errgroup"
)

// lookups is the maximum number of concurrent lookups. Each takes one or two requests, of a round trip each.
const lookups = 128

// listInstead is the number of keys from which listing everything costs less than a request per key.
const listInstead = 1024

// LookupMany is Lookup for many keys. It returns the records of the hits. For a bucket it caches its findings in
// cacheDir, so that the next call needs only a single request to check them.
func (s *Store) LookupMany(ctx context.Context, keys []string, cacheDir string) (map[string]*Record, error) {
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return nil, err
		}
	}
	if s.leased() != nil {
		if _, err := s.hold(ctx, keys...); err != nil {
			return nil, err
		}
	}
	found := &hits{records: make(map[string]*Record, len(keys))}
	if s.b.local() != nil {
		return found.records, s.lookupEach(ctx, keys, s.b.stat, found)
	}
	if cacheDir == "" {
		return found.records, s.lookupBucket(ctx, keys, found)
	}
	f, err := s.factsIn(ctx, cacheDir)
	if err != nil {
		return nil, err
	}
	// A collection in between would invalidate the generation, but it cannot remove what is held.
	unknown, err := f.known(ctx, keys, found)
	if err != nil || len(unknown) == 0 {
		return found.records, err
	}
	fresh := &hits{records: map[string]*Record{}}
	if err := s.lookupBucket(ctx, unknown, fresh); err != nil {
		return nil, err
	}
	if err := f.add(fresh.records); err != nil {
		return nil, err
	}
	for key, r := range fresh.records {
		found.records[key] = r
	}
	return found.records, nil
}

type hits struct {
	mu      sync.Mutex
	records map[string]*Record
}

func (h *hits) add(key string, r *Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.records[key] = r
}

// lookupEach looks up each key, with many concurrent requests.
func (s *Store) lookupEach(ctx context.Context, keys []string, stat func(context.Context, string) (int64, error), found *hits) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lookups)
	for _, key := range keys {
		group.Go(func() error {
			r, hit, err := s.lookupHeld(ctx, key, stat)
			if hit {
				found.add(key, r)
			}
			return err
		})
	}
	return group.Wait()
}

// lookupBucket looks up keys that are not in the cache. For many keys it lists all records and blobs.
func (s *Store) lookupBucket(ctx context.Context, keys []string, found *hits) error {
	if len(keys) >= listInstead {
		sizes, err := s.sizes(ctx, "actions/")
		if err != nil {
			return err
		}
		var there []string
		for _, key := range keys {
			if _, ok := sizes[recordName(key)]; ok {
				there = append(there, key)
			}
		}
		keys = there
	}
	stat := s.b.stat
	if len(keys) >= listInstead {
		sizes, err := s.sizes(ctx, "blobs/sha256/")
		if err != nil {
			return err
		}
		stat = func(_ context.Context, name string) (int64, error) {
			if size, ok := sizes[name]; ok {
				return size, nil
			}
			return 0, &fs.PathError{Op: "stat", Path: s.b.where(name), Err: fs.ErrNotExist}
		}
	}
	if len(keys) < listInstead {
		return s.lookupEach(ctx, keys, stat, found)
	}
	rest, err := s.lookupPacked(ctx, keys, stat, found)
	if err != nil {
		return err
	}
	return s.lookupEach(ctx, rest, stat, found)
}

// lookupPacked looks up keys that have records in packs, and returns the others.
func (s *Store) lookupPacked(
	ctx context.Context, keys []string, stat func(context.Context, string) (int64, error), found *hits,
) (rest []string, err error) {
	requested := make(map[string]bool, len(keys))
	for _, key := range keys {
		requested[key] = true
	}
	packed, err := s.readPacks(ctx, requested)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		// If blobs are gone, the record under its own name may be a newer one.
		if r := packed[key]; r != nil && s.missing(ctx, r.Outputs, stat) == nil {
			found.add(key, r)
		} else {
			rest = append(rest, key)
		}
	}
	return rest, nil
}

// sizes returns the sizes of the objects under a prefix, by name.
func (s *Store) sizes(ctx context.Context, prefix string) (map[string]int64, error) {
	sizes := map[string]int64{}
	err := s.listed(ctx, prefix, func(objects []object) {
		for _, o := range objects {
			sizes[o.name] = o.bytes
		}
	})
	return sizes, err
}

// listed lists the objects under a prefix that is followed by two hex digits and a slash. It lists the 256 parts
// concurrently and calls do for each part, one at a time.
func (s *Store) listed(ctx context.Context, prefix string, do func([]object)) error {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lookups)
	for i := range 256 {
		group.Go(func() error {
			var part []object
			for o, err := range s.b.list(ctx, fmt.Sprintf("%s%02x/", prefix, i)) {
				if err != nil {
					return err
				}
				part = append(part, o)
			}
			mu.Lock()
			defer mu.Unlock()
			do(part)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("store %s: %w", s, err)
	}
	return nil
}

// lookupHeld is Lookup of a key that is already held, if there is a lease.
func (s *Store) lookupHeld(ctx context.Context, key string, stat func(context.Context, string) (int64, error)) (*Record, bool, error) {
	r, err := s.complete(ctx, key, stat)
	if u, bad := errors.AsType[*unusable](err); bad {
		s.warn(u.Error())
		return nil, false, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return r, err == nil, err
}
