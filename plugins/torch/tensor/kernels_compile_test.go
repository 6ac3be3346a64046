//go:build torch && python

package tensor

import (
	"os"
	"testing"
)

// TestKernelsCompile compiles the kernels for GPUs with nvrtc, which needs no GPU.
func TestKernelsCompile(t *testing.T) {
	library := os.Getenv("SURPRISAL_NVRTC")
	if library == "" {
		t.Fatal("SURPRISAL_NVRTC is not set; run `just test-nvrtc`, or set it to the path of a libnvrtc.so")
	}
	for _, architecture := range []string{"sm_80", "sm_90", "sm_100", "sm_120"} {
		size, err := compileKernels(library, architecture)
		if err != nil || size < 10000 {
			t.Errorf("%s: %d bytes, %v", architecture, size, err)
		}
	}
	if _, err := compileKernels(library, "sm_1"); err == nil {
		t.Error("code was compiled for an architecture that does not exist")
	}
}
