//go:build torch

#include "mixed.h"
#include "cpu.h"
#include "elements.h"
#include "extra.h"
#include "handle.h"
#include "parallel.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <vector>

#include <ATen/native/CPUBlas.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>

namespace mixed {
namespace {

// The sizes of the blocks that a kernel multiplies: a packed block of columns fits the second level of caches, and the
// results fit the first. The last block of rows may have fewer, in a multiple of row_multiple, so that there are few
// kernels.
const int64_t block_rows = 32, block_depth = 512, row_multiple = 8;
// How many rows share a packed block of columns.
const int64_t part_rows = 512;

void onednn_kernel(int64_t rows, int64_t columns, int64_t depth, const at::BFloat16 *a, int64_t lda, const at::BFloat16 *b, float *c,
                   int64_t ldc, bool add) {
  at::native::cpublas::brgemm(rows, columns, depth, lda, columns, ldc, add, a, b, c, true);
}

// Rows of a product, x w^T, and a block of its columns.
struct block {
  const at::Tensor &x, &w;
  int64_t from, to, first;
};

// Computes a block, and calls store(row, columns, sums) for each of its rows.
template <class Store> void multiply_block(const block &of, kernel *k, Store store) {
  int64_t depth = of.w.size(2), columns = std::min(block_columns, of.w.size(1) - of.first);
  const at::BFloat16 *a = of.x.const_data_ptr<at::BFloat16>(), *b = of.w.const_data_ptr<at::BFloat16>() + of.first * depth;
  std::vector<at::BFloat16> padded;
  float sums[block_rows * block_columns];
  for (int64_t row = of.from; row < of.to; row += block_rows) {
    int64_t rows = std::min(block_rows, of.to - row), multiplied = (rows + row_multiple - 1) / row_multiple * row_multiple;
    const at::BFloat16 *in = a + row * depth;
    if (rows < multiplied) {
      padded.assign(multiplied * depth, 0);
      std::copy(in, in + rows * depth, padded.begin());
      in = padded.data();
    }
    for (int64_t i = 0; i < depth; i += block_depth) {
      k(multiplied, columns, std::min(block_depth, depth - i), in + i, depth, b + i * columns, sums, block_columns, i > 0);
    }
    for (int64_t r = 0; r < rows; r++) {
      store(row + r, columns, sums + r * block_columns);
    }
  }
}

// Calls multiply with the parts of a product of the first rows of x on all threads.
template <class Multiply> void each_block(const at::Tensor &x, const at::Tensor &w, int64_t rows, kernel *k, Multiply multiply) {
  int64_t blocks = (w.size(1) + block_columns - 1) / block_columns, parts = (rows + part_rows - 1) / part_rows;
  parallel::each(blocks * parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      int64_t from = i % parts * part_rows;
      multiply(block{x, w, from, std::min(rows, from + part_rows), i / parts * block_columns});
    }
    if (k == onednn_kernel) {
      at::native::cpublas::brgemm_release();
    }
  });
}

at::Tensor random_rows(int64_t rows, int64_t width) {
  at::Tensor x = at::empty({rows, width}, at::TensorOptions().dtype(at::kFloat));
  float *data = x.data_ptr<float>();
  uint32_t state = 1;
  for (int64_t i = 0; i < x.numel(); i++) {
    state = state * 1664525 + 1013904223; // a linear congruential generator (Knuth)
    data[i] = static_cast<float>(static_cast<int32_t>(state)) / 2147483648.0f;
  }
  return x.to(at::kBFloat16);
}

} // namespace

kernel *native_kernel() {
  // libtorch's could_pack is about a layout for tiles, which processors with these vectors can lack.
  return cpu::features().avx512_bf16 ? onednn_kernel : nullptr;
}

bool is_packed(const at::Tensor &w) { return w.dim() == 3; }

at::Tensor pack(const at::Tensor &w) {
  at::Tensor in = w.contiguous(), out = at::empty({1, w.size(0), w.size(1)}, w.options());
  int64_t width = w.size(0), depth = w.size(1);
  const at::BFloat16 *from = in.const_data_ptr<at::BFloat16>();
  at::BFloat16 *to = out.data_ptr<at::BFloat16>();
  parallel::each(width, block_columns, [&](int64_t begin, int64_t end) {
    int64_t columns = end - begin;
    for (int64_t n = begin; n < end; n++) {
      for (int64_t i = 0; i < depth; i++) {
        to[begin * depth + i / 2 * 2 * columns + (n - begin) * 2 + i % 2] = from[n * depth + i];
      }
    }
  });
  return out;
}

at::Tensor product(const at::Tensor &x, const at::Tensor &w, kernel *k) {
  at::Tensor in = x.contiguous(), out = at::empty({x.size(0), w.size(1)}, x.options().dtype(at::kFloat));
  float *to = out.data_ptr<float>();
  int64_t width = out.size(1);
  each_block(in, w, x.size(0), k, [&](const block &b) {
    multiply_block(b, k, [&](int64_t row, int64_t columns, const float *sums) {
      std::memcpy(to + row * width + b.first, sums, columns * sizeof(float));
    });
  });
  return out;
}

void add_product(const at::Tensor &sum, const at::Tensor &x, const at::Tensor &w, const scaled_rows &o, kernel *k) {
  at::Tensor in = x.contiguous();
  float *to = sum.data_ptr<float>();
  int64_t width = sum.size(1);
  each_block(in, w, o.count, k, [&](const block &b) {
    const float *bias = o.bias == nullptr ? nullptr : o.bias + b.first;
    multiply_block(b, k, [&](int64_t row, int64_t columns, const float *sums) {
      elements::add_scaled(to + o.indices[row] * width + b.first, sums, bias, o.factors[row], columns);
    });
  });
}

std::string check(const at::Tensor &w, kernel *k) {
  // A whole block of columns, and a last one that is not.
  const int64_t rows = block_rows + 3, width = std::min(block_columns + w.size(0) % block_columns, w.size(0)), last = w.size(0) - width;
  at::Tensor sample = w.narrow(0, last, width), packed = pack(sample), x = random_rows(rows, w.size(1));
  at::Tensor got = product(x, packed, k), wide = x.to(at::kDouble), factors = sample.to(at::kDouble);
  at::Tensor want = wide.mm(factors.t());
  // A sum of n terms in float32 has an error below n units of 2^-24 of the sum of their magnitudes (Higham, Accuracy
  // and Stability of Numerical Algorithms, section 3.1).
  at::Tensor limit = wide.abs().mm(factors.abs().t()) * (static_cast<double>(w.size(1)) * 0x1p-24);
  at::Tensor near = (got.to(at::kDouble) - want).abs() <= limit;
  if (!near.all().item<bool>()) {
    return "differs from float32 by more than rounding";
  }
  for (int64_t n = 1; n < rows; n++) {
    if (!at::equal(product(x.narrow(0, 0, n), packed, k), got.narrow(0, 0, n))) {
      return "has other bits for " + std::to_string(n) + " rows than for " + std::to_string(rows);
    }
  }
  return "";
}

} // namespace mixed

namespace {

// Kernels for tests: one that is right, and two that are wrong.
template <int fault>
void scalar_kernel(int64_t rows, int64_t columns, int64_t depth, const at::BFloat16 *a, int64_t lda, const at::BFloat16 *b, float *c,
                   int64_t ldc, bool add) {
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t n = 0; n < columns; n++) {
      float sum = add ? c[r * ldc + n] : 0;
      for (int64_t i = 0; i < depth; i++) {
        sum += static_cast<float>(a[r * lda + i]) * static_cast<float>(b[i / 2 * 2 * columns + 2 * n + i % 2]);
      }
      if (fault == 1) {
        sum = static_cast<float>(static_cast<at::BFloat16>(sum));
      }
      if (fault == 2 && a[(rows - 1) * lda] == 0) {
        sum *= 1 + 0x1p-23f;
      }
      c[r * ldc + n] = sum;
    }
  }
}

} // namespace

char *extra_mixed_test(extra_tensor *out, extra_tensor x, extra_tensor w, int fault) {
  return handle::guarded([&] {
    mixed::kernel *k = fault == 0 ? scalar_kernel<0> : fault == 1 ? scalar_kernel<1> : scalar_kernel<2>;
    std::string wrong = mixed::check(handle::tensor(w), k);
    if (!wrong.empty()) {
      throw std::runtime_error(wrong);
    }
    handle::give(out, mixed::product(handle::tensor(x), mixed::pack(handle::tensor(w)), k));
  });
}
