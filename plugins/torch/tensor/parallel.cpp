//go:build torch

#include "parallel.h"

#include <dlfcn.h>

#include <exception>
#include <mutex>

#include <ATen/Parallel.h>

namespace parallel {
namespace {

// The OpenMP runtime's entry for a parallel region, as compilers call it. at::parallel_for is a template that would need this
// file to be compiled for OpenMP and linked with a runtime, which may be another one than libtorch's: two pools of threads on
// the same processors. The one that libtorch brought is asked for by name; without it, one thread does all.
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
