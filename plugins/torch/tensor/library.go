//go:build torch

package tensor

// #cgo CXXFLAGS: -std=c++17 -O3 -DSURPRISAL -g
// #include <stdlib.h>
// #include "extra.h"
import "C"

import (
	"fmt"
	"unsafe"
)

// Version returns the version of libtorch that this program was compiled with.
func Version() string { return C.GoString(C.extra_torch_version()) }

// CheckVersion fails where the dynamic linker found another version of libtorch, which may compute other numbers if it works at all.
func CheckVersion() error {
	if loaded := C.GoString(C.extra_loaded_version()); loaded != Version() {
		return fmt.Errorf("built with libtorch %s, but the one that is found is %s; run ./just torch, and see LD_LIBRARY_PATH", Version(), loaded)
	}
	return nil
}

// Capability returns the vector instructions that libtorch uses on this machine, such as "AVX512".
func Capability() string { return C.GoString(C.extra_cpu_capability()) }

// IndependentRows reports whether what Linear, Attend and Logits compute on this processor has, for each sequence, the same bits
// whatever other sequences are computed with it and on however many threads. It is known of processors with vectors of 512 bits,
// bfloat16 and no tiles (AMX), where weights are packed, and of AMD's with vectors of 256 bits.
func IndependentRows() bool { return C.extra_independent_rows() != 0 }

// Packs reports whether matrices of a type on the processor have an order of their own, in which Pack copies them.
func Packs(t Type) bool { return C.extra_packs(C.int(t)) != 0 }

// WidenedRows returns how many rows of a type, beside the matrix, Linear and Logits bring into float32 at a time on the processor; 0 where
// it multiplies the type itself.
func WidenedRows(t Type) int64 { return int64(C.extra_widened_rows(C.int(t))) }

// KeepMemory has the allocator of this process take memory for tensors from one place for all threads and keep what is freed
// there: the peak is then lower and the same in each run. Trim gives it back all the same.
func KeepMemory() { C.extra_keep_memory() }

// Trim gives memory that tensors had back to the system, which the allocator keeps otherwise.
func Trim() { C.extra_trim() }

// Threads returns how many threads an operation uses.
func Threads() int { return int(C.extra_get_threads()) }

// SetThreads sets how many threads an operation uses.
func SetThreads(n int) { C.extra_set_threads(C.int(n)) }

// LoadCUDA loads a library, libtorch_cuda.so, so that the CUDA devices that CUDADevices counts can be used.
func LoadCUDA(library string) error {
	path := C.CString(library)
	defer C.free(unsafe.Pointer(path))
	if message := C.extra_load_cuda(path); message != nil {
		defer C.free(unsafe.Pointer(message))
		return fmt.Errorf("load %s: %s", library, C.GoString(message))
	}
	return nil
}

// CUDADevices returns the number of CUDA devices, 0 before LoadCUDA.
func CUDADevices() int { return int(C.extra_cuda_devices()) }
