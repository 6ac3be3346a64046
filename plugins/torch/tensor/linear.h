// Products of matrices.
#ifndef SURPRISAL_TENSOR_LINEAR_H
#define SURPRISAL_TENSOR_LINEAR_H
#include <optional>

#include <ATen/ATen.h>

namespace linear {

// x w^T + b for x [n, in], w [out, in], which may be packed, and b [out] or none.
at::Tensor product(const at::Tensor &x, const at::Tensor &w, const std::optional<at::Tensor> &b);
// Whether oneDNN computes products on this processor.
bool has_onednn();

} // namespace linear

#endif
