// Attention for the vectors of one instruction set. attention.cpp includes this file once per set, in a namespace that
// defines
//
//   VECTORS       the attribute of functions that use the instructions
//   vector        a vector of float32 lanes, and the functions over it that this file uses
//   float32, bfloat16
//                 how elements of a type become factors of a product: element is the storage type; packed is how many
//                 elements that are consecutive in the summed dimension make a word of 32 bits; wide is whether a word
//                 is a float32; rounded is whether results are rounded to bfloat16; also multiply_add, store_weight and
//                 store
//   strip, panel  a product keeps strip rows of panel columns in registers
//
// The right factor of a product is stored in panels of columns, row after row. Memory is then read in order, and rows are
// not a power of two apart, which caches handle badly.

// Blocks of queries and keys that are computed together: their scores fit the innermost caches.
const int64_t query_block = 48, key_block = 256;

// c[strip][columns * lanes] = a[strip][words] b[words][columns * lanes], added to c if add is true. Strides are in
// words; b is a panel.
template <class T, int columns>
VECTORS void product(const uint32_t *a, int64_t a_stride, const uint32_t *b, float *c, int64_t c_stride, int64_t words, bool add) {
  vector sum[strip][columns];
  for (int r = 0; r < strip; r++) {
    for (int n = 0; n < columns; n++) {
      sum[r][n] = add ? load(c + r * c_stride + n * lanes) : set1(0.0f);
    }
  }
  for (int64_t i = 0; i < words; i++) {
    vector column[columns];
    for (int n = 0; n < columns; n++) {
      column[n] = load(b + i * panel + n * lanes);
    }
    for (int r = 0; r < strip; r++) {
      vector x = set1(a[r * a_stride + i]);
      for (int n = 0; n < columns; n++) {
        sum[r][n] = T::multiply_add(sum[r][n], x, column[n]);
      }
    }
  }
  for (int r = 0; r < strip; r++) {
    for (int n = 0; n < columns; n++) {
      store(c + r * c_stride + n * lanes, sum[r][n]);
    }
  }
}

// The product for a number of columns, at most `most`.
template <class T, int most>
VECTORS void narrow_product(int64_t columns, const uint32_t *a, int64_t a_stride, const uint32_t *b, float *c, int64_t c_stride, int64_t words, bool add) {
  if (columns == most) {
    product<T, most>(a, a_stride, b, c, c_stride, words, add);
  } else if constexpr (most > 1) {
    narrow_product<T, most - 1>(columns, a, a_stride, b, c, c_stride, words, add);
  }
}

// c[rows][width] = a[rows][words] b[words][width], where b is in panels at intervals of panel_stride words. rows is a
// multiple of strip, and width one of lanes.
template <class T>
VECTORS void matrix_product(const uint32_t *a, int64_t a_stride, const uint32_t *b, int64_t panel_stride, float *c, int64_t c_stride, int64_t rows,
                            int64_t width, int64_t words, bool add) {
  for (int64_t n = 0; n < width; n += panel) {
    int64_t columns = std::min(panel, width - n) / lanes;
    for (int64_t r = 0; r < rows; r += strip) {
      narrow_product<T, panel / lanes>(columns, a + r * a_stride, a_stride, b + n / panel * panel_stride, c + r * c_stride + n, c_stride, words, add);
    }
  }
}

// p(r) by Horner's method, for coefficients in descending order.
template <int n> inline VECTORS vector polynomial(vector r, const float (&coefficients)[n]) {
  vector p = set1(coefficients[0]);
  for (int i = 1; i < n; i++) {
    p = multiply_add(set1(coefficients[i]), p, r);
  }
  return p;
}

// e^x for x <= 0: 2^k p(r) with |r| <= ln(2)/2. For float32, p is the Taylor polynomial of degree 7, and the relative
// error is about 1e-7. For results that are rounded to bfloat16, p interpolates at the Chebyshev nodes of degree 5, and
// the error is at most 4e-6.
template <class T> inline VECTORS vector exponential(vector x) {
  x = max(set1(-87.0f), x); // in this order NaN stays NaN
  vector k = nearest(multiply(x, set1(1.44269504f)));
  vector r = multiply_add(multiply_add(x, k, set1(-0.693359375f)), k, set1(2.12194440e-4f));
  if constexpr (T::rounded) {
    return scale_by_power(polynomial<5>(r, {0.0418756445f, 0.16792143f, 0.499993721f, 0.999962295f, 1.0f}), k);
  } else {
    return scale_by_power(polynomial<8>(r, {1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}), k);
  }
}

// The greatest of the scores [width].
VECTORS float maximum_of(const float *scores, int64_t width) {
  vector m = load(scores);
  for (int64_t i = lanes; i < width; i += lanes) {
    m = max(m, load(scores + i));
  }
  return reduce_max(m);
}

// Turns the scores [width] into weights e^(score * scale - maximum) of type T and returns their sum. With masked, the
// weights of scores that are -infinity are 0.
template <class T, bool masked> VECTORS float exponentials(const float *scores, void *weights, int64_t width, float scale, float maximum) {
  vector top = set1(-maximum), factor = set1(scale), total = set1(0.0f);
  for (int64_t i = 0; i < width; i += lanes) {
    vector score = load(scores + i), e = exponential<T>(multiply_add(top, score, factor));
    if constexpr (masked) {
      e = zero_where(score, -std::numeric_limits<float>::infinity(), e);
    }
    total = add(total, e);
    T::store_weight(weights, i, e);
  }
  return reduce_add(total);
}

// One row's step of the online softmax (Milakov and Gimelshein, arXiv:1805.02867). maximum is the greatest score so far
// and sum is the sum of exponentials so far. Turns the scores [width] from low to high into weights of type T, and the
// others into 0: most rows see all keys of a block, only those of a diagonal block do not. Returns the factor by which
// earlier weights must be multiplied.
template <class T> VECTORS float softmax_step(float *scores, void *weights, int64_t width, int64_t low, int64_t high, float scale, float *maximum, float *sum) {
  const float nothing = -std::numeric_limits<float>::infinity();
  bool masked = low > 0 || high < width;
  std::fill(scores, scores + low, nothing);
  std::fill(scores + high, scores + std::max(high, width), nothing);
  float before = *maximum, m = maximum_of(scores, width) * scale;
  m = m > before ? m : before;
  float more = masked ? exponentials<T, true>(scores, weights, width, scale, m) : exponentials<T, false>(scores, weights, width, scale, m);
  float kept = before == nothing ? 0 : std::exp(before - m);
  *maximum = m;
  *sum = *sum * kept + more;
  return kept;
}

// The keys and values of one head in one sequence, in packed order.
struct packed_head {
  std::vector<uint32_t> keys;   // [panels of keys][words of a head][panel]
  std::vector<uint32_t> values; // [panels of a head][words of keys][panel]
};

template <class T> const typename T::element *at(const rows &x, int64_t row, int64_t head) {
  return static_cast<const typename T::element *>(x.data) + row * x.row + head * x.head;
}

// Sets element i of a word, which must be 0 there, to x.
template <class T> void put(uint32_t &word, int64_t i, typename T::element x) {
  int64_t shift = T::wide ? 8 * (sizeof word - sizeof x) : 8 * sizeof x * (i % T::packed);
  word |= static_cast<uint32_t>(x) << shift;
}

// The word of the elements that start at x, of which n exist.
template <class T> uint32_t word(const typename T::element *x, int64_t n) {
  uint32_t w = 0;
  for (int64_t i = 0; i < std::min(n, T::packed); i++) {
    put<T>(w, i, x[i]);
  }
  return w;
}

template <class T> void pack(const job &j, int64_t from, int64_t length, int64_t head, packed_head &to) {
  int64_t words = rounded_up(j.size, T::packed) / T::packed, keys = rounded_up(length, panel);
  to.keys.assign(keys * words, 0);
  for (int64_t i = 0; i < length; i++) {
    const typename T::element *k = at<T>(j.k, from + i, head);
    uint32_t *out = &to.keys[i / panel * panel * words + i % panel];
    for (int64_t w = 0; w < words; w++) {
      out[w * panel] = word<T>(k + w * T::packed, j.size - w * T::packed);
    }
  }
  to.values.assign(rounded_up(j.size, panel) * keys / T::packed, 0);
  for (int64_t i = 0; i < length; i++) {
    const typename T::element *v = at<T>(j.v, from + i, head);
    for (int64_t first = 0; first < j.size; first += panel) {
      uint32_t *row = &to.values[first * keys / T::packed + i / T::packed * panel];
      for (int64_t d = 0; d < std::min(panel, j.size - first); d++) {
        put<T>(row[d], i, v[first + d]);
      }
    }
  }
}

// A thread's work buffers, which it keeps: a few hundred kilobytes.
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
  // Padding of the last strip, and of heads of odd size to whole words, is computed and discarded.
  std::fill(s.queries.begin() + n * words, s.queries.end(), 0);
  std::fill(s.weights.begin() + n * key_block / T::packed, s.weights.end(), 0);
  for (int64_t r = 0; r < n; r++) {
    const element *q = at<T>(j.q, from + first + r, head);
    for (int64_t w = 0; w < words; w++) {
      s.queries[r * words + w] = word<T>(q + w * T::packed, j.size - w * T::packed);
    }
    s.maximum[r] = j.sinks != nullptr ? j.sinks[head] : -std::numeric_limits<float>::infinity();
    s.sum[r] = j.sinks != nullptr ? 1 : 0;
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
        std::memset(weights, 0, seen / T::packed * sizeof *weights);
        continue;
      }
      float kept = softmax_step<T>(&s.scores[r * key_block], weights, seen, low, high, static_cast<float>(j.scale), &s.maximum[r], &s.sum[r]);
      if (kept != 1) {
        for (float *o = &s.out[r * width], *stop = o + width; o < stop; o += lanes) {
          store(o, multiply(load(o), set1(kept)));
        }
      }
    }
    matrix_product<T>(s.weights.data(), key_block / T::packed, p.values.data() + c / T::packed * panel, keys / T::packed * panel, s.out.data(),
                      width, rows, width, seen / T::packed, true);
  }
  for (int64_t r = 0; r < n; r++) {
    element *to = static_cast<element *>(j.out) + ((from + first + r) * j.heads + head) * j.size;
    float *row = &s.out[r * width];
    for (int64_t d = 0; d < width; d += lanes) {
      T::store(row, d, divide(load(row + d), set1(s.sum[r])));
    }
    std::memcpy(to, row, j.size * sizeof(element));
  }
}

template <class T> void run(const job &j) {
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
