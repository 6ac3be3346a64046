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
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/special_entr.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

using handle::guarded;
using handle::tensor;

namespace {

// For each row of logits so far: the greatest, the sum of e^(logit - greatest), and the target's logit. The others are
// those of confidence, as extra.h describes them, or NULL.
struct partial {
  double *maxima, *sums, *logits, *moments = nullptr, *tops = nullptr, *preceding = nullptr;

  // out is [3, all], or [6, all] with confidence.
  partial(double *out, int64_t all, bool confidence) : maxima(out), sums(out + all), logits(out + 2 * all) {
    const double nothing = -std::numeric_limits<double>::infinity();
    std::fill(maxima, maxima + all, nothing);
    std::fill(sums, sums + all, 0);
    std::fill(logits, logits + all, nothing);
    if (confidence) {
      moments = out + 3 * all;
      tops = out + 4 * all;
      preceding = out + 5 * all;
      std::fill(moments, moments + all, 0);
      std::fill(tops, tops + all, -1);
      std::fill(preceding, preceding + all, 0);
    }
  }

  // Adds the sums of a piece, in order.
  void add(int64_t i, elements::reduced r) {
    // A row with NaN has the sum NaN, whatever its greatest element.
    double maximum = std::max<double>(maxima[i], r.maximum);
    double kept = maxima[i] == maximum ? 1 : std::exp(maxima[i] - maximum), more = r.maximum == maximum ? 1 : std::exp(r.maximum - maximum);
    if (moments != nullptr) {
      moments[i] = shifted(moments[i], sums[i], maxima[i] - maximum) * kept + shifted(r.moment, r.sum, r.maximum - maximum) * more;
    }
    sums[i] = sums[i] * kept + r.sum * more;
    maxima[i] = maximum;
  }

private:
  // The sum of e^x (x + by), given those of e^x x and of e^x. No logits have no sum, and an infinite shift.
  static double shifted(double moment, double sum, double by) { return sum == 0 ? 0 : moment + sum * by; }
};

// The targets of rows and, for confidence, the targets' logits, and how many of the greatest logits are kept.
struct target_list {
  const int64_t *tokens;
  const double *logits;
  int64_t top;
};

// Adds a row of logits, in order and after the cap, to row i.
void add_row(const float *row, int64_t columns, int64_t first, int64_t i, target_list targets, partial to) {
  int64_t target = targets.tokens[i] - first;
  bool inside = target >= 0 && target < columns;
  if (inside) {
    to.logits[i] = row[target];
  }
  if (targets.logits == nullptr) {
    to.add(i, elements::reduce_row(row, columns));
    return;
  }
  elements::reduced r = elements::reduce_row_with_moment(row, columns);
  if (r.maximum > to.maxima[i]) {
    to.tops[i] = static_cast<double>(first + elements::find(row, columns, r.maximum));
  }
  float logit = inside ? row[target] : static_cast<float>(targets.logits[i]);
  if (r.maximum >= logit) {
    int64_t lower = std::clamp<int64_t>(target, 0, columns);
    int64_t preceding = elements::count_not_less(row, lower, logit) + elements::count_greater(row + lower, columns - lower, logit);
    to.preceding[i] += static_cast<double>(preceding);
  }
  to.add(i, r);
}

// Adds logits [rows, columns], before the cap, to the rows that start at from.
// kept has a heap of the greatest logits of each row.
void add_logits(const at::Tensor &logits, int64_t first, int64_t from, target_list targets, float cap, partial to, std::vector<float> &kept) {
  int64_t columns = logits.size(1);
  const float *values = logits.const_data_ptr<float>();
  parallel::each(logits.size(0), 8, [&](int64_t begin, int64_t end) {
    std::vector<float> capped(cap != 0 ? columns : 0);
    for (int64_t i = begin; i < end; i++) {
      const float *row = values + i * columns;
      if (cap != 0) {
        elements::softcap(row, capped.data(), columns, cap);
        row = capped.data();
      }
      add_row(row, columns, first, from + i, targets, to);
      if (targets.top > 0) {
        elements::keep_greatest(row, columns, kept.data() + (from + i) * targets.top, targets.top);
      }
    }
  });
}

at::Tensor capped(const at::Tensor &z, double cap) { return cap != 0 ? at::tanh(z / cap) * cap : z; }

// The same with libtorch's operations, for all devices. Results stay on the device.
class reference_sum {
public:
  // truths are the targets' logits, float32, for confidence, or an undefined tensor. top of the greatest logits are kept.
  reference_sum(const at::Tensor &targets, const at::Tensor &truths, int64_t top) : targets(targets), truths(truths) {
    auto options = at::TensorOptions().device(targets.device()).dtype(at::kDouble);
    maxima = at::full({targets.size(0)}, -std::numeric_limits<double>::infinity(), options);
    logits = maxima.clone();
    sums = at::zeros({targets.size(0)}, options);
    moments = sums;
    tops = at::full_like(sums, -1);
    preceding = sums;
    kept = at::full({targets.size(0), top}, -std::numeric_limits<float>::infinity(), options.dtype(at::kFloat));
  }

  // Changes z, whose first column is that of the token first.
  void add(at::Tensor z, int64_t first) {
    const cuda::kernels *kernels = truths.defined() ? nullptr : cuda::usable(z, cuda::kernel::reduce);
    if (kernels != nullptr && kernels->reduce(z, first, targets, {maxima, sums, logits})) {
      return;
    }
    at::Tensor target = targets - first, column = target.clamp(0, z.size(1) - 1).unsqueeze(1);
    at::Tensor found = z.gather(1, column).squeeze(1), inside = (target >= 0) & (target < z.size(1));
    logits = at::where(inside, found.to(at::kDouble), logits);
    at::Tensor greatest = z.amax(1);
    if (truths.defined()) {
      tops = at::where(greatest.to(at::kDouble) > maxima, (z.argmax(1) + first).to(at::kDouble), tops);
      count(z, target.unsqueeze(1), at::where(inside, found, truths).unsqueeze(1));
    }
    if (int64_t top = kept.size(1); top > 0) {
      kept = greatest_of(at::cat({kept, greatest_of(z, std::min(top, z.size(1)))}, 1), top);
    }
    join(greatest.to(at::kDouble), z.sub_(greatest.unsqueeze(1)).exp_());
  }

  // The results as extra.h describes them, but for the greatest logits.
  at::Tensor results() const {
    return truths.defined() ? at::stack({maxima, sums, logits, moments, tops, preceding}) : at::stack({maxima, sums, logits});
  }

  // The greatest logits [rows, top].
  at::Tensor greatest_logits() const { return kept.to(at::kDouble); }

private:
  static at::Tensor greatest_of(const at::Tensor &z, int64_t n) { return std::get<0>(at::topk(z, n, 1, true, false)); }

  // Counts the tokens before the target. The sum is exact in float32: a piece has at most 2^24 columns.
  void count(const at::Tensor &z, const at::Tensor &target, const at::Tensor &truth) {
    at::Tensor before = at::arange(z.size(1), target.options()).unsqueeze(0) < target;
    before.logical_and_(z == truth).logical_or_(z > truth);
    preceding = preceding + before.sum(1, false, at::kFloat);
  }

  // Adds the sums of terms e^(logit - maximum).
  void join(const at::Tensor &other, const at::Tensor &terms) {
    at::Tensor maximum = at::maximum(maxima, other), more = terms.sum(1, false, at::kDouble);
    at::Tensor kept_factor = (maxima - maximum).exp(), more_factor = (other - maximum).exp();
    if (truths.defined()) {
      // entr(x) is -x ln(x), and 0 for 0.
      at::Tensor moment = -at::special_entr(terms).sum(1).to(at::kDouble);
      moments = shifted(moments, sums, maxima - maximum) * kept_factor + shifted(moment, more, other - maximum) * more_factor;
    }
    sums = sums * kept_factor + more * more_factor;
    maxima = maximum;
  }

  static at::Tensor shifted(const at::Tensor &moment, const at::Tensor &sum, const at::Tensor &by) {
    return at::where(sum == 0, sum, moment + sum * by);
  }

  at::Tensor maxima, sums, logits, moments, tops, preceding, kept, targets, truths;
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

// Calls f(from, rows) for all blocks of at most height rows.
template <class F> void each_block(int64_t all, int64_t height, F f) {
  for (int64_t from = 0; from < all; from += height) {
    f(from, std::min(height, all - from));
  }
}

void vector_losses(const at::Tensor &hidden, const std::vector<at::Tensor> &head, loss_options o, target_list targets, double *out) {
  int64_t all = hidden.size(0);
  partial to(out, all, targets.logits != nullptr);
  std::vector<float> kept(all * targets.top, -std::numeric_limits<float>::infinity());
  each_block(all, o.height, [&](int64_t from, int64_t rows) {
    each_piece(hidden.narrow(0, from, rows), head, o.first,
               [&](const at::Tensor &logits, int64_t first) { add_logits(logits, first, from, targets, o.softcap, to, kept); });
  });
  std::copy(kept.begin(), kept.end(), out + 6 * all); // there is none without confidence
}

// Copies values that were computed in blocks of a dimension. A GPU is given all work before the first result is copied,
// which waits for it.
void copy_joined(const std::vector<at::Tensor> &blocks, int64_t dimension, double *out) {
  if (!blocks.empty()) {
    at::Tensor joined = at::cat(blocks, dimension).cpu().contiguous();
    std::copy_n(joined.const_data_ptr<double>(), joined.numel(), out);
  }
}

// Values in host memory on the device of like.
at::Tensor on_device(const void *values, int64_t n, at::ScalarType type, const at::Tensor &like) {
  return at::from_blob(const_cast<void *>(values), {n}, type).to(like.device());
}

void reference_losses(const at::Tensor &hidden, const std::vector<at::Tensor> &head, loss_options o, target_list targets, double *out) {
  int64_t all = hidden.size(0);
  at::Tensor tokens = on_device(targets.tokens, all, at::kLong, hidden), truths;
  if (targets.logits != nullptr) {
    truths = on_device(targets.logits, all, at::kDouble, hidden).to(at::kFloat);
  }
  std::vector<at::Tensor> results, kept;
  each_block(all, o.height, [&](int64_t from, int64_t rows) {
    reference_sum sum(tokens.narrow(0, from, rows), truths.defined() ? truths.narrow(0, from, rows) : truths, targets.top);
    each_piece(hidden.narrow(0, from, rows), head, o.first,
               [&](const at::Tensor &logits, int64_t first) { sum.add(capped(logits, o.softcap), first); });
    results.push_back(sum.results());
    kept.push_back(sum.greatest_logits());
  });
  copy_joined(results, -1, out);
  if (targets.top > 0) {
    copy_joined(kept, 0, out + 6 * all);
  }
}

// The rows whose target is in a piece are multiplied with that piece as a whole, as for losses: a row's bits do not
// depend on the other rows, but they may depend on the number of columns.
void vector_targets(const at::Tensor &hidden, const std::vector<at::Tensor> &head, loss_options o, const int64_t *targets, double *out) {
  int64_t all = hidden.size(0), first = o.first;
  std::fill_n(out, all, -std::numeric_limits<double>::infinity());
  for (const at::Tensor &piece : head) {
    int64_t columns = linear::outputs(piece);
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < all; i++) {
      if (targets[i] >= first && targets[i] < first + columns) {
        rows.push_back(i);
      }
    }
    each_block(static_cast<int64_t>(rows.size()), o.height, [&](int64_t from, int64_t n) {
      at::Tensor indices = at::from_blob(rows.data() + from, {n}, at::kLong);
      at::Tensor logits = linear::float32_product(hidden.index_select(0, indices), piece).contiguous();
      for (int64_t i = 0; i < n; i++) {
        int64_t row = rows[from + i];
        float z = logits.const_data_ptr<float>()[i * columns + targets[row] - first], limited = z;
        if (o.softcap != 0) {
          elements::softcap(&z, &limited, 1, static_cast<float>(o.softcap));
        }
        out[row] = limited;
      }
    });
    first += columns;
  }
}

// On a GPU, pieces are large, and few. Its products have other bits for other numbers of rows, so that only the rows of
// the head that are targets are multiplied. Sums are float64, so that their order does not matter.
void reference_targets(const at::Tensor &hidden, const std::vector<at::Tensor> &head, loss_options o, const int64_t *targets, double *out) {
  int64_t all = hidden.size(0);
  at::Tensor tokens = on_device(targets, all, at::kLong, hidden);
  std::vector<at::Tensor> results;
  each_block(all, o.height, [&](int64_t from, int64_t rows) {
    at::Tensor in = hidden.narrow(0, from, rows).to(at::kDouble), block = tokens.narrow(0, from, rows);
    at::Tensor found = at::full({rows}, -std::numeric_limits<double>::infinity(), in.options());
    int64_t first = o.first;
    for (const at::Tensor &piece : head) {
      at::Tensor target = block - first;
      at::Tensor weights = piece.index_select(0, target.clamp(0, piece.size(0) - 1)).to(at::kDouble);
      at::Tensor z = capped(weights.mul_(in).sum(1).to(at::kFloat), o.softcap).to(at::kDouble);
      found = at::where((target >= 0) & (target < piece.size(0)), z, found);
      first += piece.size(0);
    }
    results.push_back(found);
  });
  copy_joined(results, -1, out);
}

std::vector<at::Tensor> tensors(const extra_tensor *t, size_t n) {
  std::vector<at::Tensor> all;
  std::transform(t, t + n, std::back_inserter(all), tensor);
  return all;
}

bool uses_vectors(extra_tensor hidden, int reference) { return !reference && tensor(hidden).is_cpu(); }

} // namespace

char *extra_losses(extra_tensor hidden, const extra_tensor *head, size_t n, int64_t rows, int64_t first, const int64_t *targets,
                   const double *truths, int64_t top, double *out, double softcap, int reference) {
  return guarded([&] {
    auto compute = uses_vectors(hidden, reference) ? vector_losses : reference_losses;
    compute(tensor(hidden), tensors(head, n), {rows, first, softcap}, {targets, truths, top}, out);
  });
}

char *extra_target_logits(extra_tensor hidden, const extra_tensor *head, size_t n, int64_t rows, int64_t first, const int64_t *targets,
                          double *out, double softcap, int reference) {
  return guarded([&] {
    auto compute = uses_vectors(hidden, reference) ? vector_targets : reference_targets;
    compute(tensor(hidden), tensors(head, n), {rows, first, softcap}, targets, out);
  });
}
