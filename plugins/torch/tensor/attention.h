// Attention kernels for processors with 512-bit vectors and bfloat16 multiplication, or with 256-bit vectors.
#ifndef SURPRISAL_TENSOR_ATTENTION_H
#define SURPRISAL_TENSOR_ATTENTION_H
#include <cstddef>
#include <cstdint>

namespace attention {

// Rows of heads: the elements of head h of row t start at data[t * row + h * head]. Elements are float32 or bfloat16.
struct rows {
  const void *data;
  int64_t row, head;
};

// Consecutive rows of a sequence. Those before them in the sequence are the rows of their parent and its parents.
struct segment {
  // The first row and the row after the last.
  int64_t from, to;
  // The position of the first row in the sequence.
  int64_t start;
  // The number of the segment that the positions before start end with, or -1 if start is 0.
  int64_t parent;
};

struct job {
  rows q, k, v;
  // out has [tokens, heads, size] without gaps.
  void *out;
  bool bfloat16;
  int64_t heads, key_heads, size;
  // A parent comes before its children.
  const segment *segments;
  size_t n;
  double scale;
  // How many keys a query sees, its own included; 0: all up to its own.
  int64_t window;
  // The logits of the sinks of heads, which take a share of the weights and have no value; NULL: there are none.
  const float *sinks;
};

// The width in bits of the vectors that run uses on this processor: 512, 256, or 0 if it cannot run.
int vector_bits();
// Whether this processor multiplies bfloat16 in tiles (AMX), for which libraries have their own matrix products.
bool has_tiles();
// Whether this is an AMD processor.
bool is_amd();
// Computes causal attention within each sequence. A row's result has the same bits however its sequence is divided.
void run(const job &j);

} // namespace attention

#endif
