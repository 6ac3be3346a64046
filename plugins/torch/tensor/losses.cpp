//go:build torch

#include "cuda_kernels.h"
#include "elements.h"
#include "extra.h"
#include "handle.h"
#include "linear.h"
#include "parallel.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

using handle::guarded;
using handle::tensor;

namespace {

// For each row of logits so far: the greatest, the sum of e^(logit - greatest), and the target's logit.
struct partial {
  double *maxima, *sums, *logits;

  void add(int64_t i, elements::reduced r) {
    // A row with NaN has the sum NaN, whatever its greatest element.
    double maximum = std::max<double>(maxima[i], r.maximum);
    double kept = maxima[i] == maximum ? 1 : std::exp(maxima[i] - maximum), more = r.maximum == maximum ? 1 : std::exp(r.maximum - maximum);
    sums[i] = sums[i] * kept + r.sum * more;
    maxima[i] = maximum;
  }
};

// Adds logits [rows, columns], in order and before the cap, to rows; targets count from the first column.
void add_logits(const float *logits, int64_t rows, int64_t columns, int64_t first, const int64_t *targets, float cap, partial to) {
  auto add = [&](int64_t i, const float *row) {
    to.add(i, elements::reduce_row(row, columns));
    int64_t target = targets[i] - first;
    if (target >= 0 && target < columns) {
      to.logits[i] = row[target];
    }
  };
  parallel::each(rows, 8, [&](int64_t begin, int64_t end) {
    std::vector<float> capped(cap != 0 ? columns : 0);
    for (int64_t i = begin; i < end; i++) {
      const float *row = logits + i * columns;
      if (cap == 0) {
        add(i, row);
      } else {
        elements::softcap(row, capped.data(), columns, cap);
        add(i, capped.data());
      }
    }
  });
}

// The same with libtorch's operations, for all devices. Results stay on the device.
class reference_sum {
public:
  explicit reference_sum(const at::Tensor &targets) : targets(targets) {
    auto options = at::TensorOptions().device(targets.device()).dtype(at::kDouble);
    maxima = at::full({targets.size(0)}, -std::numeric_limits<double>::infinity(), options);
    logits = maxima.clone();
    sums = at::zeros({targets.size(0)}, options);
  }

  // Changes z, whose first column is that of the token first.
  void add(at::Tensor z, int64_t first) {
    const cuda::kernels *kernels = cuda::usable(z, cuda::kernel::reduce);
    if (kernels != nullptr && kernels->reduce(z, first, targets, {maxima, sums, logits})) {
      return;
    }
    at::Tensor target = targets - first, column = target.clamp(0, z.size(1) - 1).unsqueeze(1);
    at::Tensor found = z.gather(1, column).squeeze(1).to(at::kDouble);
    logits = at::where((target >= 0) & (target < z.size(1)), found, logits);
    at::Tensor greatest = z.amax(1);
    join(greatest.to(at::kDouble), z.sub_(greatest.unsqueeze(1)).exp_().sum(1, false, at::kDouble));
  }

  // The maxima, sums and targets' logits, [3, rows].
  at::Tensor results() const { return at::stack({maxima, sums, logits}); }

private:
  // Adds sums of e^(logit - maximum).
  void join(const at::Tensor &other, const at::Tensor &more) {
    at::Tensor maximum = at::maximum(maxima, other);
    sums = sums * (maxima - maximum).exp() + more * (other - maximum).exp();
    maxima = maximum;
  }

  at::Tensor maxima, sums, logits, targets;
};

struct loss_options {
  // The number of rows whose logits exist at a time.
  int64_t height;
  // The token of the head's first row.
  int64_t first;
  // 0: none.
  double softcap;
};

// Calls add(logits, first) with the float32 logits of rows of hidden and each piece of the head, whose first token is
// first. The number of columns that are computed at a time does not depend on the number of rows, so that sums of a row
// do not either.
template <class F> void each_piece(const at::Tensor &hidden, const std::vector<at::Tensor> &head, int64_t first, F add) {
  bool converted = !head.empty() && linear::converts(hidden, head[0]);
  at::Tensor in = converted ? hidden.to(at::kFloat) : hidden;
  for (const at::Tensor &piece : head) {
    at::Tensor logits = linear::float32_product(in, piece);
    add(logits, first);
    first += logits.size(1);
  }
}

void vector_losses(const at::Tensor &hidden, const std::vector<at::Tensor> &head, loss_options o, const int64_t *targets, partial to) {
  int64_t all = hidden.size(0);
  std::fill(to.maxima, to.maxima + all, -std::numeric_limits<double>::infinity());
  std::fill(to.logits, to.logits + all, -std::numeric_limits<double>::infinity());
  std::fill(to.sums, to.sums + all, 0);
  for (int64_t from = 0; from < all; from += o.height) {
    int64_t rows = std::min(o.height, all - from);
    partial part = {to.maxima + from, to.sums + from, to.logits + from};
    each_piece(hidden.narrow(0, from, rows), head, o.first, [&](const at::Tensor &logits, int64_t first) {
      add_logits(logits.const_data_ptr<float>(), rows, logits.size(1), first, targets + from, o.softcap, part);
    });
  }
}

// A GPU is given all work before the first result is copied, which waits for it.
void reference_losses(const at::Tensor &hidden, const std::vector<at::Tensor> &head, loss_options o, const int64_t *targets, partial to) {
  int64_t all = hidden.size(0);
  at::Tensor targets_tensor = at::from_blob(const_cast<int64_t *>(targets), {all}, at::kLong).to(hidden.device());
  std::vector<at::Tensor> results;
  for (int64_t from = 0; from < all; from += o.height) {
    int64_t rows = std::min(o.height, all - from);
    reference_sum sum(targets_tensor.narrow(0, from, rows));
    each_piece(hidden.narrow(0, from, rows), head, o.first, [&](const at::Tensor &logits, int64_t first) {
      sum.add(o.softcap != 0 ? at::tanh(logits / o.softcap) * o.softcap : logits, first);
    });
    results.push_back(sum.results());
  }
  if (results.empty()) {
    return;
  }
  at::Tensor joined = at::cat(results, 1).cpu();
  const double *values = joined.const_data_ptr<double>();
  std::copy(values, values + all, to.maxima);
  std::copy(values + all, values + 2 * all, to.sums);
  std::copy(values + 2 * all, values + 3 * all, to.logits);
}

} // namespace

char *extra_losses(extra_tensor hidden, const extra_tensor *head, size_t n, int64_t rows, int64_t first, const int64_t *targets, double *maxima,
                   double *sums, double *logits, double softcap, int reference) {
  return guarded([&] {
    std::vector<at::Tensor> pieces;
    std::transform(head, head + n, std::back_inserter(pieces), tensor);
    bool vectors = !reference && tensor(hidden).is_cpu();
    (vectors ? vector_losses : reference_losses)(tensor(hidden), pieces, {rows, first, softcap}, targets, {maxima, sums, logits});
  });
}
