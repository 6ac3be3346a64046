//go:build torch

#include "extra.h"

#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/torch.h>
#include <torch/version.h>

namespace {

template <class F> char *guarded(F f) {
  try {
    f();
    return nullptr;
  } catch (const c10::Error &e) {
    return strdup(e.what_without_backtrace());
  } catch (const std::exception &e) {
    return strdup(e.what());
  } catch (...) {
    return strdup("an exception of an unknown kind");
  }
}

at::Tensor &tensor(extra_tensor t) { return *static_cast<at::Tensor *>(t); }

void give(extra_tensor *out, at::Tensor t) { *out = new at::Tensor(std::move(t)); }

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
  }
  throw std::runtime_error("unknown type " + std::to_string(type));
}

template <class T>
void rms_norm_rows(const T *x, const T *w, T *y, int64_t begin, int64_t end, int64_t n, double epsilon, bool add_one, bool float32_product) {
  for (int64_t row = begin; row < end; row++) {
    const T *in = x + row * n;
    T *out = y + row * n;
    // Eight sums, which the compiler keeps in one vector.
    float part[8] = {};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
      for (int j = 0; j < 8; j++) {
        float v = static_cast<float>(in[i + j]);
        part[j] += v * v;
      }
    }
    double sum = 0;
    for (; i < n; i++) {
      float v = static_cast<float>(in[i]);
      sum += v * v;
    }
    for (float p : part) {
      sum += p;
    }
    float inverse = static_cast<float>(1 / std::sqrt(sum / n + epsilon));
    float more = add_one ? 1 : 0;
    for (i = 0; i < n; i++) {
      float v = static_cast<float>(in[i]) * inverse;
      if (!float32_product) {
        v = static_cast<float>(static_cast<T>(v));
      }
      out[i] = static_cast<T>(v * (more + static_cast<float>(w[i])));
    }
  }
}

at::Tensor rms_norm(const at::Tensor &x, const at::Tensor &w, double epsilon, bool add_one, bool float32_product) {
  int64_t n = x.size(-1);
  if (w.numel() != n) {
    throw std::runtime_error("a norm of " + std::to_string(w.numel()) + " weights over rows of " + std::to_string(n));
  }
  if (x.is_cpu() && x.scalar_type() == w.scalar_type() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16)) {
    at::Tensor in = x.contiguous(), weight = w.contiguous(), out = at::empty_like(in);
    int64_t rows = n == 0 ? 0 : in.numel() / n;
    at::parallel_for(0, rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(n, 1)), [&](int64_t begin, int64_t end) {
      if (in.scalar_type() == at::kFloat) {
        rms_norm_rows(in.const_data_ptr<float>(), weight.const_data_ptr<float>(), out.data_ptr<float>(), begin, end, n, epsilon, add_one, float32_product);
      } else {
        rms_norm_rows(in.const_data_ptr<at::BFloat16>(), weight.const_data_ptr<at::BFloat16>(), out.data_ptr<at::BFloat16>(), begin, end, n,
                      epsilon, add_one, float32_product);
      }
    });
    return out;
  }
  at::Tensor f = x.to(at::kFloat);
  f = f * at::rsqrt(f.square().mean(-1, true) + epsilon);
  at::Tensor weight = add_one ? w.to(at::kFloat) + 1 : w;
  if (float32_product) {
    return (f * weight.to(at::kFloat)).to(x.scalar_type());
  }
  return (f.to(x.scalar_type()) * weight).to(x.scalar_type());
}

template <class T>
void rotate_rows(T *x, const float *cosines, const float *sines, int64_t begin, int64_t end, int64_t heads, int64_t size, int64_t half) {
  for (int64_t t = begin; t < end; t++) {
    const float *c = cosines + t * half, *s = sines + t * half;
    for (int64_t h = 0; h < heads; h++) {
      T *a = x + (t * heads + h) * size, *b = a + half;
      for (int64_t i = 0; i < half; i++) {
        float p = static_cast<float>(a[i]), q = static_cast<float>(b[i]);
        a[i] = static_cast<T>(p * c[i] - q * s[i]);
        b[i] = static_cast<T>(q * c[i] + p * s[i]);
      }
    }
  }
}

void rotate(at::Tensor &x, const at::Tensor &cosines, const at::Tensor &sines) {
  int64_t heads = x.size(1), size = x.size(2), half = cosines.size(1);
  if (x.is_cpu() && x.is_contiguous() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16)) {
    at::parallel_for(0, x.size(0), 16, [&](int64_t begin, int64_t end) {
      const float *c = cosines.const_data_ptr<float>(), *s = sines.const_data_ptr<float>();
      if (x.scalar_type() == at::kFloat) {
        rotate_rows(x.data_ptr<float>(), c, s, begin, end, heads, size, half);
      } else {
        rotate_rows(x.data_ptr<at::BFloat16>(), c, s, begin, end, heads, size, half);
      }
    });
    return;
  }
  at::Tensor a = x.narrow(2, 0, half), b = x.narrow(2, half, half);
  at::Tensor p = a.to(at::kFloat), q = b.to(at::kFloat), c = cosines.unsqueeze(1), s = sines.unsqueeze(1);
  a.copy_(p * c - q * s);
  b.copy_(q * c + p * s);
}

// One sequence: q [heads, length, size], k and v [kv heads, length, size].
at::Tensor attend(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, double scale, int64_t window) {
  int64_t length = q.size(1), group = q.size(0) / k.size(0);
  bool windowed = window > 0 && window < length;
  if (!windowed) {
    return at::scaled_dot_product_attention(q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0), {}, 0, true, scale, group > 1).squeeze(0);
  }
  // Queries in blocks, each with the keys that any of them sees, so that a long sequence costs by its window.
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

// Loops that the compiler turns into the widest vectors of the machine.
#if defined(__x86_64__) && defined(__gnu_linux__)
#define VECTOR_CLONES __attribute__((target_clones("avx512f", "avx2,fma", "default")))
#else
#define VECTOR_CLONES
#endif

// How many elements of a row are in float32 at a time.
const int64_t block_size = 512;

inline __attribute__((always_inline)) const float *widened(const float *z, int64_t, float *) { return z; }

inline __attribute__((always_inline)) const float *widened(const uint16_t *bfloat16, int64_t n, float *buffer) {
  uint32_t bits[block_size];
  for (int64_t i = 0; i < n; i++) {
    bits[i] = static_cast<uint32_t>(bfloat16[i]) << 16;
  }
  std::memcpy(buffer, bits, n * sizeof(float));
  return buffer;
}

template <class T> inline __attribute__((always_inline)) float greatest(const T *z, int64_t n) {
  float lanes[16], buffer[block_size];
  std::fill(lanes, lanes + 16, -std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i + block_size <= n; i += block_size) {
    const float *x = widened(z + i, block_size, buffer);
    for (int64_t k = 0; k < block_size; k += 16) {
      for (int j = 0; j < 16; j++) {
        lanes[j] = x[k + j] > lanes[j] ? x[k + j] : lanes[j];
      }
    }
  }
  float m = *std::max_element(lanes, lanes + 16);
  const float *rest = widened(z + i, n - i, buffer);
  for (int64_t k = 0; k < n - i; k++) {
    m = std::max(m, rest[k]);
  }
  return m;
}

// e^x for x <= 0, to about 1e-7 of its value: 2^k times the Taylor polynomial of degree 7 of e^r with |r| <= ln(2)/2. What is
// below e^-87 counts as that, which no sum of probabilities feels. NaN stays NaN.
inline __attribute__((always_inline)) float exponential(float x) {
  float bounded = x < -87.0f ? -87.0f : x;
  float k = bounded * 1.44269504f + 12582912.0f; // 1.5 * 2^23: the low bits become the nearest integer
  uint32_t bits;
  std::memcpy(&bits, &k, sizeof bits);
  k -= 12582912.0f;
  float r = bounded - k * 0.693359375f + k * 2.12194440e-4f;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  uint32_t power = (bits + 127) << 23;
  float scale;
  std::memcpy(&scale, &power, sizeof scale);
  return p * scale;
}

// Sums e^(z - m): few terms a lane in float32, these sums in float64, for one float32 sum over a large vocabulary is biased.
template <class T> inline __attribute__((always_inline)) double exponentials(const T *z, int64_t n, float m) {
  float buffer[block_size];
  double sum = 0;
  int64_t i = 0;
  for (; i + block_size <= n; i += block_size) {
    const float *x = widened(z + i, block_size, buffer);
    float lanes[16] = {};
    for (int64_t k = 0; k < block_size; k += 16) {
      for (int j = 0; j < 16; j++) {
        lanes[j] += exponential(x[k + j] - m);
      }
    }
    for (float v : lanes) {
      sum += v;
    }
  }
  const float *rest = widened(z + i, n - i, buffer);
  for (int64_t k = 0; k < n - i; k++) {
    sum += exponential(rest[k] - m);
  }
  return sum;
}

struct reduced {
  float maximum;
  double sum;
};

VECTOR_CLONES reduced reduce_float(const float *z, int64_t n) {
  float m = greatest(z, n);
  return {m, exponentials(z, n, m)};
}

VECTOR_CLONES reduced reduce_bfloat16(const uint16_t *z, int64_t n) {
  float m = greatest(z, n);
  return {m, exponentials(z, n, m)};
}

// The greatest element of a row and the sum of e^(element - greatest). A row with NaN has the sum NaN.
reduced reduce(const at::Tensor &row) {
  if (row.is_cpu() && row.is_contiguous() && row.scalar_type() == at::kFloat) {
    return reduce_float(row.const_data_ptr<float>(), row.numel());
  }
  if (row.is_cpu() && row.is_contiguous() && row.scalar_type() == at::kBFloat16) {
    return reduce_bfloat16(reinterpret_cast<const uint16_t *>(row.const_data_ptr<at::BFloat16>()), row.numel());
  }
  at::Tensor z = row.to(at::kFloat), m = z.max();
  return {m.item<float>(), (z - m).exp_().sum(at::kDouble).item<double>()};
}

// Calls row(i, z) for each row of logits z [vocabulary], from several threads.
template <class F>
void each_row(const at::Tensor &hidden, const at::Tensor &head, at::Tensor workspace, double softcap, F row) {
  int64_t rows = hidden.size(0), chunk = workspace.size(0);
  at::Tensor transposed = head.t();
  for (int64_t from = 0; from < rows; from += chunk) {
    int64_t n = std::min(chunk, rows - from);
    at::Tensor logits = workspace.narrow(0, 0, n);
    at::mm_out(logits, hidden.narrow(0, from, n), transposed);
    if (softcap != 0) {
      logits = at::tanh(logits.to(at::kFloat) / softcap) * softcap;
    }
    at::parallel_for(0, n, 1, [&](int64_t begin, int64_t end) {
      at::NoGradGuard guard;
      for (int64_t i = begin; i < end; i++) {
        row(from + i, logits.select(0, i));
      }
    });
  }
}

} // namespace

void extra_no_grad(void) { at::GradMode::set_enabled(false); }
void extra_set_threads(int threads) { at::set_num_threads(threads); }
int extra_get_threads(void) { return at::get_num_threads(); }
const char *extra_torch_version(void) { return TORCH_VERSION; }

const char *extra_cpu_capability(void) {
  static const std::string capability = at::get_cpu_capability();
  return capability.c_str();
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

char *extra_fill(extra_tensor x, int64_t row, const float *data, int64_t rows, int64_t width, int64_t first) {
  return guarded([&] {
    at::Tensor t = tensor(x);
    if (t.dim() == 1) {
      t = t.unsqueeze(1);
    }
    at::Tensor in = at::from_blob(const_cast<float *>(data), {rows, width}, at::TensorOptions().dtype(at::kFloat));
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
      throw std::runtime_error("a tensor of " + std::to_string(t.numel()) + " elements, wanted " + std::to_string(n));
    }
    std::memcpy(out, t.const_data_ptr<double>(), n * sizeof(double));
  });
}

char *extra_rms_norm(extra_tensor *out, extra_tensor x, extra_tensor w, double epsilon, int add_one, int float32_product) {
  return guarded([&] { give(out, rms_norm(tensor(x), tensor(w), epsilon, add_one != 0, float32_product != 0)); });
}

char *extra_rotate(extra_tensor x, extra_tensor cosines, extra_tensor sines) {
  return guarded([&] { rotate(tensor(x), tensor(cosines), tensor(sines)); });
}

char *extra_attention(extra_tensor *out, extra_tensor q, extra_tensor k, extra_tensor v, const int64_t *ends, size_t n, double scale,
                      int64_t window) {
  return guarded([&] {
    const at::Tensor &queries = tensor(q);
    at::Tensor result = at::empty_like(queries, at::MemoryFormat::Contiguous);
    int64_t from = 0;
    for (size_t i = 0; i < n; i++) {
      int64_t length = ends[i] - from;
      at::Tensor qs = queries.narrow(0, from, length).transpose(0, 1), ks = tensor(k).narrow(0, from, length).transpose(0, 1),
                 vs = tensor(v).narrow(0, from, length).transpose(0, 1);
      result.narrow(0, from, length).copy_(attend(qs, ks, vs, scale, window).transpose(0, 1));
      from = ends[i];
    }
    give(out, result);
  });
}

char *extra_losses(extra_tensor hidden, extra_tensor head, extra_tensor workspace, const int64_t *targets, double *out, double softcap) {
  return guarded([&] {
    each_row(tensor(hidden), tensor(head), tensor(workspace), softcap, [&](int64_t i, const at::Tensor &z) {
      double target = z[targets[i]].item<float>();
      reduced r = reduce(z);
      out[i] = std::log(r.sum) + (r.maximum - target);
    });
  });
}

char *extra_partial_losses(extra_tensor hidden, extra_tensor head, extra_tensor workspace, int64_t first, const int64_t *targets,
                           double *maxima, double *sums, double *logits, double softcap) {
  return guarded([&] {
    int64_t size = tensor(head).size(0);
    each_row(tensor(hidden), tensor(head), tensor(workspace), softcap, [&](int64_t i, const at::Tensor &z) {
      int64_t at = targets[i] - first;
      logits[i] = at >= 0 && at < size ? z[at].item<float>() : -std::numeric_limits<double>::infinity();
      reduced r = reduce(z);
      maxima[i] = r.maximum;
      sums[i] = r.sum;
    });
  });
}
