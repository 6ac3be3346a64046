// Attention of its own for processors with vectors of 512 bits that multiply bfloat16, or of 256 bits.
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

struct job {
  rows q, k, v;
  // out has [tokens, heads, size] without gaps.
  void *out;
  bool bfloat16;
  int64_t heads, key_heads, size;
  // Sequence i is the rows ends[i-1] to ends[i].
  const int64_t *ends;
  size_t sequences;
  double scale;
  // How many keys a query sees, its own included; 0: all before it.
  int64_t window;
};

// The bits of the vectors that run computes with on this processor: 512, 256, or 0 where it cannot.
int vector_bits();
// Says whether this processor multiplies bfloat16 in tiles (AMX), for which libraries have products of their own.
bool has_tiles();
// Says whether this is a processor of AMD's.
bool is_amd();
// Computes causal attention within each sequence.
void run(const job &j);

} // namespace attention

#endif
