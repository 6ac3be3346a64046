//go:build torch

#include "cuda_kernels.h"
#include "elements.h"
#include "extra.h"
#include "handle.h"
#include "parallel.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/rms_norm.h>

using handle::give;
using handle::guarded;
using handle::tensor;

namespace {

// in is [tokens, width] in parts of n elements, which are normalized separately; tokens may be some columns of wider
// rows. out is contiguous.
template <class T> void norm_vectors(const at::Tensor &in, const at::Tensor &weight, const at::Tensor &out, int64_t n, elements::norm o) {
  int64_t width = in.size(1), stride = in.stride(0);
  const T *x = static_cast<const T *>(in.const_data_ptr());
  const float *w = weight.const_data_ptr<float>();
  T *y = static_cast<T *>(out.data_ptr());
  parallel::each(in.size(0), std::max<int64_t>(1, 16384 / std::max<int64_t>(width, 1)), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      elements::norm_rows(x + i * stride, w, y + i * width, width / n, n, o);
    }
  });
}

// Returns x as [tokens, width] for norm_vectors, copied if it must be.
at::Tensor token_rows(const at::Tensor &x) {
  bool consecutive = x.dim() == 2 ? x.stride(1) == 1 : x.dim() == 3 && x.stride(2) == 1 && x.stride(1) == x.size(2);
  const at::Tensor in = consecutive ? x : x.contiguous();
  int64_t tokens = x.dim() == 1 ? 1 : x.size(0);
  return in.dim() == 2 ? in : in.view({tokens, in.numel() / std::max<int64_t>(tokens, 1)});
}

// The result of the GPU's kernel, or an undefined tensor.
at::Tensor kernel_norm(const at::Tensor &x, const at::Tensor &w, const std::optional<at::Tensor> &b, cuda::norm_options o) {
  const cuda::kernels *kernels = cuda::usable(x, cuda::kernel::norm);
  return kernels == nullptr ? at::Tensor() : kernels->norm(x, w, b, o);
}

at::Tensor rms_norm(const at::Tensor &x, const at::Tensor &w, double epsilon, bool add_one) {
  int64_t n = x.size(-1);
  if (w.numel() != n) {
    throw std::runtime_error("a norm of " + std::to_string(w.numel()) + " weights over rows of " + std::to_string(n));
  }
  bool fused = x.is_cuda() && x.scalar_type() == w.scalar_type() && !add_one;
  if (at::Tensor out = fused ? at::Tensor() : kernel_norm(x, w, std::nullopt, {epsilon, add_one, false}); out.defined()) {
    return out;
  }
  if (x.is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16)) {
    at::Tensor in = token_rows(x), weight = w.to(at::kFloat).contiguous(), out = at::empty(x.sizes(), x.options());
    if (in.scalar_type() == at::kFloat) {
      norm_vectors<float>(in, weight, out, n, {epsilon, add_one});
    } else {
      norm_vectors<uint16_t>(in, weight, out, n, {epsilon, add_one});
    }
    return out;
  }
  if (fused) {
    return at::rms_norm(x, {n}, w, epsilon); // one kernel, which computes in float32 and rounds once
  }
  at::Tensor weight = w.to(at::kFloat);
  return at::rms_norm(x.to(at::kFloat), {n}, add_one ? weight + 1 : weight, epsilon).to(x.scalar_type());
}

at::Tensor layer_norm(const at::Tensor &x, const at::Tensor &w, const std::optional<at::Tensor> &b, double epsilon) {
  bool same = x.scalar_type() == w.scalar_type() && (!b || x.scalar_type() == b->scalar_type());
  if (same) {
    return at::layer_norm(x, w.sizes(), w, b, epsilon);
  }
  if (at::Tensor out = kernel_norm(x, w, b, {epsilon, false, true}); out.defined()) {
    return out;
  }
  std::optional<at::Tensor> bias = b ? std::optional<at::Tensor>(b->to(at::kFloat)) : std::nullopt;
  return at::layer_norm(x.to(at::kFloat), w.sizes(), w.to(at::kFloat), bias, epsilon).to(x.scalar_type());
}

} // namespace

char *extra_rms_norm(extra_tensor *out, extra_tensor x, extra_tensor w, double epsilon, int add_one) {
  return guarded([&] { give(out, rms_norm(tensor(x), tensor(w), epsilon, add_one != 0)); });
}

char *extra_layer_norm(extra_tensor *out, extra_tensor x, extra_tensor w, extra_tensor b, double epsilon) {
  return guarded([&] { give(out, layer_norm(tensor(x), tensor(w), b == nullptr ? std::nullopt : std::optional<at::Tensor>(tensor(b)), epsilon)); });
}
