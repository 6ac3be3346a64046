//go:build torch && cuda

package decoder

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"surprisal.dev/plugins/torch/tensor"
)

// TestCUDA compares each family with transformers on one GPU, with one rank and with two that share it, and on two GPUs
// if there are two.
func TestCUDA(t *testing.T) {
	if err := tensor.LoadCUDA(filepath.Join(os.Getenv("LIBTORCH_LIBRARY_PATH"), "libtorch_cuda.so")); err != nil {
		t.Fatal(err)
	}
	placements := [][]tensor.Device{{0}, {0, 0}}
	switch n := tensor.CUDADevices(); {
	case n == 0:
		t.Fatal("there is no CUDA device")
	case n > 1:
		placements = append(placements, []tensor.Device{0, 1})
	}
	for _, directory := range families(t) {
		for _, devices := range placements {
			t.Run(fmt.Sprintf("%s/%v", filepath.Base(directory), devices), func(t *testing.T) {
				testGolden(t, directory, Options{Type: tensor.Float32, Devices: devices}, float32Near)
				testGolden(t, directory, Options{Type: tensor.BFloat16, Devices: devices}, coarseNear(t, directory))
				d, _ := load(t, directory, Options{Devices: devices})
				testConfidence(t, d, directory)
				testConfidenceBits(t, d, directory)
				testTopKMass(t, d, directory)
				testActivations(t, d, directory)
			})
		}
	}
}
