//go:build torch

#include "elements.h"
#include "extra.h"
#include "handle.h"
#include "parallel.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include <ATen/ops/gelu.h>
#include <ATen/ops/silu.h>

using handle::guarded;
using handle::tensor;

namespace {

// x is [rows, n] with the elements of a row in order, and up, unless it is undefined, too.
template <class T> void activate_vectors(const at::Tensor &x, const at::Tensor &up, elements::activation a) {
  T *data = static_cast<T *>(x.data_ptr());
  const T *u = up.defined() ? static_cast<const T *>(up.const_data_ptr()) : nullptr;
  int64_t n = x.size(1), stride = x.stride(0), up_stride = up.defined() ? up.stride(0) : 0;
  parallel::each(x.size(0), std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(n, 1)), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      if (u == nullptr) {
        elements::activate(data + i * stride, n, a);
      } else {
        elements::gate(data + i * stride, u + i * up_stride, n, a);
      }
    }
  });
}

// Whether t is [rows, n] with the elements of a row in order.
bool has_rows(const at::Tensor &t) { return !t.defined() || (t.dim() == 2 && t.stride(1) == 1); }

void activate_in_place(at::Tensor x, elements::activation a) {
  switch (a) {
  case elements::activation::silu:
    at::silu_(x);
    return;
  case elements::activation::gelu_tanh:
    at::gelu_(x, "tanh");
    return;
  case elements::activation::gelu:
    at::gelu_(x);
    return;
  }
  throw std::runtime_error("unknown activation " + std::to_string(static_cast<int>(a)));
}

// libtorch's loops compute the remainder of a vector differently from the rest, and its position depends on all rows.
void activate(const at::Tensor &x, const at::Tensor &up, elements::activation a, bool reference) {
  if (up.defined() && (x.sizes() != up.sizes() || x.scalar_type() != up.scalar_type())) {
    throw std::runtime_error("a gate of another shape or type");
  }
  if (!reference && x.is_cpu() && has_rows(x) && has_rows(up)) {
    if (x.scalar_type() == at::kFloat) {
      return activate_vectors<float>(x, up, a);
    }
    if (x.scalar_type() == at::kBFloat16) {
      return activate_vectors<uint16_t>(x, up, a);
    }
  }
  activate_in_place(x, a);
  if (up.defined()) {
    x.mul_(up);
  }
}

} // namespace

char *extra_activate(extra_tensor x, extra_tensor up, int activation, int reference) {
  return guarded([&] {
    activate(tensor(x), up == nullptr ? at::Tensor() : tensor(up), static_cast<elements::activation>(activation), reference != 0);
  });
}

