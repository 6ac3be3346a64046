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

	"surprisal.dev/plugins/protocol"
)

// File is a file of an artifact.
type File struct {
	// Name is a relative path with slashes, unique within the artifact.
	Name string `json:"name"`
	// Digest is "sha256:" and 64 hex digits.
	Digest string `json:"digest"`
	Bytes  int64  `json:"bytes"`
}

// Record is a finished action: its descriptor and its outputs.
type Record struct {
	// Key is the key of Descriptor; see KeyOf.
	Key string `json:"key"`
	// Descriptor describes the action completely, as canonical JSON: an object with at least "kind", a string, and
	// "schema", an integer.
	Descriptor json.RawMessage `json:"descriptor"`
	// Name is for people and is not part of the key.
	Name     string    `json:"name"`
	Outputs  []File    `json:"outputs"`
	Warnings []string  `json:"warnings,omitempty"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	// Measured holds measurements that differ between equal runs, such as bytes per second.
	Measured map[string]float64 `json:"measured,omitempty"`
	// Computed describes the hardware and software that computed the outputs, such as the processor class, the device
	// and library versions. It is not part of the key, although outputs may depend on it in their last bits.
	Computed map[string]string `json:"computed,omitempty"`
}

// Kind returns the kind in the descriptor, or "" if it has none.
func (r *Record) Kind() string {
	kind, _, _ := kindAndSchema(r.Descriptor)
	return kind
}

// Schema returns the schema in the descriptor, or 0 if it has none.
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

// Differs returns the names of the outputs in which two records differ, sorted.
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

// check checks a record without its blobs.
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
				return fmt.Errorf("output %q is inside output %q", name, dir)
			}
		}
	}
	return nil
}

// GetRecord returns the record of a key, whether or not its blobs exist. If there is none, the error is fs.ErrNotExist.
func (s *Store) GetRecord(ctx context.Context, key string) (*Record, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	var r *Record
	err := s.read(ctx, recordName(key), maxRecord, damaged, func(data []byte) (err error) {
		r, err = decodeRecord(key, data)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// decodeRecord decodes the record that was published under a key. A descriptor that hashes to its key is in canonical
// form, so this is not checked again.
func decodeRecord(key string, data []byte) (*Record, error) {
	r := new(Record)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, err
	}
	if r.Key != key {
		return nil, fmt.Errorf("it contains key %q", r.Key)
	}
	if got := KeyOf(r.Descriptor); got != key {
		return nil, fmt.Errorf("its descriptor hashes to %s", got)
	}
	if err := r.checkSize(len(data)); err != nil {
		return nil, err
	}
	return r, r.checkOutputs()
}

// Lookup returns the record of a key if it is a hit: the record and all its blobs exist, and the blobs have their
// recorded sizes. A damaged record, or one with missing or truncated blobs, is a miss, which is reported to Warn. If
// the store has a lease, the result stays until the lease ends.
func (s *Store) Lookup(ctx context.Context, key string) (*Record, bool, error) {
	if s.leased() != nil {
		if _, err := s.hold(ctx, key); err != nil {
			return nil, false, err
		}
	}
	return s.lookupHeld(ctx, key, s.b.stat)
}

// unusable is the reason why the record of a key is not a hit.
type unusable struct {
	name string
	err  error
}

func (u *unusable) Error() string { return u.name + " will run again: " + u.err.Error() }
func (u *unusable) Unwrap() error { return u.err }

// complete returns the record of a key if all its blobs exist. Otherwise the error is fs.ErrNotExist if there is no
// record, and an unusable record if there is one.
func (s *Store) complete(ctx context.Context, key string, stat func(context.Context, string) (int64, error)) (*Record, error) {
	r, err := s.GetRecord(ctx, key)
	if _, bad := errors.AsType[*damage](err); bad {
		return nil, &unusable{"the action " + key, err}
	}
	if err != nil {
		return nil, err
	}
	err = s.missing(ctx, r.Outputs, stat)
	_, bad := errors.AsType[*damage](err)
	if _, gone := errors.AsType[*absent](err); bad || gone {
		return nil, &unusable{r.Name, err}
	}
	return r, err
}

// absent is an output whose blob is not in the store.
type absent struct {
	where string
	file  File
}

func (a *absent) Error() string {
	return fmt.Sprintf("%s, the output %s, does not exist", a.where, protocol.Visible(a.file.Name))
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

// Records returns the records of all actions in no particular order, except those that cannot be read; Verify reports
// those. Blobs of a record may be missing.
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

// PutRecord publishes a finished action and returns the record that is now stored under its key. This is r, unless
// there was already a record whose blobs all exist. An existing record stays, because results may differ in their last
// bits between machines; Differs returns the outputs that differ. The blobs of r must already be in the store.
// PutRecord needs a lease. The lease's run then refers to the action, even if it is killed.
func (s *Store) PutRecord(ctx context.Context, r *Record) (*Record, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("action %s: %w", protocol.Visible(r.Name), err)
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
		return nil, fmt.Errorf("action %s: %w; put it first", protocol.Visible(r.Name), err)
	}
	data, err := encode(r)
	if err == nil {
		err = r.checkSize(len(data))
	}
	if err != nil {
		return nil, fmt.Errorf("action %s: %w", protocol.Visible(r.Name), err)
	}
	if err := s.write(ctx, noteName(l.run, r.Key), nil); err != nil {
		return nil, err
	}
	if s.b.local() == nil {
		if err := l.pack.add(r.Key, data); err != nil {
			return nil, fmt.Errorf("action %s: %w", protocol.Visible(r.Name), err)
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

// replaceRecord replaces a record that is damaged or has missing blobs. It keeps and returns a complete one. In a
// directory, one process at a time does this. In a bucket, the last of several concurrent replacements stays.
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
	if _, bad := errors.AsType[*unusable](err); !bad && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return r, s.write(ctx, recordName(r.Key), data)
}

// encode leaves canonical JSON unchanged, unlike json.Marshal.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// sortedKeys returns the keys of a map, sorted.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
