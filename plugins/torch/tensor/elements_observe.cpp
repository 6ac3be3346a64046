//go:build torch

// This file never queries floating-point exceptions. A compiler that must not raise additional exceptions does not
// vectorize loops with conditions. Functions from headers are not inlined below this point.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-trapping-math", "no-math-errno")
#endif

#include "elements.h"
#include "elements_inline.h"

#include <cstring>

namespace elements {
namespace {

INLINE uint32_t magnitude_bits(float x) { return to_bits(x) & 0x7fffffff; }

// std::fabs is not inlined here.
template <class T> INLINE float magnitude(T x) { return from_bits(magnitude_bits(widened(x))); }

// Adds a row to the largest magnitudes, and returns whether one of its magnitudes reaches the threshold.
template <class T> INLINE bool observe_row(const T *x, int64_t n, float threshold, float *largest) {
  int32_t any = 0;
  for (int64_t j = 0; j < n; j++) {
    float m = magnitude(x[j]);
    largest[j] = m > largest[j] ? m : largest[j];
    any |= m >= threshold;
  }
  return any != 0;
}

template <class T>
INLINE void observe_rows(const T *x, int64_t stride, int64_t rows, int64_t columns, float threshold, uint8_t *reached, int64_t width,
                         float *__restrict largest) {
  float parts[observed_columns] = {};
  for (int64_t i = 0; i < rows; i++, x += stride, reached += width) {
    // Most rows have a constant number of columns.
    bool any = columns == observed_columns ? observe_row(x, observed_columns, threshold, parts) : observe_row(x, columns, threshold, parts);
    for (int64_t j = 0; any && j < columns; j++) {
      reached[j] |= magnitude(x[j]) >= threshold;
    }
  }
  std::memcpy(largest, parts, columns * sizeof(float));
}

template <class T> INLINE void all_magnitudes(const T *x, uint32_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    to[i] = magnitude_bits(widened(x[i]));
  }
}

} // namespace

VECTOR_CLONES void observe(const float *x, int64_t stride, int64_t rows, int64_t columns, float threshold, uint8_t *reached, int64_t width,
                           float *largest) {
  observe_rows(x, stride, rows, columns, threshold, reached, width, largest);
}

VECTOR_CLONES void observe(const uint16_t *x, int64_t stride, int64_t rows, int64_t columns, float threshold, uint8_t *reached, int64_t width,
                           float *largest) {
  observe_rows(x, stride, rows, columns, threshold, reached, width, largest);
}

VECTOR_CLONES void magnitudes(const float *x, uint32_t *to, int64_t n) { all_magnitudes(x, to, n); }
VECTOR_CLONES void magnitudes(const uint16_t *x, uint32_t *to, int64_t n) { all_magnitudes(x, to, n); }

} // namespace elements
