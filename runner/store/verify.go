package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"surprisal.dev/internal/bounded"
	"surprisal.dev/plugins/protocol"
)

// Problem is a problem in a store.
type Problem struct {
	// Path is the place of the problem.
	Path string `json:"path"`
	// Problem describes the problem, and Fix how to fix it.
	Problem string `json:"problem"`
	Fix     string `json:"fix"`
	// Blob is the digest of the blob that has the problem, or "".
	Blob string `json:"-"`
}

func (p Problem) String() string { return p.Path + ": " + p.Problem + "; " + p.Fix }

// Verify reads the whole store. It checks each blob against its digest, each record against its key and its blobs, and
// each run, job and tag. It returns all problems, sorted by path. It cannot detect a record that refers to blobs of
// another action: anyone who can write to a store can forge such a record. Detecting that takes a check of the outputs,
// or doing the action again; see Records. Verify calls progress, if it is not nil, with the number of blob bytes read,
// from many goroutines.
func (s *Store) Verify(ctx context.Context, progress func(done, total int64)) ([]Problem, error) {
	v := &verification{s: s, progress: progress}
	for _, step := range []func(context.Context) error{v.blobs, v.damaged, v.records, v.runs, v.jobs, v.tags} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("verify store %s: %w", s, err)
		}
	}
	slices.SortFunc(v.problems, func(a, b Problem) int { return strings.Compare(a.Path+a.Problem, b.Path+b.Problem) })
	return v.problems, nil
}

type verification struct {
	s           *Store
	progress    func(done, total int64)
	done, total atomic.Int64

	mu       sync.Mutex
	problems []Problem
}

func (v *verification) add(name, problem, fix string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.problems = append(v.problems, Problem{v.s.b.where(name), problem, fix, blobDigest(name)})
}

// knows reports whether a blob has a problem already.
func (v *verification) knows(digest string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.ContainsFunc(v.problems, func(p Problem) bool { return p.Blob == digest })
}

// fault records an object that is damaged or cannot be read, and ignores one that was removed meanwhile. It returns an
// error if verification should stop.
func (v *verification) fault(ctx context.Context, name string, err error) error {
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	if d, ok := errors.AsType[*damage](err); ok {
		v.add(name, d.found, damageHint)
		return nil
	}
	if b, ok := errors.AsType[*badManifest](err); ok {
		v.add(name, b.found, manifestHint)
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	v.add(name, "cannot be read: "+err.Error(), "check the disk or the network and verify again; if the problem persists, "+damageHint)
	return nil
}

const notOurs = "is not part of a store"

// each calls check for every object, concurrently.
func (v *verification) each(ctx context.Context, objects []object, check func(context.Context, object) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(2, runtime.GOMAXPROCS(0)))
	for _, o := range objects {
		group.Go(func() error { return check(ctx, o) })
	}
	return group.Wait()
}

func (v *verification) list(ctx context.Context, prefix string) ([]object, error) {
	var objects []object
	for o, err := range v.s.b.list(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	return objects, nil
}

func (v *verification) blobs(ctx context.Context) error {
	objects, err := v.list(ctx, "blobs/")
	if err != nil {
		return err
	}
	for _, o := range objects {
		v.total.Add(o.bytes)
	}
	return v.each(ctx, objects, func(ctx context.Context, o object) error {
		digest := blobDigest(o.name)
		if digest == "" {
			v.add(o.name, notOurs, "move it away")
			return nil
		}
		r, err := v.s.open(ctx, digest)
		if err != nil {
			return v.fault(ctx, o.name, err)
		}
		_, err = io.Copy(progressWriter{v}, contextReader{ctx, r})
		return v.fault(ctx, o.name, errors.Join(err, r.Close()))
	})
}

func (v *verification) damaged(ctx context.Context) error {
	objects, err := v.list(ctx, damagedPrefix)
	for _, o := range objects {
		v.add(o.name, "was moved aside: its content does not match its name", "check the disk; `runner gc` removes it")
	}
	return err
}

func (v *verification) jobs(ctx context.Context) error {
	objects, err := v.list(ctx, "jobs/")
	for _, o := range objects {
		if jobKey(o.name) == "" {
			v.add(o.name, notOurs, "move it away")
		} else if o.bytes > maxJob {
			v.add(o.name, (&bounded.TooLargeError{Most: maxJob}).Error(), damageHint)
		}
	}
	return err
}

type progressWriter struct{ v *verification }

func (p progressWriter) Write(b []byte) (int, error) {
	done := p.v.done.Add(int64(len(b)))
	if p.v.progress != nil {
		p.v.progress(done, p.v.total.Load())
	}
	return len(b), nil
}

func (v *verification) records(ctx context.Context) error {
	objects, err := v.list(ctx, "actions/")
	if err != nil {
		return err
	}
	return v.each(ctx, objects, func(ctx context.Context, o object) error {
		key := recordKey(o.name)
		if key == "" {
			v.add(o.name, notOurs, "move it away")
			return nil
		}
		r, err := v.s.GetRecord(ctx, key)
		if err != nil {
			return v.fault(ctx, o.name, err)
		}
		if err := r.check(); err != nil {
			v.add(o.name, err.Error(), damageHint)
			return nil
		}
		for _, f := range r.Outputs {
			size, err := v.s.b.stat(ctx, blobName(f.Digest))
			switch {
			case errors.Is(err, fs.ErrNotExist):
				v.add(o.name, fmt.Sprintf("output %s (%s) does not exist", protocol.Visible(f.Name), f.Digest), "run again to repeat the action that made it")
			case err != nil:
				return err
			case size != f.Bytes && !v.knows(f.Digest):
				v.add(blobName(f.Digest), fmt.Sprintf("has %d bytes, but %s, an output of %s, has %d", size, f.Name, r.Name, f.Bytes), damageHint)
			}
		}
		return nil
	})
}

func (v *verification) runs(ctx context.Context) error {
	objects, err := v.list(ctx, "runs/")
	if err != nil {
		return err
	}
	return v.each(ctx, objects, func(ctx context.Context, o object) error {
		rest := strings.TrimPrefix(o.name, "runs/")
		if id, key, isNote := strings.Cut(rest, "/"); isNote && isName(id) && isHex64(key) {
			return nil
		}
		id, ok := strings.CutSuffix(rest, ".json")
		if !ok || !isName(id) {
			v.add(o.name, notOurs, "move it away")
			return nil
		}
		_, err := v.s.GetRun(ctx, id)
		return v.fault(ctx, o.name, err)
	})
}

func (v *verification) tags(ctx context.Context) error {
	objects, err := v.list(ctx, "tags/")
	if err != nil {
		return err
	}
	return v.each(ctx, objects, func(ctx context.Context, o object) error {
		name, ok := strings.CutSuffix(strings.TrimPrefix(o.name, "tags/"), ".json")
		if !ok || !isName(name) {
			v.add(o.name, notOurs, "move it away")
			return nil
		}
		run, err := v.s.readTag(ctx, name)
		if err != nil {
			return v.fault(ctx, o.name, err)
		}
		if _, err := v.s.b.stat(ctx, runName(run)); errors.Is(err, fs.ErrNotExist) {
			v.add(o.name, fmt.Sprintf("refers to run %s, which does not exist", run), "give the tag to another run, or delete it")
		} else if err != nil {
			return err
		}
		return nil
	})
}
