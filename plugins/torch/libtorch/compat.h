// Force-included into gotch's C++ (CGO_CXXFLAGS=-include): its generated wrappers call three operators with arguments
// that changed before torch 2.11. The names are redirected after torch's own headers have been read. This module's C++
// defines SURPRISAL and does not need the redirection.
#pragma once
#if defined(__cplusplus) && !defined(SURPRISAL)
#include <torch/torch.h>

#include <tuple>

namespace torch {

inline Tensor gotch_cslt_sparse_mm(const Tensor& compressed, const Tensor& dense, const Tensor& bias, bool transpose) {
  return at::_cslt_sparse_mm(compressed, dense, bias, /*alpha=*/{}, /*out_dtype=*/std::nullopt, transpose);
}

// gotch expects the result and its largest magnitude; torch no longer computes the latter, so that the call fails
// instead of returning an incomplete answer.
template <typename... Arguments>
std::tuple<Tensor, Tensor> gotch_scaled_mm(const Arguments&...) {
  TORCH_CHECK(false, "_scaled_mm of this gotch release does not exist in torch ", TORCH_VERSION);
}

}  // namespace torch

// gotch requests -O3, which no later option can override. Its file consists of 3,000 forwarding calls: optimization
// does not speed it up, and takes two minutes.
#pragma GCC optimize("O0")
#define STBI_NO_SIMD  // its image reader has intrinsics that need optimization

#define _cslt_sparse_mm gotch_cslt_sparse_mm
#define _scaled_mm gotch_scaled_mm
#define _scaled_mm_out gotch_scaled_mm
#endif
