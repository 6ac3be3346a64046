// Products of bfloat16 matrices with float32 results, on processors with bfloat16 multiplication.
#ifndef SURPRISAL_TENSOR_MIXED_H
#define SURPRISAL_TENSOR_MIXED_H
#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

namespace mixed {

// A packed matrix is in blocks of that many rows, which are columns of the product.
const int64_t block_columns = 64;

// c [rows, columns] = a [rows, depth] b [depth, columns], added to c if add is true. Rows of a and c are lda and ldc
// elements apart. b has [depth / 2, columns, 2] elements: two that are consecutive in the summed dimension are
// neighbors.
typedef void kernel(int64_t rows, int64_t columns, int64_t depth, const at::BFloat16 *a, int64_t lda, const at::BFloat16 *b, float *c,
                    int64_t ldc, bool add);

// The kernel of oneDNN, or NULL if this processor cannot run it.
kernel *native_kernel();

// w [out, in], bfloat16, in packed layout [1, out, in]. in must be even.
at::Tensor pack(const at::Tensor &w);
bool is_packed(const at::Tensor &w);

// x w^T in float32 [n, out] for x [n, in], bfloat16, and packed w.
at::Tensor product(const at::Tensor &x, const at::Tensor &w, kernel *k);

// What is added to the rows of a sum with these indices, which differ: a product's rows, plus a bias unless that is
// NULL, times factors.
struct scaled_rows {
  const int64_t *indices;
  const float *factors, *bias;
  int64_t count;
};

// Adds the first rows of x w^T, as many as o has, to sum, float32 and contiguous.
void add_product(const at::Tensor &sum, const at::Tensor &x, const at::Tensor &w, const scaled_rows &o, kernel *k);

// Compares products of random rows and packed w with the same in float32, and rows alone with rows together. Returns
// what is wrong with the kernel, or nothing.
std::string check(const at::Tensor &w, kernel *k);

} // namespace mixed

#endif
