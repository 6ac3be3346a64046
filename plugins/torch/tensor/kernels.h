// Kernels for NVIDIA GPUs, which are compiled for the GPU at hand and replace several operations of libtorch each.
#ifndef SURPRISAL_TENSOR_KERNELS_H
#define SURPRISAL_TENSOR_KERNELS_H
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// Lets tensors on GPUs use the kernels of source, cuda_code.h, which are compiled by library: libtorch's
// libcaffe2_nvrtc.so, which needs nvrtc and CUDA's driver. It is loaded for the first of these tensors.
void kernels_install(const char *library, const char *source);
// Compiles the kernels for a GPU and checks them, if that was not done. Why some are not used; NULL if all are, or none
// are installed. It is to be freed.
char *kernels_failure(int device);

// For tests: lets tensors on the processor use the kernels of a library that stands in for nvrtc and the driver, or
// none. Returns what kernels_failure does.
char *kernels_on_processor(const char *library, const char *source);
// For tests: the size of the machine code for an architecture, such as "sm_90", by the nvrtc in library. Returns NULL, or
// an error message to free.
char *kernels_compile(size_t *size, const char *library, const char *source, const char *architecture);

#ifdef __cplusplus
}
#endif
#endif
