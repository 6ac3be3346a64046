// Products of matrices.
#ifndef SURPRISAL_TENSOR_LINEAR_H
#define SURPRISAL_TENSOR_LINEAR_H
#include <optional>

#include <ATen/core/Tensor.h>

namespace linear {

typedef std::optional<at::Tensor> optional_tensor;

// x w^T + b + y, rounded once to x's type, for x [n, in], w [out, in], which may be packed, b [out] or none and y [n,
// out] or none.
at::Tensor product(const at::Tensor &x, const at::Tensor &w, const optional_tensor &b, const optional_tensor &y);
// x w^T in float32, for w that may have been packed for this function.
at::Tensor float32_product(const at::Tensor &x, const at::Tensor &w);
// The number of rows of w, which may be packed. Products with w have that many columns.
int64_t outputs(const at::Tensor &w);
// Whether float32_product converts x to float32, so that the caller can do so once for several products.
bool converts(const at::Tensor &x, const at::Tensor &w);
// Whether oneDNN computes products on this processor.
bool has_onednn();

} // namespace linear

#endif
