//go:build torch

#include "nccl.h"
#include "dynamic.h"
#include "handle.h"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace {

// The used part of NCCL's C API. It represents types as numbers, unchanged since version 2.10 added bfloat16.
typedef struct communicator *communicator_handle;
const int sum_operation = 0;

int type_number(at::ScalarType type) {
  switch (type) {
  case at::kHalf:
    return 6;
  case at::kFloat:
    return 7;
  case at::kDouble:
    return 8;
  case at::kBFloat16:
    return 9;
  default:
    throw std::runtime_error(std::string("no sum over ranks for elements of type ") + at::toString(type));
  }
}

struct library {
  int (*init_all)(communicator_handle *, int ranks, const int *devices);
  int (*all_reduce)(const void *from, void *to, size_t count, int type, int operation, communicator_handle, void *stream);
  int (*destroy)(communicator_handle);
  int (*abort)(communicator_handle);
  const char *(*describe)(int);

  explicit library(const char *name) {
    dynamic::library found(name);
    found.resolve("ncclCommInitAll", init_all);
    found.resolve("ncclAllReduce", all_reduce);
    found.resolve("ncclCommDestroy", destroy);
    found.resolve("ncclCommAbort", abort);
    found.resolve("ncclGetErrorString", describe);
  }

  void check(int code, const char *what) const { dynamic::check(code, what, describe); }
};

struct group {
  library nccl;
  std::vector<communicator_handle> ranks;
  std::mutex mutex;
  std::condition_variable returned;
  int calling = 0;
  bool aborted = false;

  // Starts a call of NCCL.
  void enter() {
    std::lock_guard<std::mutex> lock(mutex);
    if (aborted) {
      throw std::runtime_error("the ranks were disconnected when one failed; load the model again");
    }
    calling++;
  }

  void leave() {
    std::lock_guard<std::mutex> lock(mutex);
    calling--;
    returned.notify_all();
  }

  // Frees the communicators, which also ends calls that wait for other ranks. No later call starts. One that has
  // started, but has not reached NCCL yet, must not find its communicator freed: calls that do not return within a time
  // in which a thread surely gets on are waiting inside NCCL.
  void abort() {
    std::unique_lock<std::mutex> lock(mutex);
    if (aborted) {
      return;
    }
    aborted = true;
    returned.wait_for(lock, std::chrono::seconds(5), [this] { return calling == 0; });
    lock.unlock();
    for (communicator_handle c : ranks) {
      nccl.abort(c);
    }
  }
};

} // namespace

char *nccl_open(void **out, const char *name, const int *devices, int n) {
  return handle::guarded([&] {
    std::unique_ptr<group> g(new group{library(name), std::vector<communicator_handle>(n), {}, {}});
    g->nccl.check(g->nccl.init_all(g->ranks.data(), n, devices), "ncclCommInitAll");
    *out = g.release();
  });
}

char *nccl_sum(extra_tensor x, void *opened, int rank) {
  return handle::guarded([&] {
    group *g = static_cast<group *>(opened);
    const at::Tensor &t = handle::tensor(x);
    if (!t.is_contiguous()) {
      throw std::runtime_error("the elements of a sum over ranks are not in order");
    }
    c10::OptionalDeviceGuard on_device;
    void *stream = nullptr;
    if (!t.is_cpu()) {
      on_device.reset_device(t.device());
      stream = c10::impl::VirtualGuardImpl(t.device().type()).getStream(t.device()).native_handle();
    }
    int type = type_number(t.scalar_type());
    g->enter();
    int code = g->nccl.all_reduce(t.const_data_ptr(), t.data_ptr(), t.numel(), type, sum_operation, g->ranks[rank], stream);
    g->leave();
    g->nccl.check(code, "ncclAllReduce");
  });
}

void nccl_abort(void *opened) { static_cast<group *>(opened)->abort(); }

void nccl_close(void *opened) {
  std::unique_ptr<group> g(static_cast<group *>(opened));
  if (!g->aborted) {
    for (communicator_handle c : g->ranks) {
      g->nccl.destroy(c);
    }
  }
}
