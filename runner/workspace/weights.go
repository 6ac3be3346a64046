package workspace

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/spec"
)

// weights identifies the files of a model, in the first of dirs that has them.
func (w *Workspace) weights(ctx context.Context, m *spec.Weights, dirs []string) (files []protocol.ModelFile, err error) {
	for _, dir := range dirs {
		path := m.Path
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if files, err = w.weightsAt(ctx, m.Format, path); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, invalid("path %q: no such file or directory; check the path", m.Path)
	}
	return files, err
}

func (w *Workspace) weightsAt(ctx context.Context, format, path string) ([]protocol.ModelFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if format == "gguf" {
		if !info.Mode().IsRegular() {
			return nil, invalid("path %q is not a file; use the path of a GGUF file", path)
		}
		f, err := w.modelFile(ctx, path)
		return []protocol.ModelFile{f}, err
	}
	if !info.IsDir() {
		return nil, invalid("path %q is not a directory; use the directory that contains config.json", path)
	}
	names, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []protocol.ModelFile
	for _, n := range names {
		if ext := filepath.Ext(n.Name()); n.IsDir() || ext != ".json" && ext != ".safetensors" || strings.HasPrefix(n.Name(), ".") {
			continue
		}
		f, err := w.modelFile(ctx, filepath.Join(path, n.Name()))
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
func (w *Workspace) modelFile(ctx context.Context, path string) (m protocol.ModelFile, err error) {
	if m.Path, err = filepath.Abs(path); err != nil {
		return m, err
	}
	m.Name = filepath.Base(path)
	f, err := os.Open(path)
	if err != nil {
		return m, err
	}
	defer f.Close()
	m.Digest, _, err = w.digests.Digest(ctx, f)
	return m, err
}

// request returns the request to a provider to resolve a source.
func (w *Workspace) request(config json.RawMessage, dir string, network bool) protocol.ResolveRequest {
	r := protocol.ResolveRequest{Source: protocol.Source{Config: config, Dir: dir}, Network: network, CacheReadOnly: true}
	root, marked, err := openState(w.state)
	if err != nil {
		// Without a usable state directory, digests are not cached.
		return r
	}
	r.Cache, r.CacheReadOnly = w.state, !marked || !w.remembers()
	// The directory was only read.
	_ = root.Close()
	return r
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
