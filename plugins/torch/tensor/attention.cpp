//go:build torch

#include "attention.h"
#include "parallel.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

// Every function between here and the end of the processor's part is compiled for these instructions.
#define VECTORS __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

namespace attention {
namespace {

// Matrices are read in words of 32 bits: one float32, or two bfloat16 that stand one after the other in the dimension that
// a product sums over.
struct float32 {
  typedef uint32_t element;
  static const int64_t packed = 1;
};
struct bfloat16 {
  typedef uint16_t element;
  static const int64_t packed = 2;
};

const int64_t lanes = 16;
// A product keeps strip rows of panel columns in registers. What it multiplies by is laid out in panels of so many columns, row
// after row: memory in the order of its use, and no rows that are a power of two apart, which caches do not hold together.
const int64_t strip = 6, panel = 4 * lanes;
// Queries and keys that are computed together: their scores fit the nearest caches.
const int64_t query_block = 48, key_block = 4 * panel;

int64_t rounded_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

template <class T> inline VECTORS __m512 multiply_add(__m512 sum, __m512i a, __m512i b);

template <> inline VECTORS __m512 multiply_add<float32>(__m512 sum, __m512i a, __m512i b) {
  return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
}

template <> inline VECTORS __m512 multiply_add<bfloat16>(__m512 sum, __m512i a, __m512i b) {
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

// c[strip][columns * lanes] = a[strip][words] b[words][columns * lanes], added to what c has if add is true. Strides are in
// words; b is a panel.
template <class T, int columns>
VECTORS void product(const uint32_t *a, int64_t a_stride, const uint32_t *b, float *c, int64_t c_stride, int64_t words, bool add) {
  __m512 sum[strip][columns];
  for (int r = 0; r < strip; r++) {
    for (int n = 0; n < columns; n++) {
      sum[r][n] = add ? _mm512_loadu_ps(c + r * c_stride + n * lanes) : _mm512_setzero_ps();
    }
  }
  for (int64_t i = 0; i < words; i++) {
    __m512i column[columns];
    for (int n = 0; n < columns; n++) {
      column[n] = _mm512_loadu_si512(b + i * panel + n * lanes);
    }
    for (int r = 0; r < strip; r++) {
      __m512i x = _mm512_set1_epi32(static_cast<int>(a[r * a_stride + i]));
      for (int n = 0; n < columns; n++) {
        sum[r][n] = multiply_add<T>(sum[r][n], x, column[n]);
      }
    }
  }
  for (int r = 0; r < strip; r++) {
    for (int n = 0; n < columns; n++) {
      _mm512_storeu_ps(c + r * c_stride + n * lanes, sum[r][n]);
    }
  }
}

// c[rows][width] = a[rows][words] b[words][width], where b is in panels that stand panel_stride words apart. rows is a multiple
// of strip and width one of lanes.
template <class T>
VECTORS void matrix_product(const uint32_t *a, int64_t a_stride, const uint32_t *b, int64_t panel_stride, float *c, int64_t c_stride, int64_t rows,
                            int64_t width, int64_t words, bool add) {
  for (int64_t n = 0; n < width; n += panel) {
    const uint32_t *right = b + n / panel * panel_stride;
    for (int64_t r = 0; r < rows; r += strip) {
      const uint32_t *left = a + r * a_stride;
      float *out = c + r * c_stride + n;
      switch (std::min(panel, width - n) / lanes) {
      case 1:
        product<T, 1>(left, a_stride, right, out, c_stride, words, add);
        break;
      case 2:
        product<T, 2>(left, a_stride, right, out, c_stride, words, add);
        break;
      case 3:
        product<T, 3>(left, a_stride, right, out, c_stride, words, add);
        break;
      default:
        product<T, 4>(left, a_stride, right, out, c_stride, words, add);
      }
    }
  }
}

// e^x for x <= 0, to about 1e-7 of its value: 2^k times the Taylor polynomial of degree 7 of e^r with |r| <= ln(2)/2.
inline VECTORS __m512 exponential(__m512 x) {
  x = _mm512_max_ps(_mm512_set1_ps(-87.0f), x); // in this order NaN stays NaN
  __m512 k = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fnmadd_ps(k, _mm512_set1_ps(0.693359375f), x);
  r = _mm512_fmadd_ps(k, _mm512_set1_ps(2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.0f / 5040);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 720));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, k);
}

inline VECTORS void store(float32, void *to, int64_t i, __m512 x) { _mm512_storeu_ps(static_cast<float *>(to) + i, x); }

inline VECTORS void store(bfloat16, void *to, int64_t i, __m512 x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(static_cast<uint16_t *>(to) + i), (__m256i)_mm512_cvtneps_pbh(x));
}

// The part of the softmax that a row of scores adds (Milakov and Gimelshein, arXiv:1805.02867): with the greatest score so
// far in maximum and the sum of exponentials so far in sum, turns the scores [width] from low to high into weights
// e^(score * scale - maximum) of type T, the others into 0, and returns what earlier weights must be multiplied by.
template <class T> VECTORS float soften(float *scores, void *weights, int64_t width, int64_t low, int64_t high, float scale, float *maximum, float *sum) {
  const float nothing = -std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < low; i++) {
    scores[i] = nothing;
  }
  for (int64_t i = high; i < width; i++) {
    scores[i] = nothing;
  }
  __m512 greatest = _mm512_set1_ps(nothing), factor = _mm512_set1_ps(scale);
  for (int64_t i = 0; i < width; i += lanes) {
    greatest = _mm512_max_ps(greatest, _mm512_mul_ps(_mm512_loadu_ps(scores + i), factor));
  }
  float before = *maximum, m = _mm512_reduce_max_ps(greatest);
  m = m > before ? m : before;
  __m512 top = _mm512_set1_ps(m), total = _mm512_setzero_ps(), none = _mm512_set1_ps(nothing);
  for (int64_t i = 0; i < width; i += lanes) {
    __m512 score = _mm512_loadu_ps(scores + i);
    __mmask16 seen = _mm512_cmp_ps_mask(score, none, _CMP_NEQ_UQ);
    __m512 e = _mm512_maskz_mov_ps(seen, exponential(_mm512_fmsub_ps(score, factor, top)));
    total = _mm512_add_ps(total, e);
    store(T(), weights, i, e);
  }
  float kept = before == nothing ? 0 : std::exp(before - m);
  *maximum = m;
  *sum = *sum * kept + _mm512_reduce_add_ps(total);
  return kept;
}

// The keys and values of one head in one sequence, in the order in which products read them.
struct packed_head {
  std::vector<uint32_t> keys;   // [panels of keys][words of a head][panel]
  std::vector<uint32_t> values; // [panels of a head][words of keys][panel]
};

template <class T> const typename T::element *at(const rows &x, int64_t row, int64_t head) {
  return static_cast<const typename T::element *>(x.data) + row * x.row + head * x.head;
}

template <class T> void pack(const job &j, int64_t from, int64_t length, int64_t head, packed_head &to) {
  int64_t words = rounded_up(j.size, T::packed) / T::packed, keys = rounded_up(length, panel);
  to.keys.assign(keys * words, 0);
  for (int64_t first = 0; first < length; first += panel) {
    uint32_t *out = &to.keys[first * words];
    int64_t n = std::min(panel, length - first);
    for (int64_t w = 0; w < words; w++) {
      // A head of odd size ends in half a word.
      bool whole = (w + 1) * T::packed <= j.size;
      for (int64_t i = 0; i < n; i++) {
        std::memcpy(out + w * panel + i, at<T>(j.k, from + first + i, head) + w * T::packed, whole ? 4 : sizeof(typename T::element));
      }
    }
  }
  to.values.assign(rounded_up(j.size, panel) * keys / T::packed, 0);
  typename T::element *values = reinterpret_cast<typename T::element *>(to.values.data());
  for (int64_t i = 0; i < length; i++) {
    const typename T::element *v = at<T>(j.v, from + i, head);
    for (int64_t first = 0; first < j.size; first += panel) {
      typename T::element *row = values + first * keys + (i / T::packed * panel) * T::packed + i % T::packed;
      for (int64_t d = 0; d < std::min(panel, j.size - first); d++) {
        row[d * T::packed] = v[first + d];
      }
    }
  }
}

// What a thread works in, and keeps: a few hundred kilobytes.
struct scratch {
  std::vector<uint32_t> queries, weights;
  std::vector<float> scores, out;
  float maximum[query_block], sum[query_block];
};

// A block of queries of one head: those of the sequence [from, from + length) that start at first.
template <class T> VECTORS void attend(const job &j, int64_t from, int64_t length, int64_t head, int64_t first, const packed_head &p) {
  static thread_local scratch s;
  typedef typename T::element element;
  int64_t words = rounded_up(j.size, T::packed) / T::packed, keys = rounded_up(length, panel), width = rounded_up(j.size, lanes);
  int64_t n = std::min(query_block, length - first), rows = rounded_up(n, strip);
  s.queries.resize(rows * words);
  s.out.assign(rows * width, 0);
  s.scores.resize(rows * key_block);
  s.weights.resize(rows * key_block / T::packed);
  // What makes the last strip whole, and a head of odd size a whole word, is computed with and not kept.
  std::fill(s.queries.begin() + n * words, s.queries.end(), 0);
  std::fill(s.weights.begin() + n * key_block / T::packed, s.weights.end(), 0);
  for (int64_t r = 0; r < n; r++) {
    s.queries[(r + 1) * words - 1] = 0;
    std::memcpy(&s.queries[r * words], at<T>(j.q, from + first + r, head), j.size * sizeof(element));
    s.maximum[r] = -std::numeric_limits<float>::infinity();
    s.sum[r] = 0;
  }
  int64_t begin = j.window > 0 ? std::max<int64_t>(0, first - j.window + 1) / panel * panel : 0;
  for (int64_t c = begin; c < first + n; c += key_block) {
    int64_t end = std::min(c + key_block, first + n), seen = rounded_up(end - c, lanes);
    matrix_product<T>(s.queries.data(), words, p.keys.data() + c * words, panel * words, s.scores.data(), key_block, rows, seen, words,
                      false);
    for (int64_t r = 0; r < n; r++) {
      int64_t row = first + r, low = j.window > 0 ? std::max<int64_t>(0, row - j.window + 1 - c) : 0;
      int64_t high = std::min(end, row + 1) - c;
      uint32_t *weights = &s.weights[r * key_block / T::packed];
      if (high <= 0 || low >= high) {
        std::memset(weights, 0, seen * sizeof(element));
        continue;
      }
      float kept = soften<T>(&s.scores[r * key_block], weights, seen, low, high, static_cast<float>(j.scale), &s.maximum[r], &s.sum[r]);
      __m512 factor = _mm512_set1_ps(kept);
      for (float *o = &s.out[r * width], *stop = o + width; o < stop; o += lanes) {
        _mm512_storeu_ps(o, _mm512_mul_ps(_mm512_loadu_ps(o), factor));
      }
    }
    matrix_product<T>(s.weights.data(), key_block / T::packed, p.values.data() + c / T::packed * panel, keys / T::packed * panel, s.out.data(),
                      width, rows, width, seen / T::packed, true);
  }
  for (int64_t r = 0; r < n; r++) {
    element *to = static_cast<element *>(j.out) + ((from + first + r) * j.heads + head) * j.size;
    float *row = &s.out[r * width];
    __m512 divisor = _mm512_set1_ps(s.sum[r]);
    for (int64_t d = 0; d < width; d += lanes) {
      store(T(), row, d, _mm512_div_ps(_mm512_loadu_ps(row + d), divisor));
    }
    std::memcpy(to, row, j.size * sizeof(element));
  }
}

template <class T> void run_typed(const job &j) {
  int64_t group = j.heads / j.key_heads;
  std::vector<packed_head> packed(j.sequences * j.key_heads);
  struct block {
    int64_t from, length, head, first;
    const packed_head *keys;
  };
  std::vector<block> blocks;
  for (size_t i = 0; i < j.sequences; i++) {
    int64_t from = i == 0 ? 0 : j.ends[i - 1], length = j.ends[i] - from;
    for (int64_t h = 0; h < j.heads; h++) {
      for (int64_t first = 0; first < length; first += query_block) {
        blocks.push_back({from, length, h, first, &packed[i * j.key_heads + h / group]});
      }
    }
  }
  parallel::each(static_cast<int64_t>(packed.size()), 1, [&](int64_t i, int64_t) {
    int64_t sequence = i / j.key_heads, from = sequence == 0 ? 0 : j.ends[sequence - 1];
    pack<T>(j, from, j.ends[sequence] - from, i % j.key_heads, packed[i]);
  });
  parallel::each(static_cast<int64_t>(blocks.size()), 1, [&](int64_t i, int64_t) {
    const block &b = blocks[i];
    attend<T>(j, b.from, b.length, b.head, b.first, *b.keys);
  });
}

} // namespace

bool has_tiles() {
  unsigned a, b, c, d;
  const unsigned amx_bf16 = 1u << 22;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & amx_bf16) != 0;
}

bool supported() {
  return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bf16");
}

void run(const job &j) {
  if (j.bfloat16) {
    run_typed<bfloat16>(j);
  } else {
    run_typed<float32>(j);
  }
}

} // namespace attention

#else

namespace attention {

bool supported() { return false; }
bool has_tiles() { return false; }
void run(const job &) { throw std::logic_error("this processor has no vectors for attention"); }

} // namespace attention

#endif
