// Gates of feed-forward parts.
#ifndef SURPRISAL_TENSOR_ACTIVATION_H
#define SURPRISAL_TENSOR_ACTIVATION_H
#include <ATen/core/Tensor.h>

#include "elements.h"

namespace activation {

// The result of extra_gate.
at::Tensor gate(const at::Tensor &x, elements::activation a, bool reference);

struct clamp {
  double limit, alpha;
};

// g sigmoid(alpha g) (u + 1) for the halves g and u of each row of x [n, 2*width], with g at most limit and u from
// -limit to limit. It is computed in float32 and rounded once to x's type.
at::Tensor clamped_gate(const at::Tensor &x, clamp c);

} // namespace activation

#endif
