// Features of this processor.
#ifndef SURPRISAL_TENSOR_CPU_H
#define SURPRISAL_TENSOR_CPU_H
#include <ATen/core/Tensor.h>

namespace cpu {

struct feature_set {
  // 512-bit vectors that libtorch uses, and products of bfloat16 that are summed in float32.
  bool avx512, avx512_bf16;
};

const feature_set &features();

// Whether oneDNN multiplies matrices of a type faster than libtorch's other libraries, on a processor with these
// features.
bool onednn_multiplies(at::ScalarType type, const feature_set &f);

} // namespace cpu

#endif
