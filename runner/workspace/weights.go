package workspace

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"surprisal.dev/internal/address"
	"surprisal.dev/internal/confine"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/spec"
)

// place is a directory in which relative paths start.
type place struct {
	dir string
	// confine is the directory outside of which no file may be read, or "".
	confine string
}

// path returns the path of a file that a spec names.
func (p place) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(p.dir, name)
}

// weights identifies the files of a model: local ones in the first of the places that has them, and others by the lock
// file. lock is nil if that is damaged.
func (w *Workspace) weights(ctx context.Context, m *spec.Weights, places []place, lock *spec.Lock) (files []protocol.ModelFile, err error) {
	if m.Remote() {
		return w.pinnedWeights(m, lock)
	}
	for _, p := range places {
		if files, err = w.weightsAt(ctx, m.Format, p.path(m.Path), p.confine); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, invalid("path %q: no such file or directory; check the path", address.Printable(m.Path))
	}
	return files, err
}

func (w *Workspace) weightsAt(ctx context.Context, format, path, confined string) ([]protocol.ModelFile, error) {
	info, err := confine.Stat(confined, path)
	if err != nil {
		return nil, err
	}
	if format == "gguf" {
		if !info.Mode().IsRegular() {
			return nil, invalid("path %q is not a file; use the path of a GGUF file", path)
		}
		f, err := w.modelFile(ctx, path, confined)
		return []protocol.ModelFile{f}, err
	}
	if !info.IsDir() {
		return nil, invalid("path %q is not a directory; use the directory that contains config.json", path)
	}
	names, err := confine.ReadDir(confined, path)
	if err != nil {
		return nil, err
	}
	var files []protocol.ModelFile
	for _, n := range names {
		if ext := filepath.Ext(n.Name()); n.IsDir() || ext != ".json" && ext != ".safetensors" || strings.HasPrefix(n.Name(), ".") {
			continue
		}
		f, err := w.modelFile(ctx, filepath.Join(path, n.Name()), confined)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	if !slices.ContainsFunc(files, func(f protocol.ModelFile) bool { return f.Name == "config.json" }) {
		return nil, invalid("config.json not found in the directory %q; use the directory of a model", path)
	}
	return files, nil
}

// modelFile returns a file with its digest. The digest of an unchanged file comes from the cache.
func (w *Workspace) modelFile(ctx context.Context, path, confined string) (m protocol.ModelFile, err error) {
	if m.Path, err = filepath.Abs(path); err != nil {
		return m, err
	}
	m.Name = filepath.Base(path)
	if !utf8.ValidString(m.Path) {
		return m, invalid("path %q is not valid UTF-8; rename the file or its directory", m.Path)
	}
	f, err := confine.Open(confined, path)
	if err != nil {
		return m, err
	}
	defer f.Close()
	m.Digest, _, err = w.digests.Digest(ctx, f)
	return m, err
}

// request returns the request to a provider to resolve a source in a place.
func (w *Workspace) request(config json.RawMessage, at place, network bool) (r protocol.ResolveRequest, err error) {
	r = protocol.ResolveRequest{Source: protocol.Source{Config: config, Dir: at.dir}, Network: network, CacheReadOnly: true}
	if !utf8.ValidString(at.dir) {
		return r, invalid("the path of the directory %q is not valid UTF-8; rename or move it", at.dir)
	}
	if at.confine != "" {
		if r.Source.Confine, err = filepath.Abs(at.confine); err != nil {
			return r, err
		}
	}
	root, marked, err := openState(w.state)
	if err != nil {
		// Without a usable state directory, digests are not cached.
		return r, nil //nolint:nilerr // As the comment says.
	}
	r.Cache, r.CacheReadOnly = w.state, !marked || !w.remembers()
	// The directory was only read.
	_ = root.Close()
	return r, nil
}

// remembers reports whether digests are written to the state directory. If it is not writable, they are not: they only
// save time.
func (w *Workspace) remembers() bool {
	return w.options.Remember && unix.Access(w.state, unix.W_OK) == nil
}

// saveDigests writes the digests of weights to the state directory. If that fails, the run continues and the next one
// takes longer.
func (w *Workspace) saveDigests(ctx context.Context) {
	if !w.remembers() {
		return
	}
	if err := w.digests.Save(ctx); err != nil {
		w.log.Warn("cannot save the digests of weights; the next plan reads the files again", "error", err)
	}
}
