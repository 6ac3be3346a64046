//go:build torch

#include "extra.h"
#include "handle.h"
#include "parallel.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include <ATen/ops/empty.h>

using handle::give;
using handle::guarded;
using handle::tensor;

namespace {

float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }
float silu(float x) { return x * sigmoid(x); }
// ln(1 + e^x), which is x where e^-x does not change it.
float softplus(float x) { return x > 20 ? x : std::log1p(std::exp(x)); }

// Rows of a state, each of n elements. The loops are over columns, which are independent, so that vectors of any width
// give the same bits.
struct step {
  float *state;
  int64_t rows, columns;
  const float *key, *query;
  float decay, rate;
};

// Decays the state and sets got to key^T state.
inline __attribute__((always_inline)) void recall_loop(const step &s, float *got) {
  std::fill(got, got + s.columns, 0.0f);
  for (int64_t r = 0; r < s.rows; r++) {
    float *row = s.state + r * s.columns, k = s.key[r];
    for (int64_t c = 0; c < s.columns; c++) {
      row[c] *= s.decay;
      got[c] += k * row[c];
    }
  }
}

// Adds key delta^T to the state and sets out to query^T state.
inline __attribute__((always_inline)) void update_loop(const step &s, const float *delta, float *out) {
  std::fill(out, out + s.columns, 0.0f);
  for (int64_t r = 0; r < s.rows; r++) {
    float *row = s.state + r * s.columns, k = s.key[r], q = s.query[r];
    for (int64_t c = 0; c < s.columns; c++) {
      row[c] += k * delta[c];
      out[c] += q * row[c];
    }
  }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) void recall_vectors(const step &s, float *got) { recall_loop(s, got); }
__attribute__((target("avx2"))) void update_vectors(const step &s, const float *delta, float *out) { update_loop(s, delta, out); }
bool has_vectors() { return __builtin_cpu_supports("avx2"); }
#else
void recall_vectors(const step &s, float *got) { recall_loop(s, got); }
void update_vectors(const step &s, const float *delta, float *out) { update_loop(s, delta, out); }
bool has_vectors() { return true; }
#endif
void recall_scalars(const step &s, float *got) { recall_loop(s, got); }
void update_scalars(const step &s, const float *delta, float *out) { update_loop(s, delta, out); }

// One key head of a layer in one sequence, of tokens from first to last. Elements are of type T, weights float32.
template <class T> struct head {
  const extra_delta_options &o;
  // The rows of the head.
  const T *in, *rates;
  T *out;
  int64_t in_stride, rates_stride, out_stride;
  const float *convolution, *decay, *step_bias, *norm;

  int64_t values() const { return o.group * o.value_size; }
  int64_t channels() const { return 2 * o.key_size + values(); }

  void run(int64_t first, int64_t last) const {
    std::vector<float> states(o.group * o.key_size * o.value_size, 0.0f), mixed(channels()), delta(o.value_size), result(o.value_size);
    for (int64_t t = first; t < last; t++) {
      convolve(first, t, mixed.data());
      normalize(mixed.data(), 1 / std::sqrt(static_cast<float>(o.key_size)));
      normalize(mixed.data() + o.key_size, 1);
      for (int64_t v = 0; v < o.group; v++) {
        update(t, v, mixed.data(), &states[v * o.key_size * o.value_size], delta.data(), result.data());
        write(t, v, result.data());
      }
    }
  }

  // The SiLU of the convolution of the last tokens up to t.
  void convolve(int64_t first, int64_t t, float *to) const {
    for (int64_t c = 0; c < channels(); c++) {
      float sum = 0;
      for (int64_t k = std::max<int64_t>(0, o.kernel - 1 - (t - first)); k < o.kernel; k++) {
        sum += convolution[c * o.kernel + k] * static_cast<float>(in[(t - o.kernel + 1 + k) * in_stride + c]);
      }
      to[c] = silu(sum);
    }
  }

  // Divides x [key_size] by its length and multiplies it by a factor.
  void normalize(float *x, float factor) const {
    float sum = 0;
    for (int64_t i = 0; i < o.key_size; i++) {
      sum += x[i] * x[i];
    }
    float scale = factor / std::sqrt(sum + 1e-6f);
    for (int64_t i = 0; i < o.key_size; i++) {
      x[i] *= scale;
    }
  }

  void update(int64_t t, int64_t v, const float *mixed, float *state, float *delta, float *result) const {
    const T *r = rates + t * rates_stride;
    float rate = sigmoid(static_cast<float>(r[v])), time = softplus(static_cast<float>(r[o.group + v]) + step_bias[v]);
    step s = {state, o.key_size, o.value_size, mixed + o.key_size, mixed, std::exp(-std::exp(decay[v]) * time), rate};
    bool vectors = has_vectors();
    vectors ? recall_vectors(s, delta) : recall_scalars(s, delta);
    const float *value = mixed + 2 * o.key_size + v * o.value_size;
    for (int64_t i = 0; i < o.value_size; i++) {
      delta[i] = (value[i] - delta[i]) * rate;
    }
    vectors ? update_vectors(s, delta, result) : update_scalars(s, delta, result);
  }

  // Writes the normalized result times the SiLU of its gate.
  void write(int64_t t, int64_t v, const float *result) const {
    const T *gate = in + t * in_stride + channels() + v * o.value_size;
    T *to = out + t * out_stride + v * o.value_size;
    double sum = 0;
    for (int64_t i = 0; i < o.value_size; i++) {
      sum += static_cast<double>(result[i]) * result[i];
    }
    float scale = static_cast<float>(1 / std::sqrt(sum / static_cast<double>(o.value_size) + o.epsilon));
    for (int64_t i = 0; i < o.value_size; i++) {
      to[i] = static_cast<T>(norm[i] * (result[i] * scale) * silu(static_cast<float>(gate[i])));
    }
  }
};

template <class T> void run(const extra_delta_options &o, const at::Tensor &in, const at::Tensor &rates, const at::Tensor &out, const extra_delta_weights &w,
                            const int64_t *ends, int64_t n) {
  int64_t width = 2 * o.key_size + 2 * o.group * o.value_size, heads = in.size(1) / width, values = o.group * o.value_size;
  const float *convolution = tensor(w.convolution).const_data_ptr<float>(), *decay = tensor(w.decay).const_data_ptr<float>(),
              *step = tensor(w.step).const_data_ptr<float>(), *norm = tensor(w.norm).const_data_ptr<float>();
  parallel::each(n * heads, 1, [&](int64_t i, int64_t) {
    int64_t sequence = i / heads, h = i % heads;
    head<T> one = {o,
                   in.const_data_ptr<T>() + h * width,
                   rates.const_data_ptr<T>() + h * 2 * o.group,
                   out.data_ptr<T>() + h * values,
                   in.stride(0),
                   rates.stride(0),
                   out.stride(0),
                   convolution + h * (2 * o.key_size + values) * o.kernel,
                   decay + h * o.group,
                   step + h * o.group,
                   norm};
    one.run(sequence == 0 ? 0 : ends[sequence - 1], ends[sequence]);
  });
}

at::Tensor gated_delta(const extra_delta_options &o, const at::Tensor &in, const at::Tensor &rates, const extra_delta_weights &w, const int64_t *ends,
                       int64_t n) {
  int64_t width = 2 * o.key_size + 2 * o.group * o.value_size, heads = in.size(1) / width;
  if (heads * width != in.size(1) || rates.size(1) != heads * 2 * o.group) {
    throw std::runtime_error("the delta rule has " + std::to_string(in.size(1)) + " columns and " + std::to_string(rates.size(1)) +
                             " rates, which do not fit heads of " + std::to_string(width));
  }
  at::Tensor out = at::empty({in.size(0), heads * o.group * o.value_size}, in.options());
  if (in.scalar_type() == at::kFloat) {
    run<float>(o, in, rates, out, w, ends, n);
  } else {
    run<at::BFloat16>(o, in, rates, out, w, ends, n);
  }
  return out;
}

} // namespace

char *extra_gated_delta(extra_tensor *out, extra_tensor in, extra_tensor rates, const extra_delta_weights *w, const int64_t *ends, size_t n,
                        const extra_delta_options *o) {
  return guarded([&] {
    // On a GPU the host computes: the rule goes from token to token.
    at::Tensor x = tensor(in).to(at::kCPU).contiguous(), r = tensor(rates).to(at::kCPU).contiguous();
    at::Tensor convolution = tensor(w->convolution).to(at::kCPU), decay = tensor(w->decay).to(at::kCPU), step = tensor(w->step).to(at::kCPU),
               norm = tensor(w->norm).to(at::kCPU);
    extra_delta_weights host = {&convolution, &decay, &step, &norm};
    give(out, gated_delta(*o, x, r, host, ends, static_cast<int64_t>(n)).to(tensor(in).device()));
  });
}
