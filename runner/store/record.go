package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// File is a file of an artifact.
type File struct {
	// Name is a relative path with slashes, unique within the artifact.
	Name string `json:"name"`
	// Digest is "sha256:" and 64 hex digits.
	Digest string `json:"digest"`
	Bytes  int64  `json:"bytes"`
}

// Record is a finished action: what it was and what it made.
type Record struct {
	// Key is the hash of Kind, Schema and Parts; see Key.
	Key    string `json:"key"`
	Kind   string `json:"kind"`
	Schema int    `json:"schema"`
	// Name is for people and is not part of the key.
	Name string `json:"name"`
	// Parts is the canonical JSON that went into the key.
	Parts    json.RawMessage `json:"parts"`
	Outputs  []File          `json:"outputs"`
	Warnings []string        `json:"warnings,omitempty"`
	Started  time.Time       `json:"started"`
	Finished time.Time       `json:"finished"`
	// Measured holds figures that differ between equal runs, such as bytes per second.
	Measured map[string]float64 `json:"measured,omitempty"`
}

// check says what is wrong with a record, short of looking at its blobs.
func (r *Record) check() error {
	key, canonical, err := Key(r.Kind, r.Schema, r.Parts)
	switch {
	case err != nil:
		return err
	case !bytes.Equal(canonical, r.Parts):
		return errors.New("its parts are not in canonical form")
	case key != r.Key:
		return fmt.Errorf("its parts hash to %s, not to its key %q", key, r.Key)
	}
	return r.checkOutputs()
}

func (r *Record) checkOutputs() error {
	names := map[string]bool{}
	for _, f := range r.Outputs {
		if !fs.ValidPath(f.Name) || f.Name == "." || f.Name == sidecar || strings.ContainsAny(f.Name, "\\\x00") {
			return fmt.Errorf("output name %q is not a relative path with slashes", f.Name)
		}
		if names[f.Name] {
			return fmt.Errorf("two outputs are named %q", f.Name)
		}
		names[f.Name] = true
		if err := checkDigest(f.Digest); err != nil {
			return fmt.Errorf("output %q: %w", f.Name, err)
		}
	}
	for name := range names {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if names[dir] {
				return fmt.Errorf("output %q lies within output %q", name, dir)
			}
		}
	}
	return nil
}

// GetRecord returns the record of a key, whether or not its blobs exist. A missing record is fs.ErrNotExist.
func (s *Store) GetRecord(ctx context.Context, key string) (*Record, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	data, err := s.readAll(ctx, recordName(key))
	if err != nil {
		return nil, err
	}
	r := new(Record)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, &damage{s.b.where(recordName(key)), err.Error()}
	}
	if r.Key != key {
		return nil, &damage{s.b.where(recordName(key)), fmt.Sprintf("it holds key %q", r.Key)}
	}
	if err := r.checkOutputs(); err != nil {
		return nil, &damage{s.b.where(recordName(key)), err.Error()}
	}
	return r, nil
}

// Lookup returns the record of a key if it is a hit, that is if all its blobs exist. A blob that exists with another size
// than recorded is an error. Where the store has a lease, what was found stays until the lease ends.
func (s *Store) Lookup(ctx context.Context, key string) (*Record, bool, error) {
	return s.lookup(ctx, key, s.b.stat)
}

func (s *Store) lookup(ctx context.Context, key string, stat func(context.Context, string) (int64, error)) (*Record, bool, error) {
	if s.leased() != nil {
		if _, err := s.hold(ctx, key); err != nil {
			return nil, false, err
		}
	}
	r, err := s.GetRecord(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	missing, err := s.missing(ctx, r.Outputs, stat)
	if err != nil || missing != "" {
		return nil, false, err
	}
	return r, true, nil
}

// missing returns the digest of a blob that does not exist, "" if all do.
func (s *Store) missing(ctx context.Context, files []File, stat func(context.Context, string) (int64, error)) (string, error) {
	for _, f := range files {
		size, err := stat(ctx, blobName(f.Digest))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return f.Digest, nil
		case err != nil:
			return "", fmt.Errorf("store %s: %w", s, err)
		case size != f.Bytes:
			return "", &damage{s.b.where(blobName(f.Digest)), fmt.Sprintf("it has %d bytes, not %d", size, f.Bytes)}
		}
	}
	return "", nil
}

// Index is a list of what a store holds, for looking up many keys in a bucket without a request for each blob.
type Index struct {
	s *Store
	// sizes is nil for a folder, where looking is as cheap as listing.
	sizes map[string]int64
	// at tells whether blobs may have been collected since.
	at generation
}

// Index lists the store once. A record made later may be missed.
func (s *Store) Index(ctx context.Context) (*Index, error) {
	x := &Index{s: s, at: s.generation()}
	if s.b.local() != nil {
		return x, nil
	}
	x.sizes = map[string]int64{}
	for _, prefix := range []string{"actions/", "blobs/"} {
		for o, err := range s.b.list(ctx, prefix) {
			if err != nil {
				return nil, fmt.Errorf("store %s: %w", s, err)
			}
			x.sizes[o.name] = o.bytes
		}
	}
	return x, nil
}

// Lookup is Store.Lookup from the list.
func (x *Index) Lookup(ctx context.Context, key string) (*Record, bool, error) {
	if err := checkKey(key); err != nil {
		return nil, false, err
	}
	if x.sizes == nil {
		return x.s.Lookup(ctx, key)
	}
	if _, ok := x.sizes[recordName(key)]; !ok {
		return nil, false, nil
	}
	return x.s.lookup(ctx, key, func(ctx context.Context, name string) (int64, error) {
		if size, ok := x.sizes[name]; ok && x.at == x.s.generation() {
			return size, nil
		}
		return x.s.b.stat(ctx, name)
	})
}

// PutRecord publishes a finished action. Its blobs must be there already. It needs a lease, whose run then reaches the
// action even if it is killed.
func (s *Store) PutRecord(ctx context.Context, r *Record) error {
	if err := r.check(); err != nil {
		return fmt.Errorf("action %s: %w", r.Name, err)
	}
	holds := []string{r.Key}
	for _, f := range r.Outputs {
		holds = append(holds, f.Digest)
	}
	l, err := s.hold(ctx, holds...)
	if err != nil {
		return err
	}
	missing, err := s.missing(ctx, r.Outputs, s.b.stat)
	if err != nil {
		return fmt.Errorf("action %s: %w", r.Name, err)
	}
	if missing != "" {
		return fmt.Errorf("action %s: output %s is not in store %s; put it first", r.Name, missing, s)
	}
	data, err := encode(r)
	if err != nil {
		return fmt.Errorf("action %s: %w", r.Name, err)
	}
	if err := s.write(ctx, noteName(l.Run, r.Key), nil); err != nil {
		return err
	}
	return s.write(ctx, recordName(r.Key), data)
}

// encode keeps canonical JSON as it is, which json.Marshal would not.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// sortedKeys returns a map's keys in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
