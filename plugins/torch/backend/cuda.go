//go:build torch

package backend

import (
	"os"
	"path/filepath"

	"surprisal.dev/plugins/torch/tensor"
)

// libraryVariable names the directory of libtorch's libraries, for a machine on which this program's linked path does
// not exist.
const libraryVariable = "LIBTORCH_LIBRARY_PATH"

func loadCUDA() error {
	name := "libtorch_cuda.so"
	if dir := os.Getenv(libraryVariable); dir != "" {
		name = filepath.Join(dir, name)
	}
	return tensor.LoadCUDA(name)
}
