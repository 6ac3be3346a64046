//go:build torch

#include "activation.h"
#include "cuda_kernels.h"
#include "extra.h"
#include "handle.h"
#include "parallel.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>

using handle::give;
using handle::guarded;
using handle::tensor;

namespace {

// Rows that one thread takes at a time.
int64_t grain(int64_t n) { return std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(n, 1)); }

// x is [rows, n] with the elements of a row in order.
template <class T> void activate_vectors(const at::Tensor &x, elements::activation a) {
  T *data = static_cast<T *>(x.data_ptr());
  int64_t n = x.size(1), stride = x.stride(0);
  parallel::each(x.size(0), grain(n), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      elements::activate(data + i * stride, n, a);
    }
  });
}

// x is [rows, 2n] with the elements of a row in order, and out is [rows, n] and contiguous.
template <class T> void gate_vectors(const at::Tensor &x, const at::Tensor &out, elements::activation a) {
  const T *data = static_cast<const T *>(x.const_data_ptr());
  T *to = static_cast<T *>(out.data_ptr());
  int64_t n = out.size(1), stride = x.stride(0);
  parallel::each(out.size(0), grain(n), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      elements::gate(to + i * n, data + i * stride, data + i * stride + n, n, a);
    }
  });
}

// Whether elements.h has loops for t, [rows, n] with the elements of a row in order.
bool vectorized(const at::Tensor &t) {
  return t.is_cpu() && t.dim() == 2 && t.stride(1) == 1 && (t.scalar_type() == at::kFloat || t.scalar_type() == at::kBFloat16);
}

at::Tensor activated(const at::Tensor &x, elements::activation a) {
  switch (a) {
  case elements::activation::silu:
    return at::silu(x);
  case elements::activation::gelu_tanh:
    return at::gelu(x, "tanh");
  case elements::activation::gelu:
    return at::gelu(x);
  }
  throw std::runtime_error("unknown activation " + std::to_string(static_cast<int>(a)));
}

// libtorch's loops compute the remainder of a vector differently from the rest, and its position depends on all rows.
void activate(const at::Tensor &x, elements::activation a, bool reference) {
  if (reference || !vectorized(x)) {
    x.copy_(activated(x, a));
  } else if (x.scalar_type() == at::kFloat) {
    activate_vectors<float>(x, a);
  } else {
    activate_vectors<uint16_t>(x, a);
  }
}

// x is [rows, 2n] with the elements of a row in order, and out is [rows, n] and contiguous.
template <class T> void clamped_gate_vectors(const at::Tensor &x, const at::Tensor &out, activation::clamp c) {
  const T *data = static_cast<const T *>(x.const_data_ptr());
  T *to = static_cast<T *>(out.data_ptr());
  int64_t n = out.size(1), stride = x.stride(0);
  float limit = static_cast<float>(c.limit), alpha = static_cast<float>(c.alpha);
  parallel::each(out.size(0), grain(n), [&](int64_t begin, int64_t end) {
    std::vector<float> scaled(n);
    for (int64_t i = begin; i < end; i++) {
      const T *gates = data + i * stride, *others = gates + n;
      for (int64_t k = 0; k < n; k++) {
        scaled[k] = alpha * std::min(static_cast<float>(gates[k]), limit);
      }
      // g sigmoid(alpha g) is the SiLU of alpha g, divided by alpha.
      elements::activate(scaled.data(), n, elements::activation::silu);
      for (int64_t k = 0; k < n; k++) {
        float other = std::max(-limit, std::min(static_cast<float>(others[k]), limit));
        to[i * n + k] = static_cast<T>((other + 1) * (scaled[k] / alpha));
      }
    }
  });
}

} // namespace

namespace activation {

at::Tensor clamped_gate(const at::Tensor &x, clamp c) {
  int64_t n = x.size(1) / 2;
  if (vectorized(x)) {
    at::Tensor out = at::empty({x.size(0), n}, x.options());
    x.scalar_type() == at::kFloat ? clamped_gate_vectors<float>(x, out, c) : clamped_gate_vectors<at::BFloat16>(x, out, c);
    return out;
  }
  at::Tensor wide = x.to(at::kFloat), gates = wide.narrow(1, 0, n).clamp_max(c.limit), others = wide.narrow(1, n, n).clamp(-c.limit, c.limit);
  return ((others + 1) * gates * at::sigmoid(gates * c.alpha)).to(x.scalar_type());
}

at::Tensor gate(const at::Tensor &x, elements::activation a, bool reference) {
  if (x.dim() != 2 || x.size(1) % 2 != 0) {
    throw std::runtime_error("gates and as many other elements must be the two halves of rows");
  }
  if (const cuda::kernels *kernels = reference ? nullptr : cuda::usable(x, cuda::kernel::gate)) {
    if (at::Tensor out = kernels->gate(x, static_cast<int>(a)); out.defined()) {
      return out;
    }
  }
  int64_t n = x.size(1) / 2;
  if (reference || !vectorized(x)) {
    return activated(x.narrow(1, 0, n), a).mul_(x.narrow(1, n, n));
  }
  at::Tensor out = at::empty({x.size(0), n}, x.options());
  if (x.scalar_type() == at::kFloat) {
    gate_vectors<float>(x, out, a);
  } else {
    gate_vectors<uint16_t>(x, out, a);
  }
  return out;
}

} // namespace activation

char *extra_activate(extra_tensor x, int activation, int reference) {
  return guarded([&] { ::activate(tensor(x), static_cast<elements::activation>(activation), reference != 0); });
}

char *extra_gate(extra_tensor *out, extra_tensor x, int activation, int reference) {
  return guarded([&] { give(out, activation::gate(tensor(x), static_cast<elements::activation>(activation), reference != 0)); });
}
