//go:build torch

#include "linear.h"
#include "extra.h"
#include "handle.h"

#include <algorithm>
#include <cstring>

#include <ATen/core/dispatch/Dispatcher.h>

using handle::give;
using handle::guarded;
using handle::scalar_type;
using handle::tensor;

namespace {

bool has_capability(const char *name) { return std::strcmp(extra_cpu_capability(), name) == 0; }

// oneDNN's own matrix products, as torch.compile calls them. With 512-bit vectors, at::linear uses MKL for float32,
// which leaves half of the vector width of AMD processors unused, and packs the weights at every call. With 256-bit
// vectors, MKL is as fast, and its rows do not depend on each other.
struct onednn {
  typedef at::Tensor linear_type(const at::Tensor &, const at::Tensor &, const std::optional<at::Tensor> &, c10::string_view,
                                 c10::List<std::optional<at::Scalar>>, std::optional<c10::string_view>);
  typedef at::Tensor pack_type(const at::Tensor &, std::optional<int64_t>);

  std::optional<c10::TypedOperatorHandle<linear_type>> linear_op;
  std::optional<c10::TypedOperatorHandle<pack_type>> pack_op;

  onednn() {
    auto linear = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    auto pack = c10::Dispatcher::singleton().findSchema({"mkldnn::_reorder_linear_weight", ""});
    if (linear && pack && at::globalContext().userEnabledMkldnn() && has_capability("AVX512")) {
      linear_op = linear->typed<linear_type>();
      pack_op = pack->typed<pack_type>();
    }
  }

  static const onednn &get() {
    static const onednn instance;
    return instance;
  }

  // Whether oneDNN can compute products with w.
  bool takes(const at::Tensor &w) const { return w.is_cpu() && w.dim() == 2 && takes(w.scalar_type()); }
  bool takes(at::ScalarType type) const { return linear_op && (type == at::kFloat || type == at::kBFloat16); }

  at::Tensor linear(const at::Tensor &x, const at::Tensor &w, const std::optional<at::Tensor> &b) const {
    return linear_op->call(x, w, b, "none", c10::List<std::optional<at::Scalar>>(), "");
  }

  at::Tensor pack(const at::Tensor &w, int64_t rows) const { return pack_op->call(w, rows); }
};

// On an x86 processor without bfloat16 multiplication, libtorch computes it one element at a time, at a ninth of
// float32's speed.
bool widens(at::ScalarType type) {
#if defined(__x86_64__)
  return type == at::kBFloat16 && !onednn::get().takes(type);
#else
  return false;
#endif
}

// The number of rows at a time, so that the widened rows stay in the caches.
const int64_t widened_rows = 1024;

} // namespace

namespace linear {
namespace {

at::Tensor widened_product(const at::Tensor &x, const at::Tensor &w, const std::optional<at::Tensor> &b) {
  at::Tensor wide = w.to(at::kFloat), out = at::empty({x.size(0), w.size(0)}, x.options());
  std::optional<at::Tensor> wide_b = b ? std::optional<at::Tensor>(b->to(at::kFloat)) : std::nullopt;
  for (int64_t from = 0; from < x.size(0); from += widened_rows) {
    int64_t rows = std::min(widened_rows, x.size(0) - from);
    out.narrow(0, from, rows).copy_(product(x.narrow(0, from, rows).to(at::kFloat), wide, wide_b));
  }
  return out;
}

// cuBLAS sums float32 in an order that depends on the number of rows; so the number of rows is always the same.
at::Tensor fixed_product(const at::Tensor &x, const at::Tensor &w, const std::optional<at::Tensor> &b) {
  const int64_t block = 2048;
  int64_t rows = x.size(0), more = (block - rows % block) % block;
  at::Tensor in = more > 0 ? at::constant_pad_nd(x, {0, 0, 0, more}) : x, out = at::empty({rows + more, w.size(0)}, x.options());
  for (int64_t from = 0; from < rows; from += block) {
    at::Tensor part = out.narrow(0, from, block), left = in.narrow(0, from, block);
    if (b) {
      at::addmm_out(part, *b, left, w.t());
    } else {
      at::mm_out(part, left, w.t());
    }
  }
  return out.narrow(0, 0, rows);
}

} // namespace

// From a minimum number of rows upward, each row of a product has the same bits, whatever the other rows and their
// number. With packed weights this was measured for 64 numbers of rows up to 2,048 and the shapes of two models, from 2
// rows upward. With MKL on an AMD processor with 256-bit vectors it was measured for 165 numbers up to 2,299 and 20
// shapes, from 12 rows upward. Fewer rows are padded with rows of zeros.
at::Tensor product(const at::Tensor &x, const at::Tensor &w, const std::optional<at::Tensor> &b) {
  if (w.is_cpu() && widens(w.scalar_type())) {
    return widened_product(x, w, b);
  }
  if (x.is_cuda() && x.scalar_type() == at::kFloat) {
    return fixed_product(x, w, b);
  }
  bool packed = onednn::get().takes(w);
  int64_t rows = x.size(0), least = packed ? 2 : 12;
  bool padded = x.is_cpu() && rows > 0 && rows < least;
  at::Tensor in = padded ? at::constant_pad_nd(x, {0, 0, 0, least - rows}) : x;
  at::Tensor out = packed ? onednn::get().linear(in, w, b) : at::linear(in, w, b);
  return padded ? out.narrow(0, 0, rows) : out;
}

bool has_onednn() { return onednn::get().linear_op.has_value(); }

} // namespace linear

char *extra_pack(extra_tensor *out, extra_tensor w, int64_t rows) {
  return guarded([&] { give(out, onednn::get().takes(tensor(w)) ? onednn::get().pack(tensor(w), rows) : tensor(w)); });
}

int extra_has_packed_layout(int type) { return onednn::get().takes(scalar_type(type)); }
int64_t extra_widened_rows(int type) { return widens(scalar_type(type)) ? widened_rows : 0; }

char *extra_linear(extra_tensor *out, extra_tensor x, extra_tensor w, extra_tensor b) {
  return guarded([&] { give(out, linear::product(tensor(x), tensor(w), b == nullptr ? std::nullopt : std::optional<at::Tensor>(tensor(b)))); });
}
