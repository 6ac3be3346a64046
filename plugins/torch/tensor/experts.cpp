//go:build torch

#include "activation.h"
#include "extra.h"
#include "handle.h"
#include "linear.h"
#include "mixed.h"
#include "parallel.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/_grouped_mm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

using handle::give;
using handle::guarded;
using handle::tensor;

namespace {

// z has the type U, and one column or as many as x.
template <class T, class U> void scale_rows(const at::Tensor &x, const at::Tensor &z, const at::Tensor &out) {
  int64_t width = x.size(1), columns = z.size(1);
  const T *from = x.const_data_ptr<T>();
  const U *gate = z.const_data_ptr<U>();
  T *to = out.data_ptr<T>();
  auto sigmoid = [](U v) { return 1 / (1 + std::exp(-static_cast<float>(v))); };
  parallel::each(x.size(0), std::max<int64_t>(1, (1 << 12) / width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      float row = columns == 1 ? sigmoid(gate[i]) : 0;
      for (int64_t k = i * width; k < (i + 1) * width; k++) {
        to[k] = static_cast<T>(static_cast<float>(from[k]) * (columns == 1 ? row : sigmoid(gate[k])));
      }
    }
  });
}

at::Tensor scale_by_sigmoid(const at::Tensor &x, const at::Tensor &z) {
  if (!x.is_cpu()) {
    return (x.to(at::kFloat) * at::sigmoid(z.to(at::kFloat))).to(x.scalar_type());
  }
  at::Tensor in = x.contiguous(), gates = z.contiguous(), out = at::empty_like(in);
  if (z.size(1) != 1 && z.size(1) != x.size(1)) {
    throw std::runtime_error("rows of " + std::to_string(x.size(1)) + " elements have " + std::to_string(z.size(1)) + " gates");
  }
  if (in.scalar_type() == at::kFloat) {
    scale_rows<float, float>(in, gates.to(at::kFloat), out);
  } else {
    scale_rows<at::BFloat16, at::BFloat16>(in, gates, out);
  }
  return out;
}

struct choice {
  int64_t expert;
  float weight;
};

// The scores of one token's experts, from products with the router's rows.
void score(const float *logits, int64_t n, bool sigmoid, float *to) {
  if (sigmoid) {
    std::transform(logits, logits + n, to, [](float z) { return 1 / (1 + std::exp(-z)); });
    return;
  }
  float greatest = *std::max_element(logits, logits + n), sum = 0;
  for (int64_t i = 0; i < n; i++) {
    sum += to[i] = std::exp(logits[i] - greatest);
  }
  for (int64_t i = 0; i < n; i++) {
    to[i] /= sum;
  }
}

// Chooses the active experts of one token: those with the greatest scores, of equal ones the first. correction may be
// NULL.
void choose(const float *logits, const float *correction, int64_t n, const extra_experts_options &o, choice *to) {
  std::vector<float> scores(n), ranked(n);
  score(logits, n, o.sigmoid != 0, scores.data());
  for (int64_t i = 0; i < n; i++) {
    ranked[i] = correction == nullptr ? scores[i] : scores[i] + correction[i];
    if (std::isnan(ranked[i])) {
      throw std::runtime_error("the score of an expert is not a number");
    }
  }
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + o.active, order.end(),
                    [&](int64_t a, int64_t b) { return ranked[a] != ranked[b] ? ranked[a] > ranked[b] : a < b; });
  float sum = 0;
  for (int64_t i = 0; i < o.active; i++) {
    to[i] = {order[i], scores[order[i]]};
    sum += to[i].weight;
  }
  for (int64_t i = 0; i < o.active; i++) {
    // The smallest sums of sigmoids are kept from 0 as in transformers.
    to[i].weight = static_cast<float>(o.scale) * (o.normalize ? to[i].weight / (o.sigmoid ? sum + 1e-20f : sum) : to[i].weight);
  }
}

// The tokens of some experts, one expert after the other, in the order of tokens.
struct routes {
  std::vector<int64_t> tokens;
  std::vector<float> weights;
  // Expert i has those from ends[i-1] to ends[i].
  std::vector<int64_t> ends;
};

routes route(const at::Tensor &logits, const at::Tensor &correction, int64_t experts, const extra_experts_options &o) {
  at::Tensor in = logits.to(at::kCPU).contiguous(), bias = correction.defined() ? correction.to(at::kCPU).contiguous() : correction;
  int64_t tokens = in.size(0), n = in.size(1);
  if (o.active < 1 || o.active > n) {
    throw std::runtime_error(std::to_string(o.active) + " of " + std::to_string(n) + " experts cannot be chosen");
  }
  const float *data = in.const_data_ptr<float>(), *corrections = bias.defined() ? bias.const_data_ptr<float>() : nullptr;
  std::vector<choice> chosen(tokens * o.active);
  parallel::each(tokens, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      choose(data + i * n, corrections, n, o, &chosen[i * o.active]);
    }
  });
  routes r;
  std::vector<std::vector<int64_t>> of(experts);
  for (size_t i = 0; i < chosen.size(); i++) {
    int64_t expert = chosen[i].expert - o.first;
    if (expert >= 0 && expert < experts) {
      of[expert].push_back(static_cast<int64_t>(i));
    }
  }
  for (const std::vector<int64_t> &list : of) {
    for (int64_t i : list) {
      r.tokens.push_back(i / o.active);
      r.weights.push_back(chosen[i].weight);
    }
    r.ends.push_back(static_cast<int64_t>(r.tokens.size()));
  }
  return r;
}

// oneDNN compiles code for each number of rows, so that there are few of them.
const int64_t rows_multiple = 8;

// The rows of x with these indices, and rows of zeros up to a multiple of rows_multiple.
at::Tensor gather(const at::Tensor &x, const int64_t *indices, int64_t n) {
  if (!x.is_cpu()) {
    at::Tensor index = at::from_blob(const_cast<int64_t *>(indices), {n}, at::kLong);
    return x.index_select(0, index.to(x.device()));
  }
  int64_t size = x.size(1) * x.element_size(), padded = (n + rows_multiple - 1) / rows_multiple * rows_multiple;
  at::Tensor out = at::empty({padded, x.size(1)}, x.options());
  const char *from = static_cast<const char *>(x.const_data_ptr());
  char *to = static_cast<char *>(out.data_ptr());
  parallel::each(padded, std::max<int64_t>(1, (1 << 16) / size), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      i < n ? std::memcpy(to + i * size, from + indices[i] * size, size) : std::memset(to + i * size, 0, size);
    }
  });
  return out;
}

// Tokens of an expert: those with these indices, and the factors of its outputs.
struct part {
  const int64_t *indices;
  const float *factors;
  int64_t count;
};

// Adds to the rows of a part of sum the products of the rows of x with w, plus b, float32, unless that is undefined,
// times the factors. The indices differ, so that the sums do not depend on an order.
void add_outputs(const at::Tensor &sum, const at::Tensor &x, const at::Tensor &w, const at::Tensor &b, const part &of) {
  if (!sum.is_cpu()) {
    at::Tensor index = at::from_blob(const_cast<int64_t *>(of.indices), {of.count}, at::kLong).to(sum.device());
    at::Tensor factors = at::from_blob(const_cast<float *>(of.factors), {of.count, 1}, at::kFloat).to(sum.device());
    at::Tensor products = linear::float32_product(x, w);
    sum.index_add_(0, index, (b.defined() ? products + b : products) * factors);
    return;
  }
  const float *bias = b.defined() ? b.const_data_ptr<float>() : nullptr;
  if (mixed::is_packed(w)) {
    mixed::add_product(sum, x, w, {of.indices, of.factors, bias, of.count}, mixed::native_kernel());
    return;
  }
  at::Tensor products = linear::float32_product(x, w);
  int64_t width = sum.size(1);
  const float *from = products.const_data_ptr<float>();
  float *to = sum.data_ptr<float>();
  parallel::each(of.count, std::max<int64_t>(1, (1 << 14) / width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      elements::add_scaled(to + of.indices[i] * width, from + i * width, bias, of.factors[i], width);
    }
  });
}

linear::optional_tensor optional(const extra_tensor *list, size_t i) {
  return list == nullptr || list[i] == nullptr ? std::nullopt : linear::optional_tensor(tensor(list[i]));
}

// Weights of experts, as extra_experts gets them.
struct weights {
  const extra_tensor *in, *in_biases, *down, *down_biases;
  size_t n;
};

at::Tensor gated(const at::Tensor &x, const extra_experts_options &o) {
  return o.clamped ? activation::clamped_gate(x, {o.limit, o.alpha})
                   : activation::gate(x, static_cast<elements::activation>(o.activation), false);
}

// Adds the outputs of the experts to the rows of sum, one expert after the other.
void add_each(const at::Tensor &sum, const at::Tensor &x, const routes &r, const weights &w, const extra_experts_options &o) {
  int64_t from = 0;
  for (size_t i = 0; i < w.n; i++) {
    int64_t count = r.ends[i] - from;
    if (count == 0) {
      continue;
    }
    part of = {&r.tokens[from], &r.weights[from], count};
    at::Tensor inner = gated(linear::product(gather(x, of.indices, count), tensor(w.in[i]), optional(w.in_biases, i), {}), o);
    linear::optional_tensor bias = optional(w.down_biases, i);
    add_outputs(sum, inner, tensor(w.down[i]), bias ? bias->to(at::kFloat) : at::Tensor(), of);
    from = r.ends[i];
  }
}

// The matrices of a list as [n, inputs, outputs].
at::Tensor matrices(const extra_tensor *list, size_t n) {
  const at::Tensor &first = tensor(list[0]);
  int64_t size = first.numel() * first.element_size();
  const char *next = static_cast<const char *>(first.const_data_ptr());
  for (size_t i = 0; i < n; i++, next += size) {
    const at::Tensor &t = tensor(list[i]);
    if (t.sizes() != first.sizes() || !t.is_contiguous() || !t.is_alias_of(first) || t.const_data_ptr() != next) {
      throw std::runtime_error("the matrix of expert " + std::to_string(i) + " does not follow that of the one before it in memory");
    }
  }
  return first.as_strided({static_cast<int64_t>(n), first.size(1), first.size(0)}, {first.numel(), 1, first.size(1)});
}

// The vectors of a list as rows, or an undefined tensor if there are none.
at::Tensor vectors(const extra_tensor *list, size_t n) {
  if (!optional(list, 0)) {
    return {};
  }
  std::vector<at::Tensor> all;
  std::transform(list, list + n, std::back_inserter(all), tensor);
  return at::stack(all);
}

// Numbers on a device. The vector must live as long as the result if that is on the processor.
template <class T> at::Tensor numbers(const std::vector<T> &v, at::ScalarType type, at::Device device) {
  return at::from_blob(const_cast<T *>(v.data()), {static_cast<int64_t>(v.size())}, type).to(device);
}

// The rows of routes, divided so that each list has at most one row of each token.
std::vector<std::vector<int64_t>> once_each(const routes &r, int64_t tokens, int64_t active) {
  std::vector<std::vector<int64_t>> lists(active);
  std::vector<int64_t> seen(tokens);
  for (size_t i = 0; i < r.tokens.size(); i++) {
    lists[seen[r.tokens[i]]++].push_back(static_cast<int64_t>(i));
  }
  return lists;
}

// add_each with two products for all experts together. A token's outputs are added in the order of experts.
void add_grouped(const at::Tensor &sum, const at::Tensor &x, const routes &r, const weights &w, const extra_experts_options &o) {
  if (r.tokens.empty()) {
    return;
  }
  std::vector<int32_t> limits(r.ends.begin(), r.ends.end());
  std::vector<int64_t> experts;
  for (size_t i = 0; i < w.n; i++) {
    experts.resize(r.ends[i], static_cast<int64_t>(i));
  }
  at::Tensor tokens = numbers(r.tokens, at::kLong, x.device()), ends = numbers(limits, at::kInt, x.device());
  at::Tensor of = numbers(experts, at::kLong, x.device());
  at::Tensor inner = at::_grouped_mm(x.index_select(0, tokens), matrices(w.in, w.n), ends);
  if (at::Tensor biases = vectors(w.in_biases, w.n); biases.defined()) {
    inner.add_(biases.index_select(0, of));
  }
  at::Tensor out = at::_grouped_mm(gated(inner, o), matrices(w.down, w.n), ends).to(at::kFloat);
  if (at::Tensor biases = vectors(w.down_biases, w.n); biases.defined()) {
    out.add_(biases.index_select(0, of));
  }
  out.mul_(numbers(r.weights, at::kFloat, x.device()).unsqueeze(1));
  for (const std::vector<int64_t> &rows : once_each(r, x.size(0), o.active)) {
    at::Tensor index = numbers(rows, at::kLong, x.device());
    sum.index_add_(0, tokens.index_select(0, index), out.index_select(0, index));
  }
}

} // namespace

char *extra_experts(extra_tensor *out, extra_tensor x, extra_tensor logits, extra_tensor correction, const extra_tensor *in,
                    const extra_tensor *in_biases, const extra_tensor *down, const extra_tensor *down_biases, size_t n,
                    const extra_experts_options *o) {
  return guarded([&] {
    at::Tensor rows = tensor(x).contiguous(), sum = at::zeros(rows.sizes(), rows.options().dtype(at::kFloat));
    at::Tensor scores = tensor(logits), bias = correction == nullptr ? at::Tensor() : tensor(correction);
    weights w = {in, in_biases, down, down_biases, n};
    int64_t tokens = rows.size(0), step = o->grouped ? std::max<int64_t>(1, extra_grouped_rows / o->active) : tokens;
    for (int64_t from = 0; from < tokens; from += step) {
      int64_t count = std::min(step, tokens - from);
      routes r = route(scores.narrow(0, from, count), bias, static_cast<int64_t>(n), *o);
      (o->grouped ? add_grouped : add_each)(sum.narrow(0, from, count), rows.narrow(0, from, count), r, w, *o);
    }
    give(out, sum);
  });
}

char *extra_scale_by_sigmoid(extra_tensor *out, extra_tensor x, extra_tensor z) {
  return guarded([&] { give(out, scale_by_sigmoid(tensor(x), tensor(z))); });
}
