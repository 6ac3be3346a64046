// Programs for NVIDIA GPUs that are compiled at run time.
#ifndef SURPRISAL_TENSOR_CUDA_PROGRAM_H
#define SURPRISAL_TENSOR_CUDA_PROGRAM_H
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

namespace cuda {

// Returns the machine code of a program for GPUs of an architecture, such as "sm_90". library is nvrtc, or one that
// needs it.
std::string compile(const char *library, const char *source, const std::string &architecture);

// The numbers of blocks and of threads of each.
struct grid {
  unsigned x, y, threads;
};

struct driver;

// A program on one GPU.
class program {
public:
  // Compiles source. library needs both nvrtc and CUDA's driver, as libtorch's libcaffe2_nvrtc.so does.
  program(const char *library, const char *source, at::Device device);

  // Runs a kernel, whose parameter is one structure, after the work that libtorch has given to the GPU.
  template <class A> void launch(const std::string &kernel, grid g, A arguments) const { launch(kernel, g, static_cast<void *>(&arguments)); }

private:
  void launch(const std::string &kernel, grid g, void *arguments) const;

  std::shared_ptr<const driver> api;
  at::Device device;
  // The context that libtorch uses on the GPU.
  void *context = nullptr;
  void *module = nullptr;
};

} // namespace cuda

#endif
