//go:build torch

// This file never queries floating-point exceptions. A compiler that must not raise additional exceptions does not
// vectorize loops with conditions. Functions from headers are not inlined below this point.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-trapping-math", "no-math-errno")
#endif

#include "elements.h"
#include "elements_inline.h"

#include <cmath>
#include <limits>

namespace elements {
namespace {

// Sums of a row are kept in this many parts, so that they do not depend on each other.
const int64_t lanes = 32;

// The nearest bfloat16, ties to even, in the upper half. NaN stays NaN if the lower half of its bits is 0, as in
// results computed from bfloat16.
INLINE uint32_t rounded_bits(float x) {
  uint32_t bits = to_bits(x);
  return bits + (0x7fff + (bits >> 16 & 1));
}

INLINE float rounded_as(const float *, float x) { return x; }
INLINE float rounded_as(const uint16_t *, float x) { return from_bits(rounded_bits(x) & 0xffff0000); }

INLINE void store(float *to, float x) { *to = x; }
INLINE void store(uint16_t *to, float x) { *to = static_cast<uint16_t>(rounded_bits(x) >> 16); }

// Exponents below -87 are replaced by -87, which does not affect sums of probabilities. NaN stays NaN.
INLINE float bounded_exponent(float x) { return x < -87.0f ? -87.0f : x; }

// e^x for x <= 0, with a relative error of about 1e-7: 2^k times the Taylor polynomial of degree 7 of e^r with |r| <=
// ln(2)/2. x is bounded as by bounded_exponent.
INLINE float exponential(float x) {
  float bounded = bounded_exponent(x);
  float k = bounded * 1.44269504f + 12582912.0f; // 1.5 * 2^23: the low bits become the nearest integer
  uint32_t power = (to_bits(k) + 127) << 23;
  k -= 12582912.0f;
  float r = bounded - k * 0.693359375f + k * 2.12194440e-4f;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return p * from_bits(power);
}

template <class T> INLINE void norm_row(const T *x, const float *w, T *__restrict y, int64_t n, norm o) {
  float parts[lanes] = {};
  double sum = 0;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (int64_t j = 0; j < lanes; j++) {
      parts[j] += widened(x[i + j]) * widened(x[i + j]);
    }
  }
  for (; i < n; i++) {
    sum += widened(x[i]) * widened(x[i]);
  }
  for (float part : parts) {
    sum += part;
  }
  float inverse = static_cast<float>(1 / std::sqrt(sum / n + o.epsilon)), more = o.add_one ? 1 : 0;
  for (i = 0; i < n; i++) {
    store(y + i, widened(x[i]) * inverse * (more + w[i]));
  }
}

template <class T> INLINE void rotate_head(T *__restrict first, T *__restrict second, const float *cosines, const float *sines, int64_t half) {
  for (int64_t i = 0; i < half; i++) {
    float a = widened(first[i]), b = widened(second[i]);
    store(first + i, a * cosines[i] - b * sines[i]);
    store(second + i, b * cosines[i] + a * sines[i]);
  }
}

// The logistic function 1 / (1 + e^-x).
INLINE float logistic(float x) {
  float e = exponential(x < 0 ? x : -x); // before the condition, or loops are not vectorized
  e = x < -87.0f ? 0.0f : e;
  return (x < 0 ? e : 1.0f) / (1.0f + e);
}

// The standard normal distribution function: half of erfc(y) with y = -x / sqrt(2). For y >= 0, erfc(y) is e^(-y^2)
// times a polynomial in t = 1 / (1 + y/2), of the form of Abramowitz and Stegun's 7.1.26. The coefficients were fitted
// to scaled erfc for the least relative error up to y = 9.5, which is 4e-8 before roundings.
INLINE float normal_cdf(float x) {
  float y = (x < 0 ? -x : x) * 0.70710678f, t = 1.0f / (1.0f + 0.5f * y);
  float q = -0.0588868155f;
  q = q * t + 0.283682528f;
  q = q * t - 0.485343165f;
  q = q * t + 0.275931376f;
  q = q * t - 0.0251451337f;
  q = q * t + 0.202055901f;
  q = q * t + 0.243264577f;
  q = q * t + 0.282352986f;
  q = q * t + 0.282087705f;
  q = 0.5f * q * t * exponential(-y * y);
  return x < 0 ? q : 1.0f - q;
}

struct silu {
  static INLINE float of(float x) { return x * logistic(x); }
};

// x (1 + tanh(y)) / 2, which equals x times the logistic function of 2y.
struct gelu_tanh {
  static INLINE float of(float x) { return x * logistic(x * (1.5957691216f + 0.0713548162726f * x * x)); }
};

struct gelu {
  static INLINE float of(float x) { return x * normal_cdf(x); }
};

template <class A, class T> INLINE void activate_elements(T *x, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    store(x + i, A::of(widened(x[i])));
  }
}

template <class A, class T> INLINE void gate_elements(T *__restrict to, const T *__restrict gate, const T *__restrict up, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    store(to + i, rounded_as(gate, A::of(widened(gate[i]))) * widened(up[i]));
  }
}

INLINE void softcap_elements(const float *__restrict z, float *__restrict to, int64_t n, float cap) {
  for (int64_t i = 0; i < n; i++) {
    // tanh(x) is 2 logistic(2x) - 1.
    to[i] = cap * (2.0f * logistic(2.0f * z[i] / cap) - 1.0f);
  }
}

INLINE void add_scaled_elements(float *__restrict to, const float *__restrict x, const float *__restrict bias, float factor, int64_t n) {
  if (bias == nullptr) {
    for (int64_t i = 0; i < n; i++) {
      to[i] += factor * x[i];
    }
    return;
  }
  for (int64_t i = 0; i < n; i++) {
    to[i] += factor * (x[i] + bias[i]);
  }
}

INLINE float greatest(const float *z, int64_t n) {
  const float nothing = -std::numeric_limits<float>::infinity();
  float parts[lanes], m = nothing;
  for (float &part : parts) {
    part = nothing;
  }
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (int64_t j = 0; j < lanes; j++) {
      parts[j] = z[i + j] > parts[j] ? z[i + j] : parts[j];
    }
  }
  for (; i < n; i++) {
    m = z[i] > m ? z[i] : m;
  }
  for (float part : parts) {
    m = part > m ? part : m;
  }
  return m;
}

struct sums {
  double sum, moment;
};

// The sum of e^x for x = z - m and, with_moment, that of e^x x. A few terms per lane are summed in float32, and these
// sums in float64: a single float32 sum over a large vocabulary is biased. The sum's bits do not depend on with_moment.
template <bool with_moment> INLINE sums exponentials(const float *z, int64_t n, float m) {
  const int64_t terms = 32;
  double sum = 0, moment = 0;
  int64_t i = 0;
  for (; i + terms * lanes <= n; i += terms * lanes) {
    float parts[lanes] = {}, moments[lanes] = {};
    for (int64_t k = i; k < i + terms * lanes; k += lanes) {
      for (int64_t j = 0; j < lanes; j++) {
        float x = bounded_exponent(z[k + j] - m), e = exponential(x);
        parts[j] += e;
        if (with_moment) {
          moments[j] += e * x;
        }
      }
    }
    for (float part : parts) {
      sum += part;
    }
    for (float part : moments) {
      moment += part;
    }
  }
  for (; i < n; i++) {
    float x = bounded_exponent(z[i] - m), e = exponential(x);
    sum += e;
    moment += with_moment ? e * x : 0.0f;
  }
  return {sum, moment};
}

// How many elements are greater than x, or equal to it if or_equal.
template <bool or_equal> INLINE int64_t count(const float *z, int64_t n, float x) {
  int32_t counted = 0; // as wide as the elements, or fewer are compared at a time; token ids are int32 too
  for (int64_t i = 0; i < n; i++) {
    counted += or_equal ? z[i] >= x : z[i] > x;
  }
  return counted;
}

// Replaces the least of a heap, its first element, by x.
INLINE void replace_least(float *heap, int64_t k, float x) {
  int64_t at = 0;
  for (int64_t child = 1; child < k; child = 2 * at + 1) {
    if (child + 1 < k && heap[child + 1] < heap[child]) {
      child++;
    }
    if (!(heap[child] < x)) {
      break;
    }
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = x;
}

// Compilers do not clone templates.
#define ACTIVATION(A, T)                                                                                                                             \
  VECTOR_CLONES void activate_##A(T *x, int64_t n) { activate_elements<A>(x, n); }                                                                   \
  VECTOR_CLONES void gate_##A(T *to, const T *gate, const T *up, int64_t n) { gate_elements<A>(to, gate, up, n); }
ACTIVATION(silu, float)
ACTIVATION(silu, uint16_t)
ACTIVATION(gelu_tanh, float)
ACTIVATION(gelu_tanh, uint16_t)
ACTIVATION(gelu, float)
ACTIVATION(gelu, uint16_t)
#undef ACTIVATION

template <class T> void activate_any(T *x, int64_t n, activation a) {
  switch (a) {
  case activation::silu:
    return activate_silu(x, n);
  case activation::gelu_tanh:
    return activate_gelu_tanh(x, n);
  case activation::gelu:
    return activate_gelu(x, n);
  }
}

template <class T> void gate_any(T *to, const T *gate, const T *up, int64_t n, activation a) {
  switch (a) {
  case activation::silu:
    return gate_silu(to, gate, up, n);
  case activation::gelu_tanh:
    return gate_gelu_tanh(to, gate, up, n);
  case activation::gelu:
    return gate_gelu(to, gate, up, n);
  }
}

} // namespace

VECTOR_CLONES void norm_rows(const float *x, const float *w, float *y, int64_t rows, int64_t n, norm o) {
  for (int64_t i = 0; i < rows; i++) {
    norm_row(x + i * n, w, y + i * n, n, o);
  }
}

VECTOR_CLONES void norm_rows(const uint16_t *x, const float *w, uint16_t *y, int64_t rows, int64_t n, norm o) {
  for (int64_t i = 0; i < rows; i++) {
    norm_row(x + i * n, w, y + i * n, n, o);
  }
}

VECTOR_CLONES void rotate_heads(float *x, const float *cosines, const float *sines, int64_t heads, int64_t size, int64_t half) {
  for (int64_t h = 0; h < heads; h++) {
    rotate_head(x + h * size, x + h * size + half, cosines, sines, half);
  }
}

VECTOR_CLONES void rotate_heads(uint16_t *x, const float *cosines, const float *sines, int64_t heads, int64_t size, int64_t half) {
  for (int64_t h = 0; h < heads; h++) {
    rotate_head(x + h * size, x + h * size + half, cosines, sines, half);
  }
}

void activate(float *x, int64_t n, activation a) { activate_any(x, n, a); }
void activate(uint16_t *x, int64_t n, activation a) { activate_any(x, n, a); }

void gate(float *to, const float *gate, const float *up, int64_t n, activation a) { gate_any(to, gate, up, n, a); }
void gate(uint16_t *to, const uint16_t *gate, const uint16_t *up, int64_t n, activation a) { gate_any(to, gate, up, n, a); }

VECTOR_CLONES void softcap(const float *z, float *to, int64_t n, float cap) { softcap_elements(z, to, n, cap); }

VECTOR_CLONES void add_scaled(float *to, const float *x, const float *bias, float factor, int64_t n) {
  add_scaled_elements(to, x, bias, factor, n);
}

VECTOR_CLONES reduced reduce_row(const float *z, int64_t n) {
  float m = greatest(z, n);
  return {m, exponentials<false>(z, n, m).sum, 0};
}

VECTOR_CLONES reduced reduce_row_with_moment(const float *z, int64_t n) {
  float m = greatest(z, n);
  sums s = exponentials<true>(z, n, m);
  return {m, s.sum, s.moment};
}

VECTOR_CLONES int64_t count_greater(const float *z, int64_t n, float x) { return count<false>(z, n, x); }
VECTOR_CLONES int64_t count_not_less(const float *z, int64_t n, float x) { return count<true>(z, n, x); }

VECTOR_CLONES void keep_greatest(const float *z, int64_t n, float *kept, int64_t k) {
  const int64_t block = 2 * lanes; // few blocks have an element to keep
  int64_t i = 0;
  for (; i + block <= n; i += block) {
    int32_t greater = 0;
    for (int64_t j = i; j < i + block; j++) {
      greater |= z[j] > kept[0];
    }
    for (int64_t j = i; greater != 0 && j < i + block; j++) {
      if (z[j] > kept[0]) {
        replace_least(kept, k, z[j]);
      }
    }
  }
  for (; i < n; i++) {
    if (z[i] > kept[0]) {
      replace_least(kept, k, z[i]);
    }
  }
}

VECTOR_CLONES int64_t find(const float *z, int64_t n, float x) {
  int64_t i = 0;
  for (int32_t found = 0; i + lanes <= n; i += lanes) {
    for (int64_t j = 0; j < lanes; j++) {
      found |= z[i + j] == x;
    }
    if (found != 0) {
      break;
    }
  }
  while (i < n && z[i] != x) {
    i++;
  }
  return i;
}

} // namespace elements
