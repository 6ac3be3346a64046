// Loops over the elements of rows in host memory. bfloat16 elements are uint16_t, computed in float32.
#ifndef SURPRISAL_TENSOR_ELEMENTS_H
#define SURPRISAL_TENSOR_ELEMENTS_H
#include <cstdint>

namespace elements {

struct norm {
  double epsilon;
  // The weights are stored less 1.
  bool add_one;
};

// y = x / sqrt(mean(x^2) + epsilon) * w for each of the rows of n elements, rounded once.
void norm_rows(const float *x, const float *w, float *y, int64_t rows, int64_t n, norm o);
void norm_rows(const uint16_t *x, const float *w, uint16_t *y, int64_t rows, int64_t n, norm o);

// Rotates the pairs (i, i + half) of each head of size elements, in place.
void rotate_heads(float *x, const float *cosines, const float *sines, int64_t heads, int64_t size, int64_t half);
void rotate_heads(uint16_t *x, const float *cosines, const float *sines, int64_t heads, int64_t size, int64_t half);

enum class activation { silu, gelu_tanh, gelu };

// Replaces each element by its activation.
void activate(float *x, int64_t n, activation a);
void activate(uint16_t *x, int64_t n, activation a);

// Sets each element of to to the product of the activation of gate's element and the element of up, both rounded to the
// type of elements.
void gate(float *to, const float *gate, const float *up, int64_t n, activation a);
void gate(uint16_t *to, const uint16_t *gate, const uint16_t *up, int64_t n, activation a);

// Sets each element to cap * tanh(z / cap).
void softcap(const float *z, float *to, int64_t n, float cap);

// Adds (x + bias) times factor to to; bias may be NULL.
void add_scaled(float *to, const float *x, const float *bias, float factor, int64_t n);

// The greatest element of a row, the sum of e^(z - greatest), and that of e^(z - greatest) (z - greatest). Sums are NaN
// if an element is.
struct reduced {
  float maximum;
  double sum, moment;
};

// Computes no moment.
reduced reduce_row(const float *z, int64_t n);
// The maximum and the sum have the same bits as those of reduce_row.
reduced reduce_row_with_moment(const float *z, int64_t n);

// How many elements are greater than x, or not less than x. NaN is neither.
int64_t count_greater(const float *z, int64_t n, float x);
int64_t count_not_less(const float *z, int64_t n, float x);

// Replaces elements of kept, the greatest k so far as a heap whose first is the least, by greater ones of z.
void keep_greatest(const float *z, int64_t n, float *kept, int64_t k);

// Columns that observe takes at a time.
const int64_t observed_columns = 64;

// For rows of at most observed_columns elements that are stride elements apart: sets elements of reached to 1 where a
// magnitude is at least threshold, and those of largest to the largest magnitude of each column. The rows of reached are
// width elements apart.
void observe(const float *x, int64_t stride, int64_t rows, int64_t columns, float threshold, uint8_t *reached, int64_t width, float *largest);
void observe(const uint16_t *x, int64_t stride, int64_t rows, int64_t columns, float threshold, uint8_t *reached, int64_t width, float *largest);

// The bits of magnitudes, which have the same order as integers.
void magnitudes(const float *x, uint32_t *to, int64_t n);
void magnitudes(const uint16_t *x, uint32_t *to, int64_t n);

// The index of the first element that equals x; n if none does.
int64_t find(const float *z, int64_t n, float x);

} // namespace elements

#endif
