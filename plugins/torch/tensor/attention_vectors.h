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
//
// What a query computes depends on its position in the sequence only: blocks of queries and keys start at fixed
// positions, and the keys after its own in the last block add zeros. Segments of a sequence therefore have the same bits
// as the whole sequence.

// Blocks of queries and keys that are computed together: their scores fit the innermost caches.
const int64_t query_block = 48, key_block = 256;

// A panel of the right factor of a product, in chunks of words consecutive rows: row i is row i % words of the panel that
// starts at offset in chunks[i / words].
struct right_factor {
  const uint32_t *const *chunks;
  int64_t offset, words;
};

// c[strip][columns * lanes] = a[strip][words] b[words][columns * lanes], added to c if add is true. Strides are in
// words.
template <class T, int columns>
VECTORS void product(const uint32_t *a, int64_t a_stride, const right_factor &b, float *c, int64_t c_stride, int64_t words, bool add) {
  vector sum[strip][columns];
  for (int r = 0; r < strip; r++) {
    for (int n = 0; n < columns; n++) {
      sum[r][n] = add ? load(c + r * c_stride + n * lanes) : set1(0.0f);
    }
  }
  for (int64_t from = 0; from < words; from += b.words) {
    const uint32_t *row = b.chunks[from / b.words] + b.offset;
    for (int64_t i = from, to = std::min(words, from + b.words); i < to; i++, row += panel) {
      vector column[columns];
      for (int n = 0; n < columns; n++) {
        column[n] = load(row + n * lanes);
      }
      for (int r = 0; r < strip; r++) {
        vector x = set1(a[r * a_stride + i]);
        for (int n = 0; n < columns; n++) {
          sum[r][n] = T::multiply_add(sum[r][n], x, column[n]);
        }
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
VECTORS void narrow_product(int64_t columns, const uint32_t *a, int64_t a_stride, const right_factor &b, float *c, int64_t c_stride, int64_t words, bool add) {
  if (columns == most) {
    product<T, most>(a, a_stride, b, c, c_stride, words, add);
  } else if constexpr (most > 1) {
    narrow_product<T, most - 1>(columns, a, a_stride, b, c, c_stride, words, add);
  }
}

// c[rows][width] = a[rows][words] b[words][width], where the panel of b from column n onward is panel_at(n). rows is a
// multiple of strip, and width one of lanes.
template <class T, class F>
VECTORS void matrix_product(const uint32_t *a, int64_t a_stride, const F &panel_at, float *c, int64_t c_stride, int64_t rows, int64_t width,
                            int64_t words, bool add) {
  for (int64_t n = 0; n < width; n += panel) {
    int64_t columns = std::min(panel, width - n) / lanes;
    right_factor b = panel_at(n);
    for (int64_t r = 0; r < rows; r += strip) {
      narrow_product<T, panel / lanes>(columns, a + r * a_stride, a_stride, b, c + r * c_stride + n, c_stride, words, add);
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

// The form of a chunk: the keys and values of one head at panel consecutive positions, in packed order.
template <class T> struct chunk_form {
  int64_t words;  // of a key or query
  int64_t panels; // of a value
  explicit chunk_form(int64_t size) : words(rounded_up(size, T::packed) / T::packed), panels(rounded_up(size, panel) / panel) {}

  static const int64_t rows = panel / T::packed; // of a panel of values
  // The keys are [words][panel]. The values follow, [panels][rows][panel].
  int64_t values(int64_t column) const { return (words + column / panel * rows) * panel; }
  int64_t size() const { return values(panels * panel); }
};

// The chunks of one head from the beginning of a sequence to the end of a segment. Those that lie before the segment are
// shared with its parent, and its others are in own.
struct packed_head {
  std::vector<const uint32_t *> chunks;
  std::unique_ptr<uint32_t[]> own;
  int64_t own_chunks;
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

// Makes the chunks of a head of a segment, given those of its parent, without values yet.
template <class T> void place(const job &j, const segment &of, const packed_head *parent, packed_head &to) {
  chunk_form<T> form(j.size);
  int64_t shared = of.start / panel, all = rounded_up(of.start + of.to - of.from, panel) / panel;
  to.own_chunks = all - shared;
  to.own.reset(new uint32_t[to.own_chunks * form.size()]);
  if (parent != nullptr) {
    to.chunks.assign(parent->chunks.begin(), parent->chunks.begin() + shared);
  }
  for (int64_t i = 0; i < to.own_chunks; i++) {
    to.chunks.push_back(&to.own[i * form.size()]);
  }
}

// Fills the segment's own chunks. The first of them may begin with positions of its parents.
template <class T> void pack(const job &j, const segment &of, int64_t head, packed_head &to) {
  chunk_form<T> form(j.size);
  std::fill_n(to.own.get(), to.own_chunks * form.size(), 0);
  const segment *at_position = &of;
  for (int64_t first = of.start / panel * panel, p = of.start + of.to - of.from - 1; p >= first; p--) {
    while (p < at_position->start) {
      at_position = &j.segments[at_position->parent];
    }
    int64_t row = at_position->from + p - at_position->start, i = p % panel;
    uint32_t *chunk = &to.own[(p - first) / panel * form.size()];
    const typename T::element *k = at<T>(j.k, row, head), *v = at<T>(j.v, row, head);
    for (int64_t w = 0; w < form.words; w++) {
      chunk[w * panel + i] = word<T>(k + w * T::packed, j.size - w * T::packed);
    }
    for (int64_t column = 0; column < j.size; column += panel) {
      uint32_t *values = chunk + form.values(column) + i / T::packed * panel;
      for (int64_t d = 0; d < std::min(panel, j.size - column); d++) {
        put<T>(values[d], i, v[column + d]);
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

// Queries of one head of a segment, of consecutive positions in one block of the sequence.
struct queries {
  const segment *of;
  int64_t head, first, n;
  const packed_head *keys;
};

template <class T> VECTORS void attend(const job &j, const queries &b) {
  static thread_local scratch s;
  typedef typename T::element element;
  chunk_form<T> form(j.size);
  const uint32_t *const *chunks = b.keys->chunks.data();
  int64_t words = form.words, width = rounded_up(j.size, lanes), head = b.head, first = b.first, n = b.n;
  int64_t rows = rounded_up(n, strip), from = b.of->from + first - b.of->start;
  s.queries.resize(rows * words);
  s.out.assign(rows * width, 0);
  s.scores.resize(rows * key_block);
  s.weights.resize(rows * key_block / T::packed);
  // Padding of the last strip, and of heads of odd size to whole words, is computed and discarded.
  std::fill(s.queries.begin() + n * words, s.queries.end(), 0);
  std::fill(s.weights.begin() + n * key_block / T::packed, s.weights.end(), 0);
  for (int64_t r = 0; r < n; r++) {
    const element *q = at<T>(j.q, from + r, head);
    for (int64_t w = 0; w < words; w++) {
      s.queries[r * words + w] = word<T>(q + w * T::packed, j.size - w * T::packed);
    }
    s.maximum[r] = j.sinks != nullptr ? j.sinks[head] : -std::numeric_limits<float>::infinity();
    s.sum[r] = j.sinks != nullptr ? 1 : 0;
  }
  int64_t begin = j.window > 0 ? std::max<int64_t>(0, first / query_block * query_block - j.window + 1) / panel * panel : 0;
  for (int64_t c = begin; c < first + n; c += key_block) {
    int64_t end = std::min(c + key_block, first + n), seen = rounded_up(end - c, lanes);
    auto keys = [&](int64_t key) { return right_factor{chunks + (c + key) / panel, 0, words}; };
    matrix_product<T>(s.queries.data(), words, keys, s.scores.data(), key_block, rows, seen, words, false);
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
    auto values = [&](int64_t column) { return right_factor{chunks + c / panel, form.values(column), form.rows}; };
    matrix_product<T>(s.weights.data(), key_block / T::packed, values, s.out.data(), width, rows, width, seen / T::packed, true);
  }
  for (int64_t r = 0; r < n; r++) {
    element *to = static_cast<element *>(j.out) + ((from + r) * j.heads + head) * j.size;
    float *row = &s.out[r * width];
    for (int64_t d = 0; d < width; d += lanes) {
      T::store(row, d, divide(load(row + d), set1(s.sum[r])));
    }
    std::memcpy(to, row, j.size * sizeof(element));
  }
}

template <class T> void run(const job &j) {
  int64_t group = j.heads / j.key_heads, heads = static_cast<int64_t>(j.n) * j.key_heads;
  std::vector<packed_head> packed(heads);
  std::vector<queries> blocks;
  for (size_t i = 0; i < j.n; i++) {
    const segment &of = j.segments[i];
    for (int64_t h = 0; h < j.key_heads; h++) {
      place<T>(j, of, of.parent < 0 ? nullptr : &packed[of.parent * j.key_heads + h], packed[i * j.key_heads + h]);
    }
    int64_t end = of.start + of.to - of.from;
    for (int64_t h = 0; h < j.heads; h++) {
      for (int64_t first = of.start; first < end;) {
        int64_t n = std::min(end, (first / query_block + 1) * query_block) - first;
        blocks.push_back({&of, h, first, n, &packed[i * j.key_heads + h / group]});
        first += n;
      }
    }
  }
  parallel::each(heads, 1, [&](int64_t i, int64_t) { pack<T>(j, j.segments[i / j.key_heads], i % j.key_heads, packed[i]); });
  parallel::each(static_cast<int64_t>(blocks.size()), 1, [&](int64_t i, int64_t) { attend<T>(j, blocks[i]); });
}
