//go:build torch

#include "cpu.h"
#include "extra.h"
#include "handle.h"

#include <cstring>

namespace cpu {

const feature_set &features() {
  static const feature_set found = [] {
    feature_set f = {};
#if defined(__x86_64__)
    f.avx512 = std::strcmp(extra_cpu_capability(), "AVX512") == 0;
    f.avx512_bf16 = f.avx512 && __builtin_cpu_supports("avx512bf16");
#endif
    return f;
  }();
  return found;
}

// Without instructions for bfloat16, oneDNN converts each operand at every use.
bool onednn_multiplies(at::ScalarType type, const feature_set &f) {
  return (type == at::kFloat && f.avx512) || (type == at::kBFloat16 && f.avx512_bf16);
}

} // namespace cpu

int extra_onednn_multiplies(int type, int avx512, int avx512_bf16) {
  return cpu::onednn_multiplies(handle::scalar_type(type), {avx512 != 0, avx512_bf16 != 0});
}
