// Parts of loops over the elements of rows. bfloat16 elements are uint16_t.
#ifndef SURPRISAL_TENSOR_ELEMENTS_INLINE_H
#define SURPRISAL_TENSOR_ELEMENTS_INLINE_H
#include <cstdint>
#include <cstring>

// Loops that the compiler vectorizes with the machine's widest vectors.
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__)
#if __GNUC__ >= 12
#define VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v4", "avx2,fma", "default")))
#else
#define VECTOR_CLONES __attribute__((target_clones("avx512f", "avx2,fma", "default")))
#endif
#else
#define VECTOR_CLONES
#endif
#define INLINE inline __attribute__((always_inline))

namespace elements {

INLINE float from_bits(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

INLINE uint32_t to_bits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

INLINE float widened(float x) { return x; }
INLINE float widened(uint16_t bfloat16) { return from_bits(static_cast<uint32_t>(bfloat16) << 16); }

} // namespace elements

#endif
