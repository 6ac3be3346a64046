// Package model describes models for the benchmarks of the torch backend.
package model

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"surprisal.dev/plugins/digests"
	"surprisal.dev/plugins/protocol"
)

// Of describes a GGUF file or a directory of safetensors, for a processor.
func Of(path, dtype string) (m protocol.Model, err error) {
	if m.Config, err = json.Marshal(map[string]any{"dtype": dtype, "device": "cpu", "tensorParallel": 1, "threads": 0, "batchTokens": 2048}); err != nil {
		return m, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return m, err
	}
	paths := []string{path}
	if info, err := os.Stat(path); err != nil {
		return m, err
	} else if info.IsDir() {
		if paths, err = filepath.Glob(filepath.Join(path, "*.*s*")); err != nil { // .json and .safetensors
			return m, err
		}
	}
	known := digests.New()
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return m, err
		}
		digest, _, err := known.Digest(context.Background(), f)
		if err := errors.Join(err, f.Close()); err != nil {
			return m, err
		}
		m.Files = append(m.Files, protocol.ModelFile{Name: filepath.Base(path), Path: path, Digest: digest})
	}
	return m, nil
}
