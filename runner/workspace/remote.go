package workspace

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"surprisal.dev/plugins/hub"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// remoteFile is a file of weights that are not local.
type remoteFile struct {
	name  string
	bytes int64
	// sha256 is hexadecimal, or "" if it is known after a download only.
	sha256 string
}

// remoteWeights is where weights that are not local are, and where their local copies are.
type remoteWeights interface {
	// find lists the files, with the commit if there is one.
	find(ctx context.Context) (files []remoteFile, revision string, err error)
	// fetch returns the path of a local copy, which it downloads if it is not there.
	fetch(ctx context.Context, revision string, f remoteFile) (string, error)
	// begin returns the first bytes of a file, at most n.
	begin(ctx context.Context, revision string, f remoteFile, n int64) ([]byte, error)
	// path is where the local copy of a pinned file is, or would be. All files of a model are in one directory.
	path(pinned protocol.Resolution, file string) string
	// complete puts local copies where path says, for a location that keeps them elsewhere.
	complete(pinned protocol.Resolution, file, copied string) error
	Close() error
}

// Fetched is the progress of a download of weights.
type Fetched struct {
	Model, File string
	// Done and Total are bytes.
	Done, Total int64
}

// remote opens the location of weights.
func (w *Workspace) remote(ctx context.Context, m spec.RemoteWeights) (remoteWeights, error) {
	if m.Hub != nil {
		client, err := hub.FromEnvironment()
		if err != nil {
			return nil, err
		}
		client.Progress = func(p hub.Progress) { w.progress(Fetched{p.Repository.ID, p.File, p.Done, p.Total}) }
		return &hubWeights{client, hub.Repository{Kind: hub.Model, ID: m.Hub.ID}, m.Hub}, nil
	}
	return w.openBucketWeights(ctx, m)
}

func (w *Workspace) progress(f Fetched) {
	if w.options.Fetching != nil {
		w.options.Fetching(f)
	}
}

// isWeights reports whether a file in a directory of safetensors is one of the model's.
func isWeights(name string) bool {
	ext := path.Ext(name)
	return !strings.ContainsRune(name, '/') && !strings.HasPrefix(name, ".") && (ext == ".json" || ext == ".safetensors")
}

// resolveWeights pins weights that are not local, and keeps what a plan needs of them: small files, and the beginning of
// large ones.
func (w *Workspace) resolveWeights(ctx context.Context, config json.RawMessage) (r protocol.Resolution, err error) {
	var m spec.RemoteWeights
	if err := json.Unmarshal(config, &m); err != nil {
		return r, err
	}
	at, err := w.remote(ctx, m)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, at.Close()) }()
	files, revision, err := at.find(ctx)
	if err != nil {
		return r, err
	}
	r = protocol.Resolution{Parameters: json.RawMessage("{}"), Revision: revision, Files: make([]protocol.File, len(files))}
	copies := make([]string, len(files))
	for i, f := range files {
		if f.sha256 == "" {
			if copies[i], err = at.fetch(ctx, revision, f); err != nil {
				return r, err
			}
			if f.sha256, err = w.sha256Of(ctx, copies[i]); err != nil {
				return r, err
			}
			files[i] = f
		}
		r.Files[i] = protocol.File{Name: f.name, Digest: "sha256:" + f.sha256, Bytes: f.bytes}
	}
	for i, f := range files {
		if copies[i] != "" {
			if err := at.complete(r, f.name, copies[i]); err != nil {
				return r, err
			}
		}
	}
	return r, w.outline(ctx, at, r, files, copies)
}

// sha256Of returns the digest of a file in hexadecimal.
func (w *Workspace) sha256Of(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	digest, _, err := w.digests.Digest(ctx, f)
	return strings.TrimPrefix(digest, "sha256:"), err
}

// remoteOf decodes the weights of a model without opening their location.
func remoteOf(m *spec.Weights) spec.RemoteWeights {
	return spec.RemoteWeights{Format: m.Format, Path: m.Path, Hub: m.Hub}
}

var errUnpinned = protocol.Invalid("the weights are not pinned; run `runner pin` and commit the lock file")

// pinnedWeights returns the files of weights that are not local, by the lock file.
func (w *Workspace) pinnedWeights(m *spec.Weights, lock *spec.Lock) ([]protocol.ModelFile, error) {
	provider, config := m.Source()
	pinned, ok, err := locked(lock, provider, config)
	switch {
	case err != nil || lock == nil:
		return nil, err
	case !ok && m.Hub == nil:
		_, err := locateWeights(m.Path)
		return nil, cmp.Or(err, errUnpinned)
	case !ok:
		return nil, errUnpinned
	case len(pinned.Files) == 0:
		return nil, invalid("%s: the entry of these weights has no files; run `runner pin`", spec.LockFile)
	}
	at, err := w.located(remoteOf(m))
	if err != nil {
		return nil, err
	}
	files := make([]protocol.ModelFile, len(pinned.Files))
	for i, f := range pinned.Files {
		if !isWeights(f.Name) && path.Ext(f.Name) != ".gguf" || !filepath.IsLocal(filepath.FromSlash(f.Name)) {
			return nil, invalid("%s: the entry of these weights has the file %q, which cannot be one; run `runner pin`", spec.LockFile, f.Name)
		}
		files[i] = protocol.ModelFile{Name: path.Base(f.Name), Path: at.path(pinned, f.Name), Digest: f.Digest}
	}
	w.missing(m, pinned, files)
	return files, nil
}

// located returns the location of weights, of which only path may be used.
func (w *Workspace) located(m spec.RemoteWeights) (remoteWeights, error) {
	if m.Hub == nil {
		return &bucketWeights{workspace: w}, nil
	}
	client, err := hub.FromEnvironment()
	return &hubWeights{client, hub.Repository{Kind: hub.Model, ID: m.Hub.ID}, m.Hub}, err
}

// absentWeights are pinned weights of which a local copy is missing.
type absentWeights struct {
	weights spec.RemoteWeights
	pinned  protocol.Resolution
}

// missing notes which weights have no local copy.
func (w *Workspace) missing(m *spec.Weights, pinned protocol.Resolution, files []protocol.ModelFile) {
	w.absentMutex.Lock()
	defer w.absentMutex.Unlock()
	for _, f := range files {
		if _, err := os.Stat(f.Path); err != nil {
			w.absent[f.Path] = absentWeights{remoteOf(m), pinned}
		}
	}
}

// Fetch downloads the weights that the unfinished actions of a resolved plan need and that have no local copy.
func (w *Workspace) Fetch(ctx context.Context, p *plan.Plan) error {
	return w.fetchFor(ctx, slices.DeleteFunc(slices.Clone(p.Actions), func(a *plan.Action) bool {
		return a.State == plan.Cached || a.State == plan.Skipped
	}))
}

// fetchFor downloads the weights that actions need and that have no local copy.
func (w *Workspace) fetchFor(ctx context.Context, actions []*plan.Action) error {
	var done []absentWeights
	for _, a := range actions {
		for _, f := range score.LocalWeights(a.Machine) {
			of, ok := w.absent[f.Path]
			if !ok || slices.ContainsFunc(done, func(d absentWeights) bool { return d.weights == of.weights }) {
				continue
			}
			done = append(done, of)
			if err := w.fetchWeights(ctx, of); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetchWeights downloads the files of pinned weights, and compares their digests with the pinned ones.
func (w *Workspace) fetchWeights(ctx context.Context, of absentWeights) (err error) {
	at, err := w.remote(ctx, of.weights)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, at.Close()) }()
	return w.fetchFrom(ctx, at, of.pinned)
}

// fetchFrom downloads the pinned files that have no local copy.
func (w *Workspace) fetchFrom(ctx context.Context, at remoteWeights, pinned protocol.Resolution) error {
	for _, f := range pinned.Files {
		if _, err := os.Stat(at.path(pinned, f.Name)); err == nil {
			continue
		}
		want := strings.TrimPrefix(f.Digest, "sha256:")
		copied, err := at.fetch(ctx, pinned.Revision, remoteFile{f.Name, f.Bytes, want})
		if err != nil {
			return err
		}
		got, err := w.sha256Of(ctx, copied)
		if err != nil {
			return err
		}
		if got != want {
			return &protocol.Error{Kind: protocol.Changed, Message: fmt.Sprintf(
				"the file %s of the weights changed from sha256:%s to sha256:%s since it was pinned; accept the change with `runner pin`", f.Name, want, got)}
		}
		if err := at.complete(pinned, f.Name, copied); err != nil {
			return err
		}
	}
	return nil
}

// hubWeights are weights on a hub. Their local copies are in the hub's own cache.
type hubWeights struct {
	client     *hub.Client
	repository hub.Repository
	model      *spec.HubModel
}

func (h *hubWeights) find(ctx context.Context) ([]remoteFile, string, error) {
	if f := h.model.File; f != "" && !filepath.IsLocal(filepath.FromSlash(f)) {
		return nil, "", invalid("%s: file %q: expected a path within the repository, such as \"model.gguf\"", h.repository, f)
	}
	commit, err := h.client.Commit(ctx, h.repository, h.model.Revision)
	if err != nil {
		return nil, "", err
	}
	all, err := h.client.Files(ctx, h.repository, commit)
	if err != nil {
		return nil, "", err
	}
	var files []remoteFile
	for _, f := range all {
		if h.model.File == "" && isWeights(f.Path) || h.model.File != "" && f.Path == h.model.File {
			files = append(files, remoteFile{f.Path, f.Bytes, f.SHA256})
		}
	}
	if h.model.File != "" && len(files) == 0 {
		return nil, "", invalid("%s, revision %s, has no file %q; it has %s", h.repository, h.model.Revision, h.model.File, namesOf(all, ".gguf"))
	}
	return files, commit, checkModel(fmt.Sprintf("%s, revision %s,", h.repository, h.model.Revision), h.model.File != "", files)
}

// namesOf lists the files with an extension for a message.
func namesOf(files []hub.File, ext string) string {
	var names []string
	for _, f := range files {
		if strings.HasSuffix(f.Path, ext) {
			names = append(names, f.Path)
		}
	}
	if len(names) == 0 {
		return "no " + ext + " file"
	}
	return strings.Join(names[:min(len(names), 10)], ", ")
}

// checkModel returns an error if files are not those of a model in safetensors.
func checkModel(where string, single bool, files []remoteFile) error {
	has := func(is func(name string) bool) bool {
		return slices.ContainsFunc(files, func(f remoteFile) bool { return is(f.name) })
	}
	switch {
	case single:
		return nil
	case !has(func(name string) bool { return name == "config.json" }):
		return invalid("%s has no config.json; use a model in safetensors, or name a file in GGUF", where)
	case !has(func(name string) bool { return path.Ext(name) == ".safetensors" }):
		return invalid("%s has no .safetensors file; use a model in safetensors, or name a file in GGUF", where)
	}
	return nil
}

func (h *hubWeights) file(ctx context.Context, commit string, f remoteFile) (hub.File, error) {
	return h.client.Describe(ctx, h.repository, commit, f.name)
}

func (h *hubWeights) fetch(ctx context.Context, commit string, f remoteFile) (string, error) {
	described, err := h.file(ctx, commit, f)
	if err != nil {
		return "", err
	}
	return h.client.Download(ctx, h.repository, commit, described)
}

func (h *hubWeights) begin(ctx context.Context, commit string, f remoteFile, n int64) ([]byte, error) {
	described, err := h.file(ctx, commit, f)
	if err != nil {
		return nil, err
	}
	ranges, err := h.client.Ranges(ctx, h.repository, commit, described)
	if err != nil {
		return nil, err
	}
	b := make([]byte, min(n, f.bytes))
	_, err = ranges.ReadAt(b, 0)
	return b, err
}

func (h *hubWeights) path(pinned protocol.Resolution, file string) string {
	return h.client.Path(h.repository, pinned.Revision, file)
}

func (*hubWeights) complete(protocol.Resolution, string, string) error { return nil }

// Close does nothing.
func (*hubWeights) Close() error { return nil }
