//go:build torch

package backend

import (
	"os"
	"path/filepath"

	"surprisal.dev/plugins/torch/tensor"
)

func loadCUDA() error {
	name := "libtorch_cuda.so"
	if dir := os.Getenv(libraryVariable); dir != "" {
		name = filepath.Join(dir, name)
	}
	return tensor.LoadCUDA(name)
}
