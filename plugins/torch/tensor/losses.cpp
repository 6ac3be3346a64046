//go:build torch

#include "elements.h"
#include "extra.h"
#include "handle.h"
#include "linear.h"
#include "parallel.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <optional>
#include <vector>

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
template <class T> void add_logits(const T *logits, int64_t rows, int64_t columns, int64_t first, const int64_t *targets, float cap, partial to) {
  auto add = [&](int64_t i, auto *row) {
    to.add(i, elements::reduce_row(row, columns));
    int64_t target = targets[i] - first;
    if (target >= 0 && target < columns) {
      to.logits[i] = elements::wide(row[target]);
    }
  };
  parallel::each(rows, 8, [&](int64_t begin, int64_t end) {
    std::vector<float> capped(cap != 0 ? columns : 0);
    for (int64_t i = begin; i < end; i++) {
      const T *row = logits + i * columns;
      if (cap == 0) {
        add(i, row);
      } else {
        elements::softcap(row, capped.data(), columns, cap);
        add(i, capped.data());
      }
    }
  });
}

// The same with libtorch's operations, for all types and devices.
class portable_sum {
public:
  portable_sum(int64_t rows, const int64_t *targets, at::Device device) {
    auto options = at::TensorOptions().device(device).dtype(at::kDouble);
    maxima = at::full({rows}, -std::numeric_limits<double>::infinity(), options);
    logits = maxima.clone();
    sums = at::zeros({rows}, options);
    targets_tensor = at::from_blob(const_cast<int64_t *>(targets), {rows}, at::kLong).to(device);
  }

  void add(const at::Tensor &z, int64_t first) {
    at::Tensor target = targets_tensor - first, column = target.clamp(0, z.size(1) - 1).unsqueeze(1);
    at::Tensor found = z.gather(1, column).squeeze(1).to(at::kDouble);
    logits = at::where((target >= 0) & (target < z.size(1)), found, logits);
    // The difference is float32, whatever the type of z.
    at::Tensor greatest = z.amax(1).to(at::kFloat);
    join(greatest.to(at::kDouble), (z - greatest.unsqueeze(1)).exp_().sum(1, false, at::kDouble));
  }

  void give(partial to) {
    at::Tensor all = at::stack({maxima, sums, logits}).cpu();
    const double *values = all.const_data_ptr<double>();
    int64_t rows = all.size(1);
    std::copy(values, values + rows, to.maxima);
    std::copy(values + rows, values + 2 * rows, to.sums);
    std::copy(values + 2 * rows, values + 3 * rows, to.logits);
  }

private:
  // Adds sums of e^(logit - maximum).
  void join(const at::Tensor &other, const at::Tensor &more) {
    at::Tensor maximum = at::maximum(maxima, other);
    sums = sums * (maxima - maximum).exp() + more * (other - maximum).exp();
    maxima = maximum;
  }

  at::Tensor maxima, sums, logits, targets_tensor;
};

// The number of columns that are computed at a time does not depend on the number of rows, so that sums of a row do not
// either.
void losses(const at::Tensor &hidden, const std::vector<at::Tensor> &head, int64_t height, int64_t first, const int64_t *targets, partial to,
            double softcap, bool portable) {
  portable = portable || !hidden.is_cpu() || hidden.scalar_type() != at::kFloat && hidden.scalar_type() != at::kBFloat16;
  for (int64_t from = 0; from < hidden.size(0); from += height) {
    int64_t rows = std::min(height, hidden.size(0) - from);
    at::Tensor in = hidden.narrow(0, from, rows);
    partial part = {to.maxima + from, to.sums + from, to.logits + from};
    std::fill(part.maxima, part.maxima + rows, -std::numeric_limits<double>::infinity());
    std::fill(part.logits, part.logits + rows, -std::numeric_limits<double>::infinity());
    std::fill(part.sums, part.sums + rows, 0);
    std::optional<portable_sum> sum;
    if (portable) {
      sum.emplace(rows, targets + from, hidden.device());
    }
    int64_t token = first;
    for (const at::Tensor &piece : head) {
      at::Tensor logits = linear::product(in, piece, {});
      int64_t columns = logits.size(1);
      if (portable) {
        sum->add(softcap != 0 ? at::tanh(logits.to(at::kFloat) / softcap) * softcap : logits, token);
      } else if (logits.scalar_type() == at::kFloat) {
        add_logits(logits.const_data_ptr<float>(), rows, columns, token, targets + from, softcap, part);
      } else {
        add_logits(reinterpret_cast<const uint16_t *>(logits.const_data_ptr()), rows, columns, token, targets + from, softcap, part);
      }
      token += columns;
    }
    if (portable) {
      sum->give(part);
    }
  }
}

} // namespace

char *extra_losses(extra_tensor hidden, const extra_tensor *head, size_t n, int64_t rows, int64_t first, const int64_t *targets, double *maxima,
                   double *sums, double *logits, double softcap, int portable) {
  return guarded([&] {
    std::vector<at::Tensor> pieces;
    std::transform(head, head + n, std::back_inserter(pieces), tensor);
    losses(tensor(hidden), pieces, rows, first, targets, {maxima, sums, logits}, softcap, portable != 0);
  });
}
