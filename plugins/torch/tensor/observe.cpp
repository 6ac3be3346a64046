//go:build torch

#include "elements.h"
#include "extra.h"
#include "handle.h"
#include "parallel.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/median.h>
#include <ATen/ops/segment_reduce.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

using handle::give;
using handle::guarded;
using handle::tensor;

namespace {

// Consecutive sequences of rows.
struct sequence_list {
  const int64_t *ends;
  int64_t n;

  int64_t begin(int64_t i) const { return i == 0 ? 0 : ends[i - 1]; }
  int64_t rows(int64_t i) const { return ends[i] - begin(i); }
  bool equal() const {
    for (int64_t i = 1; i < n; i++) {
      if (rows(i) != rows(0)) {
        return false;
      }
    }
    return true;
  }
};

struct observation {
  at::Tensor reached, sites, largest, summary;

  explicit observation(const extra_observation &o)
      : reached(tensor(o.reached)), sites(tensor(o.sites)), largest(tensor(o.largest)), summary(tensor(o.summary)) {}
};

// A site, and what is asked of it.
struct site_options {
  int64_t site, stride;
  float threshold;
};

// The lower median of the magnitudes of rows of n elements, of which every stride-th counts.
template <class T> float median(const T *x, int64_t rows, int64_t n, int64_t stride) {
  std::vector<uint32_t> bits((rows + stride - 1) / stride * n);
  for (int64_t i = 0; i * stride < rows; i++) {
    elements::magnitudes(x + i * stride * n, bits.data() + i * n, n);
  }
  auto middle = bits.begin() + (static_cast<int64_t>(bits.size()) - 1) / 2;
  std::nth_element(bits.begin(), middle, bits.end());
  float result;
  std::memcpy(&result, &*middle, sizeof result);
  return result;
}

// What observe_vectors writes for a sequence.
struct sequence_results {
  int32_t *sites;
  float *largest;
};

// Observes the columns from first on of a sequence, and returns the largest magnitude.
template <class T>
float observe_columns(const T *x, uint8_t *reached, int64_t rows, int64_t width, int64_t first, site_options o, sequence_results to) {
  float largest[elements::observed_columns], greatest = 0;
  int64_t columns = std::min(elements::observed_columns, width - first);
  elements::observe(x + first, width, rows, columns, o.threshold, reached + first, width, largest);
  for (int64_t j = 0; j < columns; j++) {
    to.largest[first + j] = std::max(to.largest[first + j], largest[j]);
    to.sites[first + j] |= static_cast<int32_t>(static_cast<uint32_t>(largest[j] >= o.threshold) << (o.site % 32));
    greatest = std::max(greatest, largest[j]);
  }
  return greatest;
}

// Each part of the work is the median of a sequence, which takes longest, or some columns of one.
template <class T> void observe_vectors(const observation &to, const at::Tensor &x, sequence_list in, site_options o) {
  const T *values = static_cast<const T *>(x.const_data_ptr());
  int64_t width = x.size(1), blocks = (width + elements::observed_columns - 1) / elements::observed_columns, n = in.n;
  float *summary = to.summary.mutable_data_ptr<float>() + o.site * 2 * n;
  std::vector<float> greatest(n * blocks);
  parallel::each(n * (blocks + 1), 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; part++) {
      int64_t i = part < n ? part : (part - n) / blocks, block = part < n ? 0 : (part - n) % blocks, row = in.begin(i);
      const T *first = values + row * width;
      if (part < n) {
        summary[n + i] = median(first, in.rows(i), width, o.stride);
        continue;
      }
      sequence_results results = {to.sites.mutable_data_ptr<int32_t>() + (o.site / 32 * n + i) * width, to.largest.mutable_data_ptr<float>() + i * width};
      greatest[part - n] = observe_columns(first, to.reached.mutable_data_ptr<uint8_t>() + row * width, in.rows(i), width,
                                           block * elements::observed_columns, o, results);
    }
  });
  for (int64_t i = 0; i < n; i++) {
    summary[i] = *std::max_element(greatest.begin() + i * blocks, greatest.begin() + (i + 1) * blocks);
  }
}

// A reduction over the rows of each sequence, "max" or "sum", of float32 x [tokens, width]: [n, width].
at::Tensor reduce_rows(const at::Tensor &x, sequence_list in, const char *reduction) {
  std::vector<int64_t> lengths(in.n);
  for (int64_t i = 0; i < in.n; i++) {
    lengths[i] = in.rows(i);
  }
  at::Tensor on_device = at::from_blob(lengths.data(), {in.n}, at::kLong).to(x.device());
  return at::segment_reduce(x, reduction, on_device, std::nullopt, std::nullopt, 0, true);
}

// The lower medians [n] of the sampled rows of magnitudes [tokens, width].
at::Tensor reference_medians(const at::Tensor &m, sequence_list in, int64_t stride) {
  if (in.equal()) {
    at::Tensor sampled = m.view({in.n, in.rows(0), m.size(1)}).slice(1, 0, std::nullopt, stride);
    return std::get<0>(at::median(sampled.reshape({in.n, -1}), 1));
  }
  std::vector<at::Tensor> all;
  for (int64_t i = 0; i < in.n; i++) {
    all.push_back(at::median(m.slice(0, in.begin(i), in.ends[i], stride)));
  }
  return at::stack(all);
}

// The same with libtorch's operations, for all devices.
void observe_reference(const observation &to, const at::Tensor &x, sequence_list in, site_options o) {
  at::Tensor m = x.to(at::kFloat).abs();
  to.reached.logical_or_(m >= o.threshold);
  at::Tensor greatest = reduce_rows(m, in, "max");
  to.largest.copy_(at::maximum(to.largest, greatest));
  int32_t bit = static_cast<int32_t>(static_cast<uint32_t>(1) << (o.site % 32));
  to.sites.select(0, o.site / 32).bitwise_or_((greatest >= o.threshold).to(at::kInt).mul_(bit));
  at::Tensor summary = to.summary.select(0, o.site);
  summary.select(0, 0).copy_(greatest.amax(1));
  summary.select(0, 1).copy_(reference_medians(m, in, o.stride));
}

void observe(const observation &to, const at::Tensor &x, sequence_list in, site_options o, bool reference) {
  if (x.dim() != 2 || in.n < 1 || in.ends[in.n - 1] != x.size(0) || to.reached.sizes() != x.sizes()) {
    throw std::runtime_error("an observation of other rows or columns");
  }
  if (reference || !x.is_cpu() || !x.is_contiguous() || (x.scalar_type() != at::kFloat && x.scalar_type() != at::kBFloat16)) {
    observe_reference(to, x, in, o);
  } else if (x.scalar_type() == at::kFloat) {
    observe_vectors<float>(to, x, in, o);
  } else {
    observe_vectors<uint16_t>(to, x, in, o);
  }
}

} // namespace

char *extra_new_observation(extra_observation *out, int64_t tokens, int64_t width, int64_t n, int64_t sites, int device) {
  return guarded([&] {
    at::Device d = device < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device));
    auto zeros = [&](at::IntArrayRef shape, at::ScalarType type) { return at::zeros(shape, at::TensorOptions().dtype(type).device(d)); };
    at::Tensor reached = zeros({tokens, width}, at::kByte), bits = zeros({(sites + 31) / 32, n, width}, at::kInt);
    at::Tensor largest = zeros({n, width}, at::kFloat), summary = zeros({sites, 2, n}, at::kFloat);
    give(&out->reached, reached);
    give(&out->sites, bits);
    give(&out->largest, largest);
    give(&out->summary, summary);
  });
}

char *extra_observe(const extra_observation *to, extra_tensor x, int64_t site, const int64_t *ends, size_t n, int64_t stride, float threshold,
                    int reference) {
  return guarded([&] { observe(observation(*to), tensor(x), {ends, static_cast<int64_t>(n)}, {site, stride, threshold}, reference != 0); });
}

char *extra_reached_rows(extra_tensor *out, const extra_observation *from, const int64_t *ends, size_t n) {
  return guarded([&] {
    // A sum of float32 ones is exact up to 2^24 rows.
    at::Tensor reached = tensor(from->reached).to(at::kFloat);
    give(out, reduce_rows(reached, {ends, static_cast<int64_t>(n)}, "sum").to(at::kLong));
  });
}
