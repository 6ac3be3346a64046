package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"gocloud.dev/blob"

	"surprisal.dev/internal/address"
	"surprisal.dev/plugins/bucket"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Export writes the files of an artifact to dir, a directory or the URL of one in a bucket, in a form that other tools read, and returns their names. dir must not
// exist or be empty. what is the name or key that the user gave: if several datasets share the artifact, it selects the
// labels.
func (w *Workspace) Export(ctx context.Context, r *store.Record, what, dir string) ([]string, error) {
	if begin := address.Mistyped(dir); begin != "" {
		return nil, invalid(`cannot export to %s: a URL begins with %s; put "./" before the path of a directory`, address.Printable(dir), begin)
	}
	if store.IsURL(dir) {
		return w.exportTo(ctx, r, what, dir)
	}
	d, err := plan.ReadDescriptor(r.Descriptor)
	if err != nil {
		return nil, err
	}
	exporter, ok := w.kind(d.Kind).(action.Exporter)
	if !ok {
		names := make([]string, len(r.Outputs))
		for i, f := range r.Outputs {
			names[i] = f.Name
		}
		return names, w.Store.Export(ctx, r, dir)
	}
	labels, err := w.labels(ctx, r, what)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if len(entries) > 0 {
		return nil, invalid("cannot export to %s: the directory is not empty; remove it or use another directory", dir)
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, invalid("cannot export to %s: it is a file; remove it or use a directory", dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return nil, err
	}
	partial, err := os.MkdirTemp(parent, ".export-*.partial")
	if err != nil {
		return nil, err
	}
	names, err := exporter.Export(ctx, w.files(r), labels, partial)
	if err == nil {
		err = describe(r, partial)
	}
	if err == nil {
		err = os.Rename(partial, dir)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(partial))
	}
	return names, nil
}

// describe writes the record of an artifact into the directory of its files.
func describe(r *store.Record, dir string) error {
	data, err := r.SidecarJSON()
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, store.Sidecar), data, 0o644), os.Chmod(dir, 0o755))
}

// labels returns the labels of an action in the current spec.
func (w *Workspace) labels(ctx context.Context, r *store.Record, what string) (plan.Labels, error) {
	p, err := w.Plan(ctx)
	if err != nil {
		return plan.Labels{}, err
	}
	if err := w.Resolve(ctx, p); err != nil {
		return plan.Labels{}, err
	}
	var found *plan.Action
	for _, a := range p.Actions {
		if a.Key == r.Key && (found == nil || a.Name == what || strings.HasSuffix(a.Name, " "+what)) {
			found = a
		}
	}
	if found == nil {
		return plan.Labels{}, invalid("the specification no longer has the action %s, so the names of its dataset and tags are unknown; "+
			"export it with the specification that it was run with", r.Name)
	}
	return found.Labels, nil
}

// exportTo exports to a bucket. Objects are never replaced; the description of the artifact is the last to be written.
func (w *Workspace) exportTo(ctx context.Context, r *store.Record, what, location string) (names []string, err error) {
	rest, options, _ := strings.Cut(location, "?")
	scheme, rest, _ := strings.Cut(rest, "://")
	name, key, _ := strings.Cut(rest, "/")
	key = strings.Trim(key, "/")
	if name == "" || key == "" {
		return nil, invalid("cannot export to %s: expected s3://BUCKET/DIRECTORY or gs://BUCKET/DIRECTORY", address.Printable(location))
	}
	b, err := bucket.Open(ctx, scheme, name, options, bucket.FromUser)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	return w.upload(ctx, r, what, b, key)
}

// upload exports to a directory of a bucket.
func (w *Workspace) upload(ctx context.Context, r *store.Record, what string, b *blob.Bucket, key string) (names []string, err error) {
	switch o, err := b.List(&blob.ListOptions{Prefix: key + "/"}).Next(ctx); {
	case err == nil:
		return nil, invalid("cannot export to %s: the bucket has %s; use another directory", key, o.Key)
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	dir, err := os.MkdirTemp("", "surprisal-export-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	local := filepath.Join(dir, "files")
	if names, err = w.Export(ctx, r, what, local); err != nil {
		return nil, err
	}
	for _, file := range append(slices.Clone(names), store.Sidecar) {
		if err := put(ctx, b, key+"/"+file, filepath.Join(local, filepath.FromSlash(file))); err != nil {
			return nil, fmt.Errorf("exporting to %s/%s: %w", key, file, err)
		}
	}
	return names, nil
}

// put writes a file to a bucket, unless the bucket has it.
func put(ctx context.Context, b *blob.Bucket, key, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return b.Upload(ctx, key, f, &blob.WriterOptions{ContentType: "application/octet-stream", IfNotExist: true})
}
