//go:build torch

#include "attention.h"
#include "extra.h"
#include "linear.h"

#include <dlfcn.h>
#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/core/grad_mode.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <torch/version.h>

void extra_no_grad(void) { at::GradMode::set_enabled(false); }
void extra_set_threads(int threads) { at::set_num_threads(threads); }
int extra_get_threads(void) { return at::get_num_threads(); }
const char *extra_torch_version(void) { return TORCH_VERSION; }

const char *extra_loaded_version(void) {
  static const std::string version = [] {
    const std::string config = at::show_config(), name = "TORCH_VERSION=";
    size_t from = config.find(name);
    if (from == std::string::npos) {
      return std::string("of no known version");
    }
    from += name.size();
    return config.substr(from, config.find_first_of(", \n", from) - from);
  }();
  return version.c_str();
}

const char *extra_cpu_capability(void) {
  static const std::string capability = at::get_cpu_capability();
  return capability.c_str();
}

void extra_keep_memory(void) {
#if defined(__GLIBC__)
  // Per-thread pools of 64 MB hold few activations and leave gaps; their number depends on chance, and so does the
  // peak.
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
#endif
  // oneDNN and the layer above it each keep up to 1,024 products, of half a megabyte for each number of rows and shape of
  // weights. Nearly every batch has another number of rows. To prepare a product takes far less time than to compute it.
  for (const char *variable : {"ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"}) {
    setenv(variable, "16", 0);
  }
}

void extra_trim(void) {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

int extra_independent_rows(void) {
  switch (attention::vector_bits()) {
  case 512:
    return linear::has_onednn() && !attention::has_tiles();
  case 256:
    return std::strcmp(extra_cpu_capability(), "AVX2") == 0 && at::hasMKL() && attention::is_amd();
  }
  return 0;
}

char *extra_load_cuda(const char *library) {
  if (dlopen(library, RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    return strdup(dlerror());
  }
  // Partial sums in half precision, and a division of sums that depends on the number of rows, change results.
  at::globalContext().setAllowBF16ReductionCuBLAS(false, false);
  at::globalContext().setAllowFP16ReductionCuBLAS(false, false);
  return nullptr;
}

int extra_cuda_devices(void) {
  return at::hasCUDA() ? static_cast<int>(at::detail::getCUDAHooks().deviceCount()) : 0;
}

