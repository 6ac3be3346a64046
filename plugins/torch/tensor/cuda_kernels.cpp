//go:build torch

#include "cuda_kernels.h"
#include "cuda_code.h"
#include "handle.h"
#include "kernels.h"

#include <atomic>
#include <cstring>
#include <exception>
#include <limits>
#include <map>
#include <mutex>

#include <ATen/ops/empty.h>

namespace cuda {
namespace {

const int64_t most = std::numeric_limits<int>::max();

// The name of a type in names of kernels, or a null pointer if they do not have it.
const char *type_name(at::ScalarType type) {
  switch (type) {
  case at::kFloat:
    return "float";
  case at::kBFloat16:
    return "bfloat16";
  case at::kHalf:
    return "float16";
  default:
    return nullptr;
  }
}

// The number of threads for n elements of a row. It does not depend on the number of rows, so that sums do not either.
unsigned threads_for(int64_t n, int64_t limit) {
  unsigned threads = 32;
  while (threads < limit && threads * cuda_code::group < n) {
    threads *= 2;
  }
  return threads;
}

bool is_vector(const at::Tensor &t, at::ScalarType type, int64_t n, at::Device device) {
  return t.scalar_type() == type && t.is_contiguous() && t.numel() == n && t.device() == device;
}

const char *name_of(kernel kind) {
  switch (kind) {
  case kernel::rotate:
    return "rotary embeddings";
  case kernel::gate:
    return "gates";
  case kernel::norm:
    return "norms";
  case kernel::reduce:
    return "sums over logits";
  }
  return "";
}

} // namespace

bool kernels::rotate(const at::Tensor &x, const at::Tensor &cosines, const at::Tensor &sines) const {
  const char *type = type_name(x.scalar_type());
  int64_t tokens = x.size(0), half = cosines.size(1);
  if (type == nullptr || x.dim() != 3 || x.stride(2) != 1 || 2 * half > x.size(2) || tokens > most || x.size(1) * half > most ||
      !is_vector(cosines, at::kFloat, tokens * half, x.device()) || !is_vector(sines, at::kFloat, tokens * half, x.device())) {
    return false;
  }
  int heads = static_cast<int>(x.size(1));
  if (tokens > 0 && heads * half > 0) {
    code.launch(std::string("rotate_") + type, {static_cast<unsigned>(tokens), 1, threads_for(heads * half, 256)},
                cuda_code::rotate_arguments{x.data_ptr(), cosines.const_data_ptr<float>(), sines.const_data_ptr<float>(), x.stride(0), x.stride(1),
                                            heads, static_cast<int>(half)});
  }
  return true;
}

at::Tensor kernels::gate(const at::Tensor &x, int activation) const {
  const char *type = type_name(x.scalar_type());
  const int64_t threads = 256, columns = threads * cuda_code::group;
  if (type == nullptr || x.dim() != 2 || x.stride(1) != 1 || x.size(1) % 2 != 0 || x.size(0) > most || x.size(1) > 65535 * columns) {
    return at::Tensor();
  }
  int64_t rows = x.size(0), width = x.size(1) / 2;
  at::Tensor out = at::empty({rows, width}, x.options());
  if (out.numel() > 0) {
    code.launch(std::string("gate_") + type, {static_cast<unsigned>(rows), static_cast<unsigned>((width + columns - 1) / columns), threads},
                cuda_code::gate_arguments{out.data_ptr(), x.const_data_ptr(), x.stride(0), static_cast<int>(width), activation});
  }
  return out;
}

at::Tensor kernels::norm(const at::Tensor &x, const at::Tensor &w, const std::optional<at::Tensor> &b, norm_options o) const {
  const char *type = type_name(x.scalar_type());
  int64_t width = w.numel();
  if (type == nullptr || x.dim() == 0 || x.size(-1) != width || x.numel() == 0 || x.numel() / width > most || width > most / 2 ||
      !is_vector(w, at::kFloat, width, x.device()) || (b && !is_vector(*b, at::kFloat, width, x.device()))) {
    return at::Tensor();
  }
  at::Tensor in = x.dim() <= 3 && x.stride(-1) == 1 ? x : x.contiguous(), out = at::empty(x.sizes(), x.options());
  if (in.dim() != 2 && in.dim() != 3) {
    in = in.view({-1, width});
  }
  int64_t parts = in.dim() == 3 ? in.size(1) : 1, part_stride = in.dim() == 3 ? in.stride(1) : 0;
  code.launch(std::string("norm_") + type, {static_cast<unsigned>(in.size(0) * parts), 1, threads_for(width, 256)},
              cuda_code::norm_arguments{out.data_ptr(), in.const_data_ptr(), w.const_data_ptr<float>(), b ? b->const_data_ptr<float>() : nullptr,
                                        in.stride(0), part_stride, static_cast<int>(parts), static_cast<int>(width),
                                        static_cast<float>(o.epsilon), o.add_one, o.center});
  return out;
}

bool kernels::reduce(const at::Tensor &logits, int64_t first, const at::Tensor &targets, const sums &to) const {
  static_assert(sizeof(int64_t) == sizeof(long long));
  if (logits.scalar_type() != at::kFloat || logits.dim() != 2 || logits.stride(1) != 1 || logits.size(0) > most || logits.size(1) > most / 2) {
    return false;
  }
  int64_t rows = logits.size(0), columns = logits.size(1);
  for (const at::Tensor *t : {&to.maxima, &to.sums, &to.target_logits}) {
    if (!is_vector(*t, at::kDouble, rows, logits.device())) {
      return false;
    }
  }
  if (!is_vector(targets, at::kLong, rows, logits.device())) {
    return false;
  }
  if (logits.numel() > 0) {
    code.launch("reduce_float", {static_cast<unsigned>(rows), 1, threads_for(columns, cuda_code::max_threads)},
                cuda_code::reduce_arguments{logits.const_data_ptr<float>(), reinterpret_cast<const long long *>(targets.const_data_ptr<int64_t>()),
                                            to.maxima.data_ptr<double>(), to.sums.data_ptr<double>(), to.target_logits.data_ptr<double>(),
                                            logits.stride(0), first, static_cast<int>(columns)});
  }
  return true;
}

checked_kernels::checked_kernels(const char *library, const char *source, at::Device device) {
  auto add = [&](const std::string &what, const std::string &reason) {
    failure += (failure.empty() ? "" : "; ") + what + " on " + device.str() + ": " + reason;
  };
  try {
    found = std::make_unique<kernels>(library, source, device);
  } catch (const std::exception &e) {
    add("the backend's own kernels", e.what());
    return;
  }
  for (kernel kind : {kernel::rotate, kernel::gate, kernel::norm, kernel::reduce}) {
    std::string wrong;
    try {
      wrong = check(*found, kind, device);
    } catch (const c10::Error &e) {
      wrong = e.what_without_backtrace();
    } catch (const std::exception &e) {
      wrong = e.what();
    }
    if (wrong.empty()) {
      right.insert(kind);
    } else {
      add(std::string("the backend's own kernel for ") + name_of(kind), wrong);
    }
  }
}

namespace {

// The kernels of all GPUs. They are never freed: at exit, CUDA may have ended before.
struct registry {
  std::mutex mutex;
  std::string library, source;
  std::map<int, std::unique_ptr<checked_kernels>> devices;
  // For tests.
  std::atomic<const checked_kernels *> processor{nullptr};

  static registry &get() {
    static registry *instance = new registry;
    return *instance;
  }

  const checked_kernels *on(at::Device device) {
    std::lock_guard<std::mutex> lock(mutex);
    if (source.empty()) {
      return nullptr;
    }
    std::unique_ptr<checked_kernels> &found = devices[device.index()];
    if (!found) {
      found = std::make_unique<checked_kernels>(library.c_str(), source.c_str(), device);
    }
    return found.get();
  }
};

} // namespace

const kernels *usable(const at::Tensor &x, kernel kind) {
  registry &r = registry::get();
  const checked_kernels *found = x.is_cuda() ? r.on(x.device()) : r.processor.load();
  return found == nullptr ? nullptr : found->get(kind);
}

} // namespace cuda

namespace {

char *failure_of(const cuda::checked_kernels *found) {
  return found == nullptr || found->failure.empty() ? nullptr : strdup(found->failure.c_str());
}

} // namespace

void kernels_install(const char *library, const char *source) {
  cuda::registry &r = cuda::registry::get();
  std::lock_guard<std::mutex> lock(r.mutex);
  r.library = library;
  r.source = source;
}

char *kernels_failure(int device) {
  return failure_of(cuda::registry::get().on(at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device))));
}

char *kernels_on_processor(const char *library, const char *source) {
  const cuda::checked_kernels *found = library == nullptr ? nullptr : new cuda::checked_kernels(library, source, at::kCPU);
  delete cuda::registry::get().processor.exchange(found);
  return failure_of(found);
}

char *kernels_compile(size_t *size, const char *library, const char *source, const char *architecture) {
  return handle::guarded([&] { *size = cuda::compile(library, source, architecture).size(); });
}
