//go:build torch

package tensor

// #cgo CXXFLAGS: -std=c++17 -O3 -DSURPRISAL -DAT_PER_OPERATOR_HEADERS -g
// #cgo golangci CFLAGS: -I${SRCDIR}
// #include <stdlib.h>
// #include "extra.h"
import "C"

import (
	"fmt"
	"unsafe"
)

// Version returns the version of libtorch that this program was compiled with.
func Version() string { return C.GoString(C.extra_torch_version()) }

// CheckVersion fails if the dynamic linker found another version of libtorch, which may compute other numbers or fail.
func CheckVersion() error {
	if loaded := C.GoString(C.extra_loaded_version()); loaded != Version() {
		return fmt.Errorf("built with libtorch %s, but found libtorch %s; run ./just torch, and check LD_LIBRARY_PATH", Version(), loaded)
	}
	return nil
}

// Capability returns the vector instructions that libtorch uses on this machine, such as "AVX512".
func Capability() string { return C.GoString(C.extra_cpu_capability()) }

// IndependentRows reports whether the results of Linear, Attention and Logits on this processor have, for each
// sequence, the same bits whatever other sequences are computed with it and on any number of threads. This holds for
// processors with 512-bit vectors, bfloat16 and no tiles (AMX), for which weights are packed, and for AMD processors
// with 256-bit vectors.
func IndependentRows() bool { return C.extra_independent_rows() != 0 }

// HasPackedLayout reports whether matrices of a type on the processor have a packed layout, into which PackFloat32
// copies them.
func HasPackedLayout(t Type) bool { return C.extra_has_packed_layout(C.int(t)) != 0 }

// WidenedRows returns how many rows of a type, in addition to the matrix, Linear and Logits convert to float32 at a
// time on the processor; 0 if it multiplies the type natively.
func WidenedRows(t Type) int64 { return int64(C.extra_widened_rows(C.int(t))) }

// KeepMemory makes the allocator of this process take memory for tensors from one arena for all threads and keep freed
// memory. The peak is then lower and the same in each run. Trim still returns it. oneDNN keeps few products, unless the
// environment says how many. KeepMemory has an effect on oneDNN only before the first product.
func KeepMemory() { C.extra_keep_memory() }

// Trim returns freed memory of tensors, which the allocator would keep, to the system.
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
	installKernels(library)
	return nil
}

// CUDADevices returns the number of CUDA devices, 0 before LoadCUDA.
func CUDADevices() int { return int(C.extra_cuda_devices()) }
