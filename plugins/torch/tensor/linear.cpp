//go:build torch

#include "linear.h"
#include "cpu.h"
#include "extra.h"
#include "handle.h"
#include "mixed.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include <ATen/Context.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

using handle::give;
using handle::guarded;
using handle::scalar_type;
using handle::tensor;

namespace linear {
namespace {

// oneDNN's matrix products, as torch.compile calls them. With 512-bit vectors, at::linear uses MKL for float32, which
// leaves half of the vector width of AMD processors unused, and packs the weights at every call. With 256-bit vectors,
// MKL is as fast, and its rows do not depend on each other.
struct onednn {
  typedef at::Tensor linear_type(const at::Tensor &, const at::Tensor &, const optional_tensor &, c10::string_view,
                                 c10::List<std::optional<at::Scalar>>, std::optional<c10::string_view>);
  typedef at::Tensor linear_binary_type(const at::Tensor &, const at::Tensor &, const at::Tensor &, const optional_tensor &, c10::string_view);
  typedef at::Tensor pack_type(const at::Tensor &, std::optional<int64_t>);

  std::optional<c10::TypedOperatorHandle<linear_type>> linear_op;
  std::optional<c10::TypedOperatorHandle<linear_binary_type>> linear_binary_op;
  std::optional<c10::TypedOperatorHandle<pack_type>> pack_op;

  onednn() {
    auto linear = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    auto binary = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", "binary"});
    auto pack = c10::Dispatcher::singleton().findSchema({"mkldnn::_reorder_linear_weight", ""});
    if (linear && binary && pack && at::globalContext().userEnabledMkldnn() && cpu::features().avx512) {
      linear_op = linear->typed<linear_type>();
      linear_binary_op = binary->typed<linear_binary_type>();
      pack_op = pack->typed<pack_type>();
    }
  }

  static const onednn &get() {
    static const onednn instance;
    return instance;
  }

  // Whether oneDNN can compute products with w.
  bool takes(const at::Tensor &w) const { return w.is_cpu() && w.dim() == 2 && takes(w.scalar_type()); }
  bool takes(at::ScalarType type) const { return linear_op && cpu::onednn_multiplies(type, cpu::features()); }

  at::Tensor linear(const at::Tensor &x, const at::Tensor &w, const optional_tensor &b, const optional_tensor &y) const {
    if (y) {
      return linear_binary_op->call(x, *y, w, b, "add");
    }
    return linear_op->call(x, w, b, "none", c10::List<std::optional<at::Scalar>>(), "");
  }

  // The layout depends on the number of rows that oneDNN is told. With those for a few rows, products of few rows have
  // other bits than those of many.
  at::Tensor pack(const at::Tensor &w) const { return pack_op->call(w, 2048); }
};

// Whether operands of a type are converted to float32. On an x86 processor without bfloat16 multiplication, libtorch
// computes it one element at a time, at a ninth of float32's speed. float16 is rare on processors.
bool widens(at::ScalarType type) {
#if defined(__x86_64__)
  return type == at::kHalf || (type == at::kBFloat16 && !onednn::get().takes(type));
#else
  return type == at::kHalf;
#endif
}

// The number of rows at a time, so that the widened rows stay in the caches.
const int64_t widened_rows = 1024;

at::Tensor widened_product(const at::Tensor &x, const at::Tensor &w, const optional_tensor &b, const optional_tensor &y) {
  at::Tensor wide = w.to(at::kFloat), out = at::empty({x.size(0), w.size(0)}, x.options());
  optional_tensor wide_b = b ? optional_tensor(b->to(at::kFloat)) : std::nullopt;
  for (int64_t from = 0; from < x.size(0); from += widened_rows) {
    int64_t rows = std::min(widened_rows, x.size(0) - from);
    optional_tensor part = y ? optional_tensor(y->narrow(0, from, rows).to(at::kFloat)) : std::nullopt;
    out.narrow(0, from, rows).copy_(product(x.narrow(0, from, rows).to(at::kFloat), wide, wide_b, part));
  }
  return out;
}

// cuBLAS sums float32 in an order that depends on the number of rows; so the number of rows is always the same.
at::Tensor fixed_product(const at::Tensor &x, const at::Tensor &w, const optional_tensor &b) {
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

at::Tensor cuda_product(const at::Tensor &x, const at::Tensor &w, const optional_tensor &b, const optional_tensor &y) {
  if (x.scalar_type() == at::kFloat) {
    at::Tensor out = fixed_product(x, w, b);
    return y ? out.add_(*y) : out;
  }
  if (b && y) {
    return at::mm(x, w.t(), at::kFloat).add_(*b).add_(*y).to(x.scalar_type());
  }
  if (b || y) {
    return at::addmm(b ? *b : *y, x, w.t());
  }
  return at::mm(x, w.t());
}

// Checks of the kernel for bfloat16 products with float32 results, once for each shape of blocks.
struct kernel_checks {
  std::mutex mutex;
  std::map<std::pair<int64_t, int64_t>, bool> passed;
  std::string failure;

  static kernel_checks &get() {
    static kernel_checks instance;
    return instance;
  }

  bool pass(const at::Tensor &w, mixed::kernel *k) {
    std::lock_guard<std::mutex> lock(mutex);
    std::pair<int64_t, int64_t> shape = {w.size(1), w.size(0) % mixed::block_columns};
    auto known = passed.find(shape);
    if (known != passed.end()) {
      return known->second;
    }
    std::string wrong = tried(w, k);
    if (!wrong.empty()) {
      failure = "oneDNN's product of bfloat16 matrices with float32 results " + wrong +
                " on this processor; such products are computed in float32 instead, which is slower";
    }
    return passed[shape] = wrong.empty();
  }

private:
  // A build of libtorch without the kernel throws.
  static std::string tried(const at::Tensor &w, mixed::kernel *k) {
    try {
      return mixed::check(w, k);
    } catch (const c10::Error &e) {
      return std::string("fails (") + e.what_without_backtrace() + ")";
    }
  }
};

at::Tensor pack_float32(const at::Tensor &w) {
  if (w.scalar_type() == at::kFloat && onednn::get().takes(w)) {
    return onednn::get().pack(w);
  }
  mixed::kernel *k = mixed::native_kernel();
  bool packs = w.is_cpu() && w.scalar_type() == at::kBFloat16 && w.size(1) % 2 == 0 && k != nullptr;
  return packs && kernel_checks::get().pass(w, k) ? mixed::pack(w) : w;
}

} // namespace

// From a minimum number of rows upward, each row of a product has the same bits, whatever the other rows and their
// number. With packed weights this was measured for 64 numbers of rows up to 2,048 and the shapes of two models, from 2
// rows upward. With MKL on an AMD processor with 256-bit vectors it was measured for 165 numbers up to 2,299 and 20
// shapes, from 12 rows upward. If there are fewer rows, rows of zeros are added.
at::Tensor product(const at::Tensor &x, const at::Tensor &w, const optional_tensor &b, const optional_tensor &y) {
  if (x.is_cuda()) {
    return cuda_product(x, w, b, y);
  }
  if (widens(w.scalar_type())) {
    return widened_product(x, w, b, y);
  }
  bool packed = onednn::get().takes(w);
  int64_t rows = x.size(0), least = packed ? 2 : 12;
  auto padded = [&](const at::Tensor &t) { return rows > 0 && rows < least ? at::constant_pad_nd(t, {0, 0, 0, least - rows}) : t; };
  if (packed) {
    optional_tensor more = y ? optional_tensor(padded(*y)) : std::nullopt;
    return onednn::get().linear(padded(x), w, b, more).narrow(0, 0, rows);
  }
  // In bfloat16, on other processors than x86, this rounds twice.
  at::Tensor out = at::linear(padded(x), w, b).narrow(0, 0, rows);
  return y ? out.add_(*y) : out;
}

at::Tensor float32_product(const at::Tensor &x, const at::Tensor &w) {
  if (x.is_cuda() && x.scalar_type() != at::kFloat && x.scalar_type() == w.scalar_type()) {
    return at::mm(x, w.t(), at::kFloat);
  }
  if (mixed::is_packed(w)) {
    return mixed::product(x, w, mixed::native_kernel());
  }
  return product(x.to(at::kFloat), w.to(at::kFloat), {}, {});
}

int64_t outputs(const at::Tensor &w) { return w.size(mixed::is_packed(w) ? 1 : 0); }

bool converts(const at::Tensor &x, const at::Tensor &w) { return x.is_cpu() && !mixed::is_packed(w) && x.scalar_type() != at::kFloat; }

bool has_onednn() { return onednn::get().linear_op.has_value(); }

} // namespace linear

namespace {

linear::optional_tensor optional(extra_tensor t) { return t == nullptr ? std::nullopt : linear::optional_tensor(tensor(t)); }

} // namespace

char *extra_pack(extra_tensor *out, extra_tensor w) {
  return guarded([&] {
    const linear::onednn &o = linear::onednn::get();
    give(out, o.takes(tensor(w)) ? o.pack(tensor(w)) : tensor(w));
  });
}

char *extra_pack_float32(extra_tensor *out, extra_tensor w) {
  return guarded([&] { give(out, linear::pack_float32(tensor(w))); });
}

char *extra_product_failure(void) {
  linear::kernel_checks &checks = linear::kernel_checks::get();
  std::lock_guard<std::mutex> lock(checks.mutex);
  return checks.failure.empty() ? nullptr : strdup(checks.failure.c_str());
}

int extra_has_packed_layout(int type) {
  at::ScalarType t = scalar_type(type);
  return t == at::kBFloat16 ? mixed::native_kernel() != nullptr : linear::onednn::get().takes(t);
}

int64_t extra_widened_rows(int type) { return linear::widens(scalar_type(type)) ? linear::widened_rows : 0; }

char *extra_linear(extra_tensor *out, extra_tensor x, extra_tensor w, extra_tensor b, extra_tensor y) {
  return guarded([&] { give(out, linear::product(tensor(x), tensor(w), optional(b), optional(y))); });
}

char *extra_linear_float32(extra_tensor *out, extra_tensor x, extra_tensor w) {
  return guarded([&] { give(out, linear::float32_product(tensor(x), tensor(w))); });
}
