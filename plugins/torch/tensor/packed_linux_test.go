//go:build torch

package tensor

import (
	"os"
	"strings"
	"testing"
)

// TestPackedHead checks that a processor with products of bfloat16 uses them for the head: without them, the head is
// computed in float32, at half the speed.
func TestPackedHead(t *testing.T) {
	flags, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Fatal(err)
	}
	multiplies := Capability() == "AVX512" && strings.Contains(string(flags), " avx512_bf16")
	if got := HasPackedLayout(BFloat16); got != multiplies {
		t.Errorf("HasPackedLayout(BFloat16) is %v on a processor for which it must be %v", got, multiplies)
	}
	s := NewHeap().NewScope()
	w := s.To(New(s, make([]float32, 128*64), Float32, 128, 64), BFloat16, CPU)
	if packed := len(s.PackFloat32(w).Shape()) == 3; packed != multiplies {
		t.Errorf("a head of 128 tokens is packed: %v, want %v", packed, multiplies)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
