package workspace

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
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
		return nil, invalid("path %q: there is no such file or folder; check the path", m.Path)
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
			return nil, invalid("path %q is not a file; name a GGUF file", path)
		}
		f, err := w.modelFile(ctx, path)
		return []protocol.ModelFile{f}, err
	}
	if !info.IsDir() {
		return nil, invalid("path %q is not a folder; name the folder that holds config.json", path)
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
		return nil, invalid("folder %q holds no config.json; name the folder of a model", path)
	}
	return files, nil
}

// modelFile digests a file, or takes the digest of a file that has not changed since a run wrote it down.
func (w *Workspace) modelFile(ctx context.Context, path string) (f protocol.ModelFile, err error) {
	if f.Path, err = filepath.Abs(path); err != nil {
		return f, err
	}
	f.Name = filepath.Base(path)
	info, err := os.Stat(path)
	if err != nil {
		return f, err
	}
	known := w.digests.get(f.Path, info)
	if known == "" {
		if known, _, err = store.CopyObject(ctx, io.Discard, path); err != nil {
			return f, err
		}
		w.digests.put(f.Path, info, known)
	}
	f.Digest = known
	return f, nil
}

// digests remembers the digests of large files, because reading them takes longer than the rest of a plan. A file is
// known by its size and the time of its last change, as in make; a file that changed in the last seconds is not
// remembered, for the clock of a file system may be coarse.
type digests struct {
	path    string
	entries map[string]digestEntry
	changed bool
}

type digestEntry struct {
	Bytes    int64     `json:"bytes"`
	Modified time.Time `json:"modified"`
	Digest   string    `json:"digest"`
}

// openDigests reads what runs of this folder wrote down. A file that cannot be read is as good as none.
func openDigests(path string) *digests {
	d := &digests{path: path, entries: map[string]digestEntry{}}
	if data, err := os.ReadFile(path); err == nil && json.Unmarshal(data, &d.entries) != nil {
		d.entries = map[string]digestEntry{}
	}
	return d
}

func (d *digests) get(path string, info fs.FileInfo) string {
	if e, ok := d.entries[path]; ok && e.Bytes == info.Size() && e.Modified.Equal(info.ModTime()) {
		return e.Digest
	}
	return ""
}

func (d *digests) put(path string, info fs.FileInfo, digest string) {
	const settled = 2 * time.Second
	if time.Since(info.ModTime()) > settled {
		d.entries[path] = digestEntry{info.Size(), info.ModTime(), digest}
		d.changed = true
	}
}

// save writes the digests down, whole or not at all. Only runs do that: a plan writes nothing.
func (d *digests) save() error {
	if !d.changed {
		return nil
	}
	data, err := json.MarshalIndent(d.entries, "", "\t")
	if err != nil {
		return err
	}
	temporary := d.path + ".new"
	if err := os.WriteFile(temporary, data, 0o644); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	d.changed = false
	return os.Rename(temporary, d.path)
}
