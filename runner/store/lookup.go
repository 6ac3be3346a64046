package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"golang.org/x/sync/errgroup"
)

// lookups is how many look-ups of many run at once: each takes a request or two of the length of a round trip.
const lookups = 128

// Where more is wanted than this, a list of everything costs less than a request for each.
const listInstead = 1024

// LookupMany is Lookup for many keys, of which it returns those that are hits. What it learns of a bucket it keeps under
// cacheDir, so that the next time a single request tells whether all of that still holds.
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
	// A collection in between would make what is listed and remembered old. It cannot take what is held.
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

// lookupEach looks up each key, many at once.
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

// lookupBucket looks up keys of which nothing is known. Many records and blobs are found by listing them all.
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
	wanted := make(map[string]bool, len(keys))
	for _, key := range keys {
		wanted[key] = true
	}
	packed, err := s.readPacks(ctx, wanted)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		// Where blobs are gone, the record under its own name may be another one by now.
		if r := packed[key]; r != nil && s.missing(ctx, r.Outputs, stat) == nil {
			found.add(key, r)
		} else {
			rest = append(rest, key)
		}
	}
	return rest, nil
}

// sizes returns the sizes of what is under a prefix, by name.
func (s *Store) sizes(ctx context.Context, prefix string) (map[string]int64, error) {
	sizes := map[string]int64{}
	err := s.listed(ctx, prefix, func(objects []object) {
		for _, o := range objects {
			sizes[o.name] = o.bytes
		}
	})
	return sizes, err
}

// listed lists what is under a prefix that is followed by two hex digits and a slash, in many places at once, and calls do
// for each place, one at a time.
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

// lookupHeld is lookup of a key that is held already where there is a lease.
func (s *Store) lookupHeld(ctx context.Context, key string, stat func(context.Context, string) (int64, error)) (*Record, bool, error) {
	r, err := s.complete(ctx, key, stat)
	if flaw, bad := errors.AsType[*flaw](err); bad {
		s.warn(flaw.Error())
		return nil, false, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return r, err == nil, err
}
