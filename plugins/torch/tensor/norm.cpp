//go:build torch

#include "elements.h"
#include "extra.h"
#include "handle.h"
#include "parallel.h"

#include <algorithm>
#include <stdexcept>
#include <string>

using handle::give;
using handle::guarded;
using handle::tensor;

namespace {

template <class T> void norm_vectors(const at::Tensor &in, const at::Tensor &weight, const at::Tensor &out, elements::norm o) {
  int64_t n = in.size(-1), rows = n == 0 ? 0 : in.numel() / n;
  const T *x = static_cast<const T *>(in.const_data_ptr()), *w = static_cast<const T *>(weight.const_data_ptr());
  T *y = static_cast<T *>(out.data_ptr());
  parallel::each(rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(n, 1)),
                 [&](int64_t begin, int64_t end) { elements::norm_rows(x + begin * n, w, y + begin * n, end - begin, n, o); });
}

at::Tensor rms_norm(const at::Tensor &x, const at::Tensor &w, double epsilon, bool add_one, bool float32_product) {
  int64_t n = x.size(-1);
  if (w.numel() != n) {
    throw std::runtime_error("a norm of " + std::to_string(w.numel()) + " weights over rows of " + std::to_string(n));
  }
  if (x.is_cpu() && x.scalar_type() == w.scalar_type() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16)) {
    at::Tensor in = x.contiguous(), weight = w.contiguous(), out = at::empty_like(in);
    elements::norm o = {epsilon, add_one, float32_product};
    if (in.scalar_type() == at::kFloat) {
      norm_vectors<float>(in, weight, out, o);
    } else {
      norm_vectors<uint16_t>(in, weight, out, o);
    }
    return out;
  }
  if (x.is_cuda() && x.scalar_type() == w.scalar_type() && !add_one) {
    return at::rms_norm(x, {n}, w, epsilon); // one kernel, which rounds once
  }
  at::Tensor f = x.to(at::kFloat);
  f = f * at::rsqrt(f.square().mean(-1, true) + epsilon);
  at::Tensor weight = add_one ? w.to(at::kFloat) + 1 : w;
  if (float32_product) {
    return (f * weight.to(at::kFloat)).to(x.scalar_type());
  }
  return (f.to(x.scalar_type()) * weight).to(x.scalar_type());
}

} // namespace

char *extra_rms_norm(extra_tensor *out, extra_tensor x, extra_tensor w, double epsilon, int add_one, int float32_product) {
  return guarded([&] { give(out, rms_norm(tensor(x), tensor(w), epsilon, add_one != 0, float32_product != 0)); });
}

