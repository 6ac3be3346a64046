//go:build torch

#include "attention.h"
#include "parallel.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <stdexcept>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

namespace attention {
namespace {

int64_t rounded_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// Vectors of 512 bits, and products of bfloat16 that are summed in float32.
namespace bits512 {

#define VECTORS __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

typedef __m512 vector;
const int64_t lanes = 16, strip = 6, panel = 4 * lanes;

inline VECTORS vector load(const void *x) { return _mm512_loadu_ps(x); }
inline VECTORS void store(float *to, vector x) { _mm512_storeu_ps(to, x); }
inline VECTORS vector set1(float x) { return _mm512_set1_ps(x); }
inline VECTORS vector set1(uint32_t bits) { return _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(bits))); }
inline VECTORS vector add(vector a, vector b) { return _mm512_add_ps(a, b); }
inline VECTORS vector multiply(vector a, vector b) { return _mm512_mul_ps(a, b); }
inline VECTORS vector divide(vector a, vector b) { return _mm512_div_ps(a, b); }
inline VECTORS vector multiply_add(vector sum, vector a, vector b) { return _mm512_fmadd_ps(a, b, sum); }
inline VECTORS vector max(vector a, vector b) { return _mm512_max_ps(a, b); }
inline VECTORS float reduce_max(vector x) { return _mm512_reduce_max_ps(x); }
inline VECTORS float reduce_add(vector x) { return _mm512_reduce_add_ps(x); }
inline VECTORS vector nearest(vector x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline VECTORS vector scale_by_power(vector x, vector k) { return _mm512_scalef_ps(x, k); }
// Lanes of y, and 0 in lanes where x equals what.
inline VECTORS vector zero_where(vector x, float what, vector y) { return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, set1(what), _CMP_NEQ_UQ), y); }

struct float32 {
  typedef uint32_t element;
  static const int64_t packed = 1;
  static const bool wide = true, rounded = false;
  static VECTORS vector multiply_add(vector sum, vector a, vector b) { return bits512::multiply_add(sum, a, b); }
  static VECTORS void store(void *to, int64_t i, vector x) { bits512::store(static_cast<float *>(to) + i, x); }
  static VECTORS void store_weight(void *to, int64_t i, vector x) { store(to, i, x); }
};

struct bfloat16 {
  typedef uint16_t element;
  static const int64_t packed = 2;
  static const bool wide = false, rounded = true;
  static VECTORS vector multiply_add(vector sum, vector a, vector b) {
    return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_castps_si512(a), (__m512bh)_mm512_castps_si512(b));
  }
  static VECTORS void store(void *to, int64_t i, vector x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(static_cast<uint16_t *>(to) + i), (__m256i)_mm512_cvtneps_pbh(x));
  }
  static VECTORS void store_weight(void *to, int64_t i, vector x) { store(to, i, x); }
};

#include "attention_vectors.h"

#undef VECTORS

} // namespace bits512

// Vectors of 256 bits. bfloat16 is computed in float32 and rounded at the end.
namespace bits256 {

#define VECTORS __attribute__((target("avx2,fma")))

typedef __m256 vector;
const int64_t lanes = 8, strip = 6, panel = 2 * lanes;

inline VECTORS vector load(const void *x) { return _mm256_loadu_ps(static_cast<const float *>(x)); }
inline VECTORS void store(float *to, vector x) { _mm256_storeu_ps(to, x); }
inline VECTORS vector set1(float x) { return _mm256_set1_ps(x); }
inline VECTORS vector set1(uint32_t bits) { return _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(bits))); }
inline VECTORS vector add(vector a, vector b) { return _mm256_add_ps(a, b); }
inline VECTORS vector multiply(vector a, vector b) { return _mm256_mul_ps(a, b); }
inline VECTORS vector divide(vector a, vector b) { return _mm256_div_ps(a, b); }
inline VECTORS vector multiply_add(vector sum, vector a, vector b) { return _mm256_fmadd_ps(a, b, sum); }
inline VECTORS vector max(vector a, vector b) { return _mm256_max_ps(a, b); }
inline VECTORS float reduce_max(vector x) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}
inline VECTORS float reduce_add(vector x) {
  __m128 m = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  m = _mm_add_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_add_ss(m, _mm_movehdup_ps(m)));
}
inline VECTORS vector nearest(vector x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline VECTORS vector scale_by_power(vector x, vector k) {
  __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(k), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(x, _mm256_castsi256_ps(power));
}
// Lanes of y, and 0 in lanes where x equals what.
inline VECTORS vector zero_where(vector x, float what, vector y) { return _mm256_and_ps(_mm256_cmp_ps(x, set1(what), _CMP_NEQ_UQ), y); }

struct float32 {
  typedef uint32_t element;
  static const int64_t packed = 1;
  static const bool wide = true, rounded = false;
  static VECTORS vector multiply_add(vector sum, vector a, vector b) { return bits256::multiply_add(sum, a, b); }
  static VECTORS void store(void *to, int64_t i, vector x) { bits256::store(static_cast<float *>(to) + i, x); }
  static VECTORS void store_weight(void *to, int64_t i, vector x) { store(to, i, x); }
};

struct bfloat16 : float32 {
  typedef uint16_t element;
  static const bool rounded = true;
  // Rounds to nearest, ties to even; NaN stays NaN.
  static VECTORS void store(void *to, int64_t i, vector x) {
    __m256i bits = _mm256_castps_si256(x), odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i nearest = _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
    __m256i number = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_ORD_Q));
    nearest = _mm256_blendv_epi8(_mm256_set1_epi32(0x7fc0), nearest, number);
    __m128i halves = _mm_packus_epi32(_mm256_castsi256_si128(nearest), _mm256_extracti128_si256(nearest, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i *>(static_cast<uint16_t *>(to) + i), halves);
  }
};

#include "attention_vectors.h"

#undef VECTORS

} // namespace bits256

bool has_bits512() {
  return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bf16");
}

bool has_bits256() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

} // namespace

bool has_tiles() {
  unsigned a, b, c, d;
  const unsigned amx_bf16 = 1u << 22;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & amx_bf16) != 0;
}

bool is_amd() { return __builtin_cpu_is("amd"); }

int vector_bits() { return has_bits512() ? 512 : has_bits256() ? 256 : 0; }

void run(const job &j) {
  if (has_bits512()) {
    j.bfloat16 ? bits512::run<bits512::bfloat16>(j) : bits512::run<bits512::float32>(j);
  } else {
    j.bfloat16 ? bits256::run<bits256::bfloat16>(j) : bits256::run<bits256::float32>(j);
  }
}

} // namespace attention

#else

namespace attention {

int vector_bits() { return 0; }
bool has_tiles() { return false; }
bool is_amd() { return false; }
void run(const job &) { throw std::logic_error("this processor has no vectors for attention"); }

} // namespace attention

#endif
