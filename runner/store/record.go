package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
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
	// Key is the key of Descriptor; see KeyOf.
	Key string `json:"key"`
	// Descriptor is all there is of the action, as canonical JSON: an object with at least "kind", a string, and "schema", a
	// whole number.
	Descriptor json.RawMessage `json:"descriptor"`
	// Name is for people and is not part of the key.
	Name     string    `json:"name"`
	Outputs  []File    `json:"outputs"`
	Warnings []string  `json:"warnings,omitempty"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	// Measured holds figures that differ between equal runs, such as bytes per second.
	Measured map[string]float64 `json:"measured,omitempty"`
	// Computed says what computed the outputs, such as the class of the processor, the device and versions of libraries. It
	// is not part of the key, though outputs may depend on it in their last bits.
	Computed map[string]string `json:"computed,omitempty"`
}

// Kind returns the kind that the descriptor names, "" if it names none.
func (r *Record) Kind() string {
	kind, _, _ := kindAndSchema(r.Descriptor)
	return kind
}

// Schema returns the schema that the descriptor names, 0 if it names none.
func (r *Record) Schema() int {
	_, schema, _ := kindAndSchema(r.Descriptor)
	return schema
}

func kindAndSchema(descriptor []byte) (kind string, schema int, err error) {
	var d struct {
		Kind   *string `json:"kind"`
		Schema *int    `json:"schema"`
	}
	switch err := json.Unmarshal(descriptor, &d); {
	case err != nil:
		return "", 0, err
	case d.Kind == nil || *d.Kind == "":
		return "", 0, errors.New(`"kind" is missing`)
	case d.Schema == nil:
		return *d.Kind, 0, errors.New(`"schema" is missing`)
	}
	return *d.Kind, *d.Schema, nil
}

// Differs names the files in which the outputs of two records differ, sorted.
func (r *Record) Differs(other *Record) []string {
	digests := map[string]string{}
	for _, f := range r.Outputs {
		digests[f.Name] = f.Digest
	}
	differ := map[string]bool{}
	for _, f := range other.Outputs {
		if digests[f.Name] != f.Digest {
			differ[f.Name] = true
		}
		delete(digests, f.Name)
	}
	for name := range digests {
		differ[name] = true
	}
	return sortedKeys(differ)
}

// check says what is wrong with a record, short of looking at its blobs.
func (r *Record) check() error {
	canonical, err := Canonical(r.Descriptor)
	if err != nil {
		return fmt.Errorf("its descriptor: %w", err)
	}
	if !bytes.Equal(canonical, r.Descriptor) {
		return errors.New("its descriptor is not in canonical form")
	}
	if key := KeyOf(r.Descriptor); key != r.Key {
		return fmt.Errorf("its descriptor hashes to %s, not to its key %q", key, r.Key)
	}
	if _, _, err := kindAndSchema(r.Descriptor); err != nil {
		return fmt.Errorf("its descriptor: %w", err)
	}
	return r.checkOutputs()
}

func (r *Record) checkOutputs() error {
	names := map[string]bool{}
	for _, f := range r.Outputs {
		if !fs.ValidPath(f.Name) || f.Name == "." || f.Name == Sidecar || strings.ContainsAny(f.Name, "\\\x00") {
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
	r, err := decodeRecord(key, data)
	if err != nil {
		return nil, &damage{s.b.where(recordName(key)), err.Error()}
	}
	return r, nil
}

// decodeRecord reads the record that was published under a key. A descriptor that hashes to its key is in the form in which
// the key was made, so that is not checked again.
func decodeRecord(key string, data []byte) (*Record, error) {
	r := new(Record)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, err
	}
	if r.Key != key {
		return nil, fmt.Errorf("it holds key %q", r.Key)
	}
	if got := KeyOf(r.Descriptor); got != key {
		return nil, fmt.Errorf("its descriptor hashes to %s", got)
	}
	return r, r.checkOutputs()
}

// Lookup returns the record of a key if it is a hit, that is if it and all its blobs exist and have their sizes. A record
// that is damaged, or whose blobs are gone or truncated, is a miss, of which Warn is told. Where the store has a lease, what
// was found stays until the lease ends.
func (s *Store) Lookup(ctx context.Context, key string) (*Record, bool, error) {
	if s.leased() != nil {
		if _, err := s.hold(ctx, key); err != nil {
			return nil, false, err
		}
	}
	return s.lookupHeld(ctx, key, s.b.stat)
}

// flaw says why the record that stands under a key is as good as none.
type flaw struct {
	name string
	err  error
}

func (f *flaw) Error() string { return f.name + " is made again: " + f.err.Error() }
func (f *flaw) Unwrap() error { return f.err }

// complete returns the record of a key if all its blobs exist. Otherwise the error is fs.ErrNotExist where there is no
// record, and a flaw where there is one.
func (s *Store) complete(ctx context.Context, key string, stat func(context.Context, string) (int64, error)) (*Record, error) {
	r, err := s.GetRecord(ctx, key)
	if _, bad := errors.AsType[*damage](err); bad {
		return nil, &flaw{"the action " + key, err}
	}
	if err != nil {
		return nil, err
	}
	err = s.missing(ctx, r.Outputs, stat)
	_, bad := errors.AsType[*damage](err)
	if _, gone := errors.AsType[*absent](err); bad || gone {
		return nil, &flaw{r.Name, err}
	}
	return r, err
}

// absent is an output whose blob is not in the store.
type absent struct {
	where string
	file  File
}

func (a *absent) Error() string {
	return fmt.Sprintf("%s: does not exist; it is the output %s", a.where, a.file.Name)
}

// missing fails with absent or damage if a blob does not exist with its size.
func (s *Store) missing(ctx context.Context, files []File, stat func(context.Context, string) (int64, error)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(requests)
	for _, f := range files {
		check := func() error {
			size, err := stat(ctx, blobName(f.Digest))
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return &absent{s.b.where(blobName(f.Digest)), f}
			case err != nil:
				return fmt.Errorf("store %s: %w", s, err)
			case size != f.Bytes:
				return &damage{s.b.where(blobName(f.Digest)), fmt.Sprintf("it has %d bytes, not %d", size, f.Bytes)}
			}
			return nil
		}
		if s.b.local() == nil {
			group.Go(check)
		} else if err := check(); err != nil {
			return err
		}
	}
	return group.Wait()
}

// Records returns the records of all actions in no order, those apart that cannot be read: of them Verify tells. A record
// may lack blobs.
func (s *Store) Records(ctx context.Context) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		for o, err := range s.b.list(ctx, "actions/") {
			if err != nil {
				yield(nil, fmt.Errorf("store %s: %w", s, err))
				return
			}
			key := recordKey(o.name)
			if key == "" {
				continue
			}
			r, err := s.GetRecord(ctx, key)
			_, bad := errors.AsType[*damage](err)
			if bad || errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// PutRecord publishes a finished action and returns the record that now stands under its key: r, unless one stood there
// already whose blobs all exist. That one stays, since results may differ in their last bits between machines; Differs names
// the outputs in which it is another. The blobs of r must be in the store already. PutRecord needs a lease, whose run then
// reaches the action even if it is killed.
func (s *Store) PutRecord(ctx context.Context, r *Record) (*Record, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("action %s: %w", r.Name, err)
	}
	holds := []string{r.Key}
	for _, f := range r.Outputs {
		holds = append(holds, f.Digest)
	}
	l, err := s.hold(ctx, holds...)
	if err != nil {
		return nil, err
	}
	stat := func(ctx context.Context, name string) (int64, error) {
		if size, ok := l.stat(name); ok {
			return size, nil
		}
		return s.b.stat(ctx, name)
	}
	if err := s.missing(ctx, r.Outputs, stat); err != nil {
		return nil, fmt.Errorf("action %s: %w; put it first", r.Name, err)
	}
	data, err := encode(r)
	if err != nil {
		return nil, fmt.Errorf("action %s: %w", r.Name, err)
	}
	if err := s.write(ctx, noteName(l.run, r.Key), nil); err != nil {
		return nil, err
	}
	if s.b.local() == nil {
		if err := l.pack.add(r.Key, data); err != nil {
			return nil, fmt.Errorf("action %s: %w", r.Name, err)
		}
	}
	err = s.b.create(ctx, recordName(r.Key), data)
	if errors.Is(err, fs.ErrExist) {
		return s.replaceRecord(ctx, r, data)
	}
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", s, err)
	}
	return r, nil
}

// replaceRecord publishes a record over one that is damaged or lacks blobs. A complete one stays and is returned. In a
// directory one process at a time does so; in a bucket the last one of those that do so at the same moment stays.
func (s *Store) replaceRecord(ctx context.Context, r *Record, data []byte) (_ *Record, err error) {
	if d := s.b.local(); d != nil {
		release, err := d.lockFile(ctx, replaceLock)
		if err != nil {
			return nil, fmt.Errorf("store %s: %w", s, err)
		}
		defer func() { err = errors.Join(err, release()) }()
	}
	old, err := s.complete(ctx, r.Key, s.b.stat)
	if err == nil {
		return old, nil
	}
	if _, bad := errors.AsType[*flaw](err); !bad && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return r, s.write(ctx, recordName(r.Key), data)
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
