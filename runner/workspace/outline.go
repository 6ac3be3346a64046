package workspace

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path"
	"path/filepath"

	"surprisal.dev/plugins/protocol"
)

// An outline of weights is a directory with their small files and, for each large file, one of its size that has only its
// beginning: the rest is a hole. A backend's estimate reads no more than that, so that a plan can show what a model
// needs before it is downloaded.

const (
	// maxHeader is the largest header of a safetensors file that is read, and the largest file of JSON.
	maxHeader = 100 << 20
	// ggufBeginning has the metadata and the tokenizer of most GGUF files.
	ggufBeginning = 32 << 20
)

// outlineDir is the directory of the outline of pinned weights.
func outlineDir(pinned protocol.Resolution) (string, error) {
	return weightsCache("outlines", identity(pinned))
}

// outline makes the outline of weights that are not local, unless it is there. copies are the paths of files that are.
func (w *Workspace) outline(ctx context.Context, at remoteWeights, pinned protocol.Resolution, files []remoteFile, copies []string) (err error) {
	dir, err := outlineDir(pinned)
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return unwritable(err)
	}
	temporary, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	if err != nil {
		return unwritable(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
	for i, f := range files {
		to := filepath.Join(temporary, path.Base(f.name))
		if copies[i] != "" {
			err = os.Symlink(copies[i], to)
		} else {
			err = w.outlineFile(ctx, at, pinned.Revision, f, to)
		}
		if err != nil {
			return err
		}
	}
	if err := os.Chmod(temporary, 0o755); err != nil {
		return unwritable(err)
	}
	if err := os.Rename(temporary, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return unwritable(err)
	}
	return nil
}

// outlineFile writes the beginning of a file, and gives it the size of the whole. Files of JSON, such as tokenizers, can
// only be read as a whole.
func (w *Workspace) outlineFile(ctx context.Context, at remoteWeights, revision string, f remoteFile, to string) (err error) {
	n := int64(ggufBeginning)
	switch path.Ext(f.name) {
	case ".json":
		n = maxHeader
	case ".safetensors":
		size, err := at.begin(ctx, revision, f, 8)
		if err != nil {
			return err
		}
		header := int64(0)
		if len(size) == 8 {
			header = int64(min(binary.LittleEndian.Uint64(size), maxHeader))
		}
		n = 8 + header
	}
	beginning, err := at.begin(ctx, revision, f, n)
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return unwritable(err)
	}
	_, err = out.Write(beginning)
	return unwritable(errors.Join(err, out.Truncate(f.bytes), out.Close()))
}

// outlined returns files to estimate a model with: the given ones, or those of the outline if some have no local copy.
// ok is false if there is neither.
func (w *Workspace) outlined(files []protocol.ModelFile) (_ []protocol.ModelFile, ok bool) {
	w.absentMutex.Lock()
	defer w.absentMutex.Unlock()
	var of *absentWeights
	for _, f := range files {
		if absent, missing := w.absent[f.Path]; missing {
			of = &absent
		}
	}
	if of == nil {
		return files, true
	}
	dir, err := outlineDir(of.pinned)
	if err != nil {
		return nil, false
	}
	outline := make([]protocol.ModelFile, len(files))
	for i, f := range files {
		outline[i] = f
		outline[i].Path = filepath.Join(dir, f.Name)
		if _, err := os.Stat(outline[i].Path); err != nil {
			return nil, false
		}
	}
	return outline, true
}
