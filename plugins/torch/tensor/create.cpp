//go:build torch

#include "extra.h"
#include "handle.h"

#include <cstring>
#include <stdexcept>
#include <string>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

using handle::give;
using handle::guarded;
using handle::scalar_type;
using handle::tensor;

namespace {

// Copies host memory. A device reads page-locked memory several times as fast as other memory, and while the processor
// prepares the next rows. libtorch does not reuse that memory before the device has read it.
void copy_rows(const at::Tensor &to, const at::Tensor &from) {
  if (to.device().is_cpu()) {
    to.copy_(from);
    return;
  }
  at::Tensor locked = at::empty(to.sizes(), to.options().device(at::kCPU).pinned_memory(true));
  to.copy_(locked.copy_(from), /*non_blocking=*/true);
}

} // namespace

char *extra_from_data(extra_tensor *out, const void *data, const int64_t *shape, size_t dims, int type) {
  return guarded([&] {
    at::Tensor t = at::empty(at::IntArrayRef(shape, dims), at::TensorOptions().dtype(scalar_type(type)));
    std::memcpy(t.data_ptr(), data, t.nbytes());
    give(out, t);
  });
}

char *extra_empty(extra_tensor *out, const int64_t *shape, size_t dims, int type, int device) {
  return guarded([&] {
    at::Device d = device < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device));
    give(out, at::empty(at::IntArrayRef(shape, dims), at::TensorOptions().dtype(scalar_type(type)).device(d)));
  });
}

char *extra_fill(extra_tensor x, int64_t row, const void *data, int type, int64_t rows, int64_t width, int64_t first) {
  return guarded([&] {
    at::Tensor t = tensor(x);
    if (t.dim() == 1) {
      t = t.unsqueeze(1);
    }
    at::Tensor in = at::from_blob(const_cast<void *>(data), {rows, width}, at::TensorOptions().dtype(scalar_type(type)));
    copy_rows(t.narrow(0, row, rows), in.narrow(1, first, t.size(1)));
  });
}

char *extra_to(extra_tensor *out, extra_tensor x, int type, int device) {
  return guarded([&] {
    at::Tensor t = tensor(x);
    if (type >= 0) {
      t = t.to(scalar_type(type));
    }
    if (device >= 0) {
      t = t.to(at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device)));
    }
    give(out, t);
  });
}

char *extra_to_doubles(extra_tensor x, double *out, size_t n) {
  return guarded([&] {
    at::Tensor t = tensor(x).to(at::kCPU, at::kDouble).contiguous();
    if (static_cast<size_t>(t.numel()) != n) {
      throw std::runtime_error("a tensor of " + std::to_string(t.numel()) + " elements, expected " + std::to_string(n));
    }
    std::memcpy(out, t.const_data_ptr<double>(), n * sizeof(double));
  });
}

