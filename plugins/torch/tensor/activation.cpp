//go:build torch

#include "elements.h"
#include "extra.h"
#include "handle.h"
#include "parallel.h"

#include <stdexcept>
#include <string>

using handle::guarded;
using handle::tensor;

namespace {

// up may be undefined.
template <class T> void activate_vectors(const at::Tensor &x, const at::Tensor &up, elements::activation a) {
  T *data = static_cast<T *>(x.data_ptr());
  const T *u = up.defined() ? static_cast<const T *>(up.const_data_ptr()) : nullptr;
  parallel::each(x.numel(), 1 << 14, [&](int64_t begin, int64_t end) {
    if (u == nullptr) {
      elements::activate(data + begin, end - begin, a);
    } else {
      elements::gate(data + begin, u + begin, end - begin, a);
    }
  });
}

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
void activate(const at::Tensor &x, const at::Tensor &up, elements::activation a, bool portable) {
  if (up.defined() && (x.sizes() != up.sizes() || x.scalar_type() != up.scalar_type())) {
    throw std::runtime_error("a gate of another shape or type");
  }
  if (!portable && x.is_cpu() && x.is_contiguous() && (!up.defined() || up.is_contiguous())) {
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

char *extra_activate(extra_tensor x, extra_tensor up, int activation, int portable) {
  return guarded([&] {
    activate(tensor(x), up == nullptr ? at::Tensor() : tensor(up), static_cast<elements::activation>(activation), portable != 0);
  });
}

