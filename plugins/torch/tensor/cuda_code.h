// Kernels for NVIDIA GPUs, and their arguments. At run time nvrtc, which has no headers, compiles this file for the GPU
// at hand. Tests compile it as C++, with testdata/cuda.cpp's definitions of what CUDA adds to it.
#ifndef SURPRISAL_TENSOR_CUDA_CODE_H
#define SURPRISAL_TENSOR_CUDA_CODE_H

namespace cuda_code {

// The number of threads of a block is a power of 2, at most this.
const int max_threads = 512;
// Each thread takes this many consecutive elements at a time, in one access to memory if their address allows it.
const int group = 4;

// Strides count elements, and the elements of a row follow each other.

// One block for each token of x [tokens, heads, more than 2*half]; cosines and sines are [tokens, half].
struct rotate_arguments {
  void *x;
  const float *cosines, *sines;
  long long token_stride, head_stride;
  int heads, half;
};

// Blocks [rows, parts of width], for x [rows, 2*width] and out [rows, width].
struct gate_arguments {
  void *out;
  const void *x;
  long long stride;
  int width, activation;
};

// One block for each part of x [tokens, parts, width]; out is contiguous. biases may be null. With center it is a layer
// norm, otherwise an RMS norm.
struct norm_arguments {
  void *out;
  const void *x;
  const float *weights, *biases;
  long long token_stride, part_stride;
  int parts, width;
  float epsilon;
  int add_one, center;
};

// One block for each row of logits [rows, columns], whose first column is that of the token first. Adds them to the
// rows' maxima, sums of e^(logit - maximum) and targets' logits.
struct reduce_arguments {
  const float *logits;
  const long long *targets;
  double *maxima, *sums, *target_logits;
  long long stride, first;
  int columns;
};

#if defined(__CUDACC_RTC__) || defined(SURPRISAL_CUDA_AS_CPP)

struct bfloat16 {
  unsigned short bits;
};

struct float16 {
  unsigned short bits;
};

template <class T> struct alignas(group * sizeof(T)) packed { T elements[group]; };

#if defined(__CUDACC_RTC__)
__device__ float half_to_float(unsigned short bits) {
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
  return x;
}

__device__ unsigned short float_to_half(float x) {
  unsigned short bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}
#endif

__device__ float widened(float x) { return x; }
__device__ float widened(bfloat16 x) { return __uint_as_float(static_cast<unsigned int>(x.bits) << 16); }
__device__ float widened(float16 x) { return half_to_float(x.bits); }

__device__ void narrow(float x, float &to) { to = x; }

// The nearest value, ties to even. Without the test, adding could make a number of NaN.
__device__ void narrow(float x, bfloat16 &to) {
  unsigned int bits = __float_as_uint(x);
  to.bits = x != x ? 0x7fc0 : static_cast<unsigned short>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

__device__ void narrow(float x, float16 &to) { to.bits = float_to_half(x); }

// Elements i to i + group of a row of n elements; 0 after the end.
template <class T> __device__ void load(const T *row, int i, int n, float *to) {
  if (i + group <= n && reinterpret_cast<unsigned long long>(row) % sizeof(packed<T>) == 0) {
    packed<T> p = *reinterpret_cast<const packed<T> *>(row + i);
    for (int j = 0; j < group; j++) {
      to[j] = widened(p.elements[j]);
    }
    return;
  }
  for (int j = 0; j < group; j++) {
    to[j] = i + j < n ? widened(row[i + j]) : 0.0f;
  }
}

template <class T> __device__ void store(T *row, int i, int n, const float *from) {
  if (i + group <= n && reinterpret_cast<unsigned long long>(row) % sizeof(packed<T>) == 0) {
    packed<T> p;
    for (int j = 0; j < group; j++) {
      narrow(from[j], p.elements[j]);
    }
    *reinterpret_cast<packed<T> *>(row + i) = p;
    return;
  }
  for (int j = 0; j < group && i + j < n; j++) {
    narrow(from[j], row[i + j]);
  }
}

struct sum {
  template <class T> static __device__ T of(T a, T b) { return a + b; }
};

struct maximum {
  static __device__ float of(float a, float b) { return b > a ? b : a; }
};

// Combines all threads' x, always in the same order. All threads of the block call it.
template <class O, class T> __device__ T over_block(T x) {
  __shared__ T parts[max_threads];
  int thread = threadIdx.x;
  parts[thread] = x;
  for (int n = blockDim.x / 2; n > 0; n /= 2) {
    __syncthreads();
    if (thread < n) {
      parts[thread] = O::of(parts[thread], parts[thread + n]);
    }
  }
  __syncthreads();
  T result = parts[0];
  __syncthreads();
  return result;
}

template <class T> __device__ void rotate(const rotate_arguments &a) {
  T *token = static_cast<T *>(a.x) + blockIdx.x * a.token_stride;
  const float *cosines = a.cosines + static_cast<long long>(blockIdx.x) * a.half, *sines = a.sines + static_cast<long long>(blockIdx.x) * a.half;
  int groups = (a.half + group - 1) / group, all = a.heads * groups;
  for (int k = threadIdx.x; k < all; k += blockDim.x) {
    T *first = token + k / groups * a.head_stride, *second = first + a.half;
    int i = k % groups * group;
    float x[group], y[group], c[group], s[group], to[group];
    load(first, i, a.half, x);
    load(second, i, a.half, y);
    load(cosines, i, a.half, c);
    load(sines, i, a.half, s);
    for (int j = 0; j < group; j++) {
      to[j] = x[j] * c[j] - y[j] * s[j];
    }
    store(first, i, a.half, to);
    for (int j = 0; j < group; j++) {
      to[j] = y[j] * c[j] + x[j] * s[j];
    }
    store(second, i, a.half, to);
  }
}

// The formulas of elements.cpp: no difference of numbers close to each other for negative x.
__device__ float activated(float x, int activation) {
  switch (activation) {
  case 0:
    return x / (1.0f + expf(-x));
  case 1:
    return x / (1.0f + expf(-x * (1.5957691216f + 0.0713548162726f * x * x)));
  default:
    return 0.5f * x * erfcf(x * -0.70710678f);
  }
}

template <class T> __device__ void gate(const gate_arguments &a) {
  const T *row = static_cast<const T *>(a.x) + blockIdx.x * a.stride;
  T *out = static_cast<T *>(a.out) + static_cast<long long>(blockIdx.x) * a.width;
  int i = (blockIdx.y * blockDim.x + threadIdx.x) * group;
  if (i >= a.width) {
    return;
  }
  float x[group], up[group];
  load(row, i, a.width, x);
  load(row + a.width, i, a.width, up);
  for (int j = 0; j < group; j++) {
    T rounded;
    narrow(activated(x[j], a.activation), rounded);
    x[j] = widened(rounded) * up[j];
  }
  store(out, i, a.width, x);
}

template <class T> __device__ void norm(const norm_arguments &a) {
  int token = blockIdx.x / a.parts, part = blockIdx.x % a.parts, step = blockDim.x * group;
  const T *row = static_cast<const T *>(a.x) + token * a.token_stride + part * a.part_stride;
  T *out = static_cast<T *>(a.out) + static_cast<long long>(blockIdx.x) * a.width;
  float x[group], w[group], mean = 0, squares = 0;
  if (a.center) {
    float total = 0;
    for (int i = threadIdx.x * group; i < a.width; i += step) {
      load(row, i, a.width, x);
      total += (x[0] + x[1]) + (x[2] + x[3]);
    }
    mean = over_block<sum>(total) / a.width;
  }
  for (int i = threadIdx.x * group; i < a.width; i += step) {
    load(row, i, a.width, x);
    for (int j = 0; j < group && i + j < a.width; j++) {
      squares += (x[j] - mean) * (x[j] - mean);
    }
  }
  float inverse = 1.0f / sqrtf(over_block<sum>(squares) / a.width + a.epsilon), more = a.add_one ? 1.0f : 0.0f;
  for (int i = threadIdx.x * group; i < a.width; i += step) {
    load(row, i, a.width, x);
    load(a.weights, i, a.width, w);
    for (int j = 0; j < group; j++) {
      x[j] = (x[j] - mean) * inverse * (more + w[j]);
    }
    if (a.biases != nullptr) {
      load(a.biases, i, a.width, w);
      for (int j = 0; j < group; j++) {
        x[j] += w[j];
      }
    }
    store(out, i, a.width, x);
  }
}

// A sum of e^(z - from) for another maximum.
template <class T> __device__ T rescaled(T sum, T from, T to) { return from == to ? sum : sum * exp(from - to); }

// One pass over the row: a thread's sum is for the greatest logit that the thread has seen. A few terms are summed in
// float32, and these sums in float64.
__device__ void reduce(const reduce_arguments &a) {
  const float infinity = __uint_as_float(0x7f800000), *row = a.logits + blockIdx.x * a.stride;
  float z[group], seen = -infinity;
  double total = 0;
  for (int i = threadIdx.x * group; i < a.columns; i += blockDim.x * group) {
    load(row, i, a.columns, z);
    float greatest = seen;
    for (int j = 0; j < group && i + j < a.columns; j++) {
      greatest = maximum::of(greatest, z[j]);
    }
    total = rescaled<double>(total, seen, greatest);
    seen = greatest;
    float from = greatest == -infinity ? 0.0f : greatest, terms = 0;
    for (int j = 0; j < group && i + j < a.columns; j++) {
      terms += expf(z[j] - from);
    }
    total += terms;
  }
  double greatest = over_block<maximum>(seen);
  total = over_block<sum>(rescaled<double>(total, seen, greatest));
  if (threadIdx.x != 0) {
    return;
  }
  double before = a.maxima[blockIdx.x], both = before > greatest ? before : greatest;
  a.sums[blockIdx.x] = rescaled(a.sums[blockIdx.x], before, both) + rescaled(total, greatest, both);
  a.maxima[blockIdx.x] = both;
  long long target = a.targets[blockIdx.x] - a.first;
  if (target >= 0 && target < a.columns) {
    a.target_logits[blockIdx.x] = row[target];
  }
}

#define SURPRISAL_KERNELS(T)                                                                                                                         \
  extern "C" __global__ void rotate_##T(rotate_arguments a) { rotate<T>(a); }                                                                        \
  extern "C" __global__ void gate_##T(gate_arguments a) { gate<T>(a); }                                                                              \
  extern "C" __global__ void norm_##T(norm_arguments a) { norm<T>(a); }
SURPRISAL_KERNELS(float)
SURPRISAL_KERNELS(bfloat16)
SURPRISAL_KERNELS(float16)
#undef SURPRISAL_KERNELS
extern "C" __global__ void reduce_float(reduce_arguments a) { reduce(a); }

#endif

} // namespace cuda_code

#endif
