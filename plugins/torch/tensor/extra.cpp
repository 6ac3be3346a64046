//go:build torch

#include "attention.h"
#include "elements.h"
#include "extra.h"
#include "handle.h"
#include "parallel.h"

#include <dlfcn.h>
#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/torch.h>
#include <torch/version.h>

using handle::give;
using handle::guarded;
using handle::tensor;

namespace {

at::ScalarType scalar_type(int type) {
  switch (type) {
  case 0:
    return at::kFloat;
  case 1:
    return at::kBFloat16;
  case 2:
    return at::kHalf;
  case 3:
    return at::kLong;
  case 4:
    return at::kInt;
  }
  throw std::runtime_error("unknown type " + std::to_string(type));
}

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

at::Tensor product(const at::Tensor &x, const at::Tensor &w, const std::optional<at::Tensor> &b);

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

template <class T> void norm_vectors(const at::Tensor &in, const at::Tensor &weight, const at::Tensor &out, elements::norm o) {
  int64_t n = in.size(-1), rows = n == 0 ? 0 : in.numel() / n;
  const T *x = static_cast<const T *>(in.const_data_ptr()), *w = static_cast<const T *>(weight.const_data_ptr());
  T *y = static_cast<T *>(out.data_ptr());
  parallel::each(rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(n, 1)),
                 [&](int64_t begin, int64_t end) { elements::norm_rows(x + begin * n, w, y + begin * n, end - begin, n, o); });
}

at::Tensor rms_norm(const at::Tensor &x, const at::Tensor &w, double epsilon, bool add_one, bool float32_product) {
  int64_t n = x.size(-1);
  if (w.numel() != n) {
    throw std::runtime_error("a norm of " + std::to_string(w.numel()) + " weights over rows of " + std::to_string(n));
  }
  if (x.is_cpu() && x.scalar_type() == w.scalar_type() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16)) {
    at::Tensor in = x.contiguous(), weight = w.contiguous(), out = at::empty_like(in);
    elements::norm o = {epsilon, add_one, float32_product};
    if (in.scalar_type() == at::kFloat) {
      norm_vectors<float>(in, weight, out, o);
    } else {
      norm_vectors<uint16_t>(in, weight, out, o);
    }
    return out;
  }
  if (x.is_cuda() && x.scalar_type() == w.scalar_type() && !add_one) {
    return at::rms_norm(x, {n}, w, epsilon); // one kernel, which rounds once
  }
  at::Tensor f = x.to(at::kFloat);
  f = f * at::rsqrt(f.square().mean(-1, true) + epsilon);
  at::Tensor weight = add_one ? w.to(at::kFloat) + 1 : w;
  if (float32_product) {
    return (f * weight.to(at::kFloat)).to(x.scalar_type());
  }
  return (f.to(x.scalar_type()) * weight).to(x.scalar_type());
}

template <class T> void rotate_vectors(const at::Tensor &x, const at::Tensor &cosines, const at::Tensor &sines) {
  int64_t heads = x.size(1), size = x.size(2), half = cosines.size(1);
  T *data = static_cast<T *>(x.data_ptr());
  const float *c = cosines.const_data_ptr<float>(), *s = sines.const_data_ptr<float>();
  parallel::each(x.size(0), 32, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      elements::rotate_heads(data + t * heads * size, c + t * half, s + t * half, heads, size, half);
    }
  });
}

void rotate(const at::Tensor &x, const at::Tensor &cosines, const at::Tensor &sines, bool portable) {
  int64_t half = cosines.size(1);
  if (!portable && x.is_cpu() && x.is_contiguous() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16)) {
    if (x.scalar_type() == at::kFloat) {
      rotate_vectors<float>(x, cosines, sines);
    } else {
      rotate_vectors<uint16_t>(x, cosines, sines);
    }
    return;
  }
  // The angles are float32, and so is the computation with them, whatever the type of x.
  at::Tensor a = x.narrow(2, 0, half), b = x.narrow(2, half, half), c = cosines.unsqueeze(1), s = sines.unsqueeze(1);
  at::Tensor first = (a * c).addcmul_(b, s, -1), second = (b * c).addcmul_(a, s);
  a.copy_(first);
  b.copy_(second);
}

// One sequence: q [heads, length, size], k and v [kv heads, length, size].
at::Tensor attend(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, double scale, int64_t window) {
  int64_t length = q.size(1), group = q.size(0) / k.size(0);
  bool windowed = window > 0 && window < length;
  if (!windowed) {
    return at::scaled_dot_product_attention(q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0), {}, 0, true, scale, group > 1).squeeze(0);
  }
  // Queries in blocks, each with the keys that any of them sees, so that a long sequence costs in proportion to its
  // window.
  const int64_t block = 256;
  std::vector<at::Tensor> parts;
  auto options = q.options().dtype(at::kLong);
  for (int64_t from = 0; from < length; from += block) {
    int64_t to = std::min(length, from + block), first = std::max<int64_t>(0, from - window + 1);
    at::Tensor distance = at::arange(from, to, options).unsqueeze(1) - at::arange(first, to, options).unsqueeze(0);
    at::Tensor seen = (distance >= 0) & (distance < window);
    at::Tensor qs = q.narrow(1, from, to - from), ks = k.narrow(1, first, to - first), vs = v.narrow(1, first, to - first);
    parts.push_back(
        at::scaled_dot_product_attention(qs.unsqueeze(0), ks.unsqueeze(0), vs.unsqueeze(0), seen, 0, false, scale, group > 1).squeeze(0));
  }
  return at::cat(parts, 1);
}

// All sequences at once on a GPU: q [tokens, heads, size], k and v [tokens, kv heads, size], offsets int32 [sequences +
// 1]. Returns an undefined tensor if libtorch has no kernel for it.
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

// up may be undefined.
template <class T> void activate_vectors(const at::Tensor &x, const at::Tensor &up, elements::activation a) {
  T *data = static_cast<T *>(x.data_ptr());
  const T *u = up.defined() ? static_cast<const T *>(up.const_data_ptr()) : nullptr;
  parallel::each(x.numel(), 1 << 14, [&](int64_t begin, int64_t end) {
    if (u == nullptr) {
      elements::activate(data + begin, end - begin, a);
    } else {
      elements::gate(data + begin, u + begin, end - begin, a);
    }
  });
}

void activate_in_place(at::Tensor x, elements::activation a) {
  switch (a) {
  case elements::activation::silu:
    at::silu_(x);
    return;
  case elements::activation::gelu_tanh:
    at::gelu_(x, "tanh");
    return;
  case elements::activation::gelu:
    at::gelu_(x);
    return;
  }
  throw std::runtime_error("unknown activation " + std::to_string(static_cast<int>(a)));
}

// libtorch's loops compute the remainder of a vector differently from the rest, and its position depends on all rows.
void activate(const at::Tensor &x, const at::Tensor &up, elements::activation a, bool portable) {
  if (up.defined() && (x.sizes() != up.sizes() || x.scalar_type() != up.scalar_type())) {
    throw std::runtime_error("a gate of another shape or type");
  }
  if (!portable && x.is_cpu() && x.is_contiguous() && (!up.defined() || up.is_contiguous())) {
    if (x.scalar_type() == at::kFloat) {
      return activate_vectors<float>(x, up, a);
    }
    if (x.scalar_type() == at::kBFloat16) {
      return activate_vectors<uint16_t>(x, up, a);
    }
  }
  activate_in_place(x, a);
  if (up.defined()) {
    x.mul_(up);
  }
}

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
      at::Tensor logits = product(in, piece, {});
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

void extra_no_grad(void) { at::GradMode::set_enabled(false); }
void extra_set_threads(int threads) { at::set_num_threads(threads); }
int extra_get_threads(void) { return at::get_num_threads(); }
const char *extra_torch_version(void) { return TORCH_VERSION; }

const char *extra_loaded_version(void) {
  static const std::string version = [] {
    const std::string config = at::show_config(), name = "TORCH_VERSION=";
    size_t from = config.find(name);
    if (from == std::string::npos) {
      return std::string("of no known version");
    }
    from += name.size();
    return config.substr(from, config.find_first_of(", \n", from) - from);
  }();
  return version.c_str();
}

const char *extra_cpu_capability(void) {
  static const std::string capability = at::get_cpu_capability();
  return capability.c_str();
}

void extra_keep_memory(void) {
#if defined(__GLIBC__)
  // Per-thread pools of 64 MB hold few activations and leave gaps; their number depends on chance, and so does the
  // peak.
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
#endif
}

void extra_trim(void) {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

int extra_independent_rows(void) {
  switch (attention::vector_bits()) {
  case 512:
    return onednn::get().linear_op && !attention::has_tiles();
  case 256:
    return has_capability("AVX2") && at::hasMKL() && attention::is_amd();
  }
  return 0;
}

char *extra_load_cuda(const char *library) {
  if (dlopen(library, RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    return strdup(dlerror());
  }
  return nullptr;
}

int extra_cuda_devices(void) {
  return at::hasCUDA() ? static_cast<int>(at::detail::getCUDAHooks().deviceCount()) : 0;
}

char *extra_from_data(extra_tensor *out, const void *data, const int64_t *shape, size_t dims, int type) {
  return guarded([&] {
    at::Tensor t = at::empty(at::IntArrayRef(shape, dims), at::TensorOptions().dtype(scalar_type(type)));
    std::memcpy(t.data_ptr(), data, t.nbytes());
    give(out, t);
  });
}

char *extra_empty(extra_tensor *out, const int64_t *shape, size_t dims, int type, int device) {
  return guarded([&] {
    at::Device d = device < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device));
    give(out, at::empty(at::IntArrayRef(shape, dims), at::TensorOptions().dtype(scalar_type(type)).device(d)));
  });
}

char *extra_fill(extra_tensor x, int64_t row, const void *data, int type, int64_t rows, int64_t width, int64_t first) {
  return guarded([&] {
    at::Tensor t = tensor(x);
    if (t.dim() == 1) {
      t = t.unsqueeze(1);
    }
    at::Tensor in = at::from_blob(const_cast<void *>(data), {rows, width}, at::TensorOptions().dtype(scalar_type(type)));
    t.narrow(0, row, rows).copy_(in.narrow(1, first, t.size(1)));
  });
}

char *extra_to(extra_tensor *out, extra_tensor x, int type, int device) {
  return guarded([&] {
    at::Tensor t = tensor(x);
    if (type >= 0) {
      t = t.to(scalar_type(type));
    }
    if (device >= 0) {
      t = t.to(at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device)));
    }
    give(out, t);
  });
}

char *extra_to_doubles(extra_tensor x, double *out, size_t n) {
  return guarded([&] {
    at::Tensor t = tensor(x).to(at::kCPU, at::kDouble).contiguous();
    if (static_cast<size_t>(t.numel()) != n) {
      throw std::runtime_error("a tensor of " + std::to_string(t.numel()) + " elements, expected " + std::to_string(n));
    }
    std::memcpy(out, t.const_data_ptr<double>(), n * sizeof(double));
  });
}

char *extra_pack(extra_tensor *out, extra_tensor w, int64_t rows) {
  return guarded([&] { give(out, onednn::get().takes(tensor(w)) ? onednn::get().pack(tensor(w), rows) : tensor(w)); });
}

int extra_has_packed_layout(int type) { return onednn::get().takes(scalar_type(type)); }
int64_t extra_widened_rows(int type) { return widens(scalar_type(type)) ? widened_rows : 0; }

char *extra_linear(extra_tensor *out, extra_tensor x, extra_tensor w, extra_tensor b) {
  return guarded([&] { give(out, product(tensor(x), tensor(w), b == nullptr ? std::nullopt : std::optional<at::Tensor>(tensor(b)))); });
}

char *extra_rms_norm(extra_tensor *out, extra_tensor x, extra_tensor w, double epsilon, int add_one, int float32_product) {
  return guarded([&] { give(out, rms_norm(tensor(x), tensor(w), epsilon, add_one != 0, float32_product != 0)); });
}

char *extra_activate(extra_tensor x, extra_tensor up, int activation, int portable) {
  return guarded([&] {
    activate(tensor(x), up == nullptr ? at::Tensor() : tensor(up), static_cast<elements::activation>(activation), portable != 0);
  });
}

char *extra_rotate(extra_tensor x, extra_tensor cosines, extra_tensor sines, int portable) {
  return guarded([&] { rotate(tensor(x), tensor(cosines), tensor(sines), portable != 0); });
}

char *extra_attention(extra_tensor *out, extra_tensor q, extra_tensor k, extra_tensor v, const int64_t *ends, size_t n,
                      extra_tensor offsets, double scale, int64_t window, int portable) {
  return guarded([&] {
    const at::Tensor &queries = tensor(q), &keys = tensor(k), &values = tensor(v);
    at::Tensor result = at::empty_like(queries, at::MemoryFormat::Contiguous);
    if (!portable && vectorized(queries, keys, values)) {
      auto rows = [](const at::Tensor &t) { return attention::rows{t.const_data_ptr(), t.stride(0), t.stride(1)}; };
      attention::run({rows(queries), rows(keys), rows(values), result.data_ptr(), queries.scalar_type() == at::kBFloat16, queries.size(1),
                      keys.size(1), queries.size(2), ends, n, scale, window});
      give(out, result);
      return;
    }
    if (!portable && offsets != nullptr) {
      int64_t longest = 0;
      for (size_t i = 0; i < n; i++) {
        longest = std::max(longest, ends[i] - (i == 0 ? 0 : ends[i - 1]));
      }
      at::Tensor packed = attend_packed(queries, keys, values, tensor(offsets), longest, scale, window);
      if (packed.defined()) {
        give(out, packed);
        return;
      }
    }
    int64_t from = 0;
    for (size_t i = 0; i < n; i++) {
      int64_t length = ends[i] - from;
      at::Tensor qs = queries.narrow(0, from, length).transpose(0, 1), ks = keys.narrow(0, from, length).transpose(0, 1),
                 vs = values.narrow(0, from, length).transpose(0, 1);
      result.narrow(0, from, length).copy_(attend(qs, ks, vs, scale, window).transpose(0, 1));
      from = ends[i];
    }
    give(out, result);
  });
}

char *extra_losses(extra_tensor hidden, const extra_tensor *head, size_t n, int64_t rows, int64_t first, const int64_t *targets, double *maxima,
                   double *sums, double *logits, double softcap, int portable) {
  return guarded([&] {
    std::vector<at::Tensor> pieces;
    std::transform(head, head + n, std::back_inserter(pieces), tensor);
    losses(tensor(hidden), pieces, rows, first, targets, {maxima, sums, logits}, softcap, portable != 0);
  });
}
