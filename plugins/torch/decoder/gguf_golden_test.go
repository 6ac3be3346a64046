//go:build torch

package decoder

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"surprisal.dev/plugins/torch/tensor"
)

// TestGGUFGolden compares the models of testdata/torch/gguf with the losses of the same weights in safetensors files.
func TestGGUFGolden(t *testing.T) {
	files, err := filepath.Glob("../../../testdata/torch/gguf/*.gguf")
	if err != nil || len(files) != 9 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".gguf")
		t.Run(name, func(t *testing.T) {
			sequences, want := readGolden(t, filepath.Join(goldenDirectory, name))
			for _, ranks := range []int{1, 4} {
				d, heap := load(t, file, Options{Type: tensor.Float32, Devices: slices.Repeat([]tensor.Device{tensor.CPU}, ranks)})
				compareGolden(t, d, heap, sequences, want, float32Near)
			}
		})
	}
}
