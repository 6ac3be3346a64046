//go:build torch

package tensor

// #include <stdlib.h>
// #include "kernels.h"
import "C"

import (
	_ "embed"
	"fmt"
	"path/filepath"
	"unsafe"
)

//go:embed cuda_code.h
var kernelSource string

// installKernels lets tensors on GPUs use this package's kernels. cuda is the path of libtorch_cuda.so, whose directory
// has the library with the compiler.
func installKernels(cuda string) {
	library, source := C.CString(filepath.Join(filepath.Dir(cuda), "libcaffe2_nvrtc.so")), C.CString(kernelSource)
	defer C.free(unsafe.Pointer(library))
	defer C.free(unsafe.Pointer(source))
	C.kernels_install(library, source)
}

// KernelFailure compiles this package's kernels for a CUDA device and checks them, if no tensor there has done so. It
// returns why some of them are not used, and otherwise "".
func KernelFailure(d Device) string {
	if d == CPU {
		return ""
	}
	return text(C.kernels_failure(C.int(d)))
}

// kernelsOnProcessor lets tensors on the processor use the kernels of a library that stands in for CUDA's, or no longer
// if library is empty. It returns what KernelFailure does.
func kernelsOnProcessor(library string) string {
	if library == "" {
		return text(C.kernels_on_processor(nil, nil))
	}
	name, source := C.CString(library), C.CString(kernelSource)
	defer C.free(unsafe.Pointer(name))
	defer C.free(unsafe.Pointer(source))
	return text(C.kernels_on_processor(name, source))
}

// compileKernels returns the size of the kernels' machine code for an architecture, such as "sm_90", by the nvrtc in
// library.
func compileKernels(library, architecture string) (int, error) {
	name, source, target := C.CString(library), C.CString(kernelSource), C.CString(architecture)
	defer C.free(unsafe.Pointer(name))
	defer C.free(unsafe.Pointer(source))
	defer C.free(unsafe.Pointer(target))
	var size C.size_t
	if message := text(C.kernels_compile(&size, name, source, target)); message != "" {
		return 0, fmt.Errorf("%s", message)
	}
	return int(size), nil
}

// text returns a string of C and frees it; NULL is "".
func text(message *C.char) string {
	if message == nil {
		return ""
	}
	defer C.free(unsafe.Pointer(message))
	return C.GoString(message)
}
