//go:build torch

#include "parallel.h"

#include <dlfcn.h>

#include <exception>
#include <mutex>

#include <ATen/Parallel.h>

namespace parallel {
namespace {

// The OpenMP runtime's entry point for a parallel region, as compilers call it. at::parallel_for is a template. With
// it, this file would have to be compiled for OpenMP and linked with a runtime, which may differ from libtorch's. Two
// pools of threads would then share the processors. Instead, the function is looked up by name in the runtime that
// libtorch loaded; without it, one thread does all the work.
typedef void (*region)(void (*)(void *), void *, unsigned threads, unsigned flags);

region find_region() {
  static region found = reinterpret_cast<region>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
  return found;
}

struct call {
  const std::function<void()> &work;
  std::mutex mutex;
  std::exception_ptr failure;
};

void enter(void *data) {
  call *c = static_cast<call *>(data);
  try {
    c->work();
  } catch (...) {
    std::lock_guard<std::mutex> lock(c->mutex);
    c->failure = std::current_exception();
  }
}

} // namespace

void on_threads(const std::function<void()> &work) {
  int threads = at::get_num_threads();
  region parallel = find_region();
  if (threads <= 1 || parallel == nullptr) {
    work();
    return;
  }
  call c{work, {}, nullptr};
  parallel(enter, &c, static_cast<unsigned>(threads), 0);
  if (c.failure) {
    std::rethrow_exception(c.failure);
  }
}

} // namespace parallel
