//go:build torch

#include "attention.h"
#include "extra.h"
#include "handle.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/_efficient_attention_forward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>

using handle::give;
using handle::guarded;
using handle::tensor;

namespace {

// The last queries of one sequence: q [heads, queries, size], k and v [kv heads, length, size].
at::Tensor attend(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, double scale, int64_t window) {
  int64_t length = k.size(1), start = length - q.size(1), group = q.size(0) / k.size(0);
  window = window > 0 ? std::min(window, length) : length;
  if (start == 0 && window == length) {
    return at::scaled_dot_product_attention(q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0), {}, 0, true, scale, group > 1).squeeze(0);
  }
  // Queries in blocks, each with the keys that any of them sees, so that a long sequence costs in proportion to its
  // window.
  const int64_t block = 256;
  std::vector<at::Tensor> parts;
  auto options = q.options().dtype(at::kLong);
  for (int64_t from = start; from < length; from += block) {
    int64_t to = std::min(length, from + block), first = std::max<int64_t>(0, from - window + 1);
    at::Tensor distance = at::arange(from, to, options).unsqueeze(1) - at::arange(first, to, options).unsqueeze(0);
    at::Tensor seen = (distance >= 0) & (distance < window);
    at::Tensor qs = q.narrow(1, from - start, to - from), ks = k.narrow(1, first, to - first), vs = v.narrow(1, first, to - first);
    parts.push_back(
        at::scaled_dot_product_attention(qs.unsqueeze(0), ks.unsqueeze(0), vs.unsqueeze(0), seen, 0, false, scale, group > 1).squeeze(0));
  }
  return at::cat(parts, 1);
}

// The same with the logits of sinks [heads], float32, computed in float32 from the formula.
at::Tensor attend_with_sinks(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &sinks, double scale, int64_t window) {
  int64_t length = k.size(1), start = length - q.size(1), group = q.size(0) / k.size(0);
  at::Tensor keys = k.repeat_interleave(group, 0).to(at::kFloat), values = v.repeat_interleave(group, 0).to(at::kFloat);
  const int64_t block = 256;
  std::vector<at::Tensor> parts;
  auto options = q.options().dtype(at::kLong);
  for (int64_t from = start; from < length; from += block) {
    int64_t to = std::min(length, from + block), first = window > 0 ? std::max<int64_t>(0, from - window + 1) : 0;
    at::Tensor distance = at::arange(from, to, options).unsqueeze(1) - at::arange(first, to, options).unsqueeze(0);
    at::Tensor hidden = window > 0 ? (distance < 0) | (distance >= window) : distance < 0;
    at::Tensor scores = at::matmul(q.narrow(1, from - start, to - from).to(at::kFloat), keys.narrow(1, first, to - first).transpose(1, 2)) * scale;
    scores = scores.masked_fill(hidden, -std::numeric_limits<float>::infinity());
    at::Tensor all = at::cat({scores, sinks.view({-1, 1, 1}).expand({-1, to - from, 1})}, 2);
    parts.push_back(at::matmul(at::softmax(all, 2).narrow(2, 0, to - first), values.narrow(1, first, to - first)).to(q.scalar_type()));
  }
  return at::cat(parts, 1);
}

// All sequences at once on a GPU: q [tokens, heads, size], k and v [tokens, kv heads, size], offsets int32 [sequences +
// 1]. Returns an undefined tensor if libtorch has no kernel for it. cuDNN's kernel is faster on Hopper, but for packed
// sequences libtorch 2.11 builds its plan anew in each call, which takes about 40 ms (pytorch/pytorch#191576).
at::Tensor attend_packed(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &offsets, int64_t longest, double scale,
                         int64_t window) {
  int64_t size = q.size(2), group = q.size(1) / k.size(1);
  std::optional<int64_t> none;
  if ((q.scalar_type() == at::kBFloat16 || q.scalar_type() == at::kHalf) && size <= 256 && size % 8 == 0) {
    // The number of keys before its own that a query sees (Dao, arXiv:2307.08691).
    std::optional<c10::SymInt> before = window > 0 ? std::optional<c10::SymInt>(window - 1) : std::nullopt;
    std::optional<c10::SymInt> after = window > 0 ? std::optional<c10::SymInt>(0) : std::nullopt;
    return std::get<0>(
        at::_flash_attention_forward_symint(q, k, v, offsets, offsets, longest, longest, 0, true, false, scale, before, after));
  }
  if (q.scalar_type() == at::kFloat && size % 4 == 0) {
    const int64_t causal = 1;
    auto heads = [&](const at::Tensor &t) { return (group > 1 ? t.repeat_interleave(group, 1) : t).unsqueeze(0); };
    std::optional<int64_t> keys = window > 0 ? std::optional<int64_t>(window) : none;
    return std::get<0>(at::_efficient_attention_forward(q.unsqueeze(0), heads(k), heads(v), {}, offsets, offsets, longest, longest, 0, causal,
                                                        false, scale, {}, keys))
        .squeeze(0);
  }
  return {};
}

// Whether attention.cpp supports these tensors.
bool vectorized(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v) {
  for (const at::Tensor *t : {&q, &k, &v}) {
    if (!t->is_cpu() || t->scalar_type() != q.scalar_type() || t->stride(2) != 1) {
      return false;
    }
  }
  return (q.scalar_type() == at::kFloat || q.scalar_type() == at::kBFloat16) && attention::vector_bits() != 0;
}

// The rows of a sequence up to the end of segment i, of x [tokens, heads, size], as [heads, length, size].
at::Tensor sequence_of(const at::Tensor &x, const std::vector<attention::segment> &segments, int64_t i) {
  std::vector<at::Tensor> parts;
  for (int64_t end = segments[i].start + segments[i].to - segments[i].from; i >= 0; i = segments[i].parent) {
    parts.insert(parts.begin(), x.narrow(0, segments[i].from, end - segments[i].start));
    end = segments[i].start;
  }
  return (parts.size() == 1 ? parts[0] : at::cat(parts, 0)).transpose(0, 1);
}

// The segments with their first rows.
std::vector<attention::segment> with_rows(const extra_segment *segments, size_t n) {
  std::vector<attention::segment> all;
  int64_t from = 0;
  for (size_t i = 0; i < n; i++) {
    all.push_back({from, segments[i].to, segments[i].start, segments[i].parent});
    from = segments[i].to;
  }
  return all;
}

} // namespace

char *extra_attention(extra_tensor *out, extra_tensor q, extra_tensor k, extra_tensor v, const extra_segment *of, size_t n,
                      extra_tensor offsets, extra_tensor sinks, double scale, int64_t window, int reference) {
  return guarded([&] {
    const at::Tensor &queries = tensor(q), &keys = tensor(k), &values = tensor(v);
    std::vector<attention::segment> segments = with_rows(of, n);
    at::Tensor result = at::empty_like(queries, at::MemoryFormat::Contiguous);
    if (!reference && vectorized(queries, keys, values)) {
      auto rows = [](const at::Tensor &t) { return attention::rows{t.const_data_ptr(), t.stride(0), t.stride(1)}; };
      attention::run({rows(queries), rows(keys), rows(values), result.data_ptr(), queries.scalar_type() == at::kBFloat16, queries.size(1),
                      keys.size(1), queries.size(2), segments.data(), n, scale, window,
                      sinks == nullptr ? nullptr : tensor(sinks).const_data_ptr<float>()});
      give(out, result);
      return;
    }
    if (!reference && offsets != nullptr && sinks == nullptr) {
      int64_t longest = 0;
      for (const attention::segment &s : segments) {
        longest = std::max(longest, s.to - s.from);
      }
      at::Tensor packed = attend_packed(queries, keys, values, tensor(offsets), longest, scale, window);
      if (packed.defined()) {
        give(out, packed);
        return;
      }
    }
    for (size_t i = 0; i < n; i++) {
      const attention::segment &s = segments[i];
      at::Tensor qs = queries.narrow(0, s.from, s.to - s.from).transpose(0, 1), ks = sequence_of(keys, segments, i), vs = sequence_of(values, segments, i);
      at::Tensor mixed = sinks == nullptr ? attend(qs, ks, vs, scale, window) : attend_with_sinks(qs, ks, vs, tensor(sinks), scale, window);
      result.narrow(0, s.from, s.to - s.from).copy_(mixed.transpose(0, 1));
    }
    give(out, result);
  });
}
