// A stand-in for libcaffe2_nvrtc.so, with the used functions of nvrtc and of CUDA's driver. It runs the kernels of
// cuda_code.h on this processor, compiled as C++. The threads of a block are coroutines of one thread. Between two
// barriers they run one after another, in an order that changes, so that a missing barrier changes results.
//
// -DFAULT=NAME makes a function fail, or a kernel wrong. -DLOG="FILE" appends the names of kernels to a file.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <mutex>
#include <random>
#include <string>
#include <ucontext.h>
#include <vector>

struct index3 {
  unsigned x, y, z;
};

static index3 threadIdx, blockIdx, blockDim;
static void __syncthreads();

static float __uint_as_float(unsigned bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

static unsigned __float_as_uint(float x) {
  unsigned bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

static float half_to_float(unsigned short bits) {
  _Float16 x;
  std::memcpy(&x, &bits, sizeof x);
  return static_cast<float>(x);
}

static unsigned short float_to_half(float x) {
  _Float16 half = static_cast<_Float16>(x);
  unsigned short bits;
  std::memcpy(&bits, &half, sizeof bits);
  return bits;
}

#define SURPRISAL_CUDA_AS_CPP
#define __device__
#define __global__
#define __shared__ static
#include "../cuda_code.h"

using namespace cuda_code;

#ifndef FAULT
#define FAULT none
#endif
#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)

static bool faulty(const char *name) { return std::strcmp(TEXT_OF(FAULT), name) == 0; }

namespace {

// The threads of a block.
class block {
public:
  // Runs f on each thread. Returns false if some threads wait at a barrier that others do not reach.
  bool run(const std::function<void()> &f, std::mt19937 &random) {
    size_t n = blockDim.x;
    if (stacks.size() < n) {
      stacks.resize(n, std::vector<char>(64 << 10));
    }
    threads.assign(n, {});
    body = &f;
    std::vector<unsigned> order(n);
    for (unsigned i = 0; i < n; i++) {
      order[i] = i;
      getcontext(&threads[i].context);
      threads[i].context.uc_stack.ss_sp = stacks[i].data();
      threads[i].context.uc_stack.ss_size = stacks[i].size();
      threads[i].context.uc_link = &scheduler;
      makecontext(&threads[i].context, start, 0);
    }
    for (;;) {
      std::shuffle(order.begin(), order.end(), random);
      size_t ended = 0;
      for (unsigned i : order) {
        threadIdx.x = i;
        swapcontext(&scheduler, &threads[i].context);
        ended += threads[i].ended;
      }
      if (ended > 0) {
        return ended == n;
      }
    }
  }

  void wait() { swapcontext(&threads[threadIdx.x].context, &scheduler); }

private:
  struct thread {
    ucontext_t context;
    bool ended;
  };

  static void start();

  ucontext_t scheduler;
  std::vector<thread> threads;
  std::vector<std::vector<char>> stacks;
  const std::function<void()> *body;
};

block running;

void block::start() {
  (*running.body)();
  running.threads[threadIdx.x].ended = true;
}

typedef void (*kernel)(void *arguments);

struct named_kernel {
  const char *name;
  kernel run;
};

#define KERNEL(name, arguments)                                                                                                                      \
  { #name, [](void *a) { name(*static_cast<const arguments *>(a)); } }
#define KERNELS(T) KERNEL(rotate_##T, rotate_arguments), KERNEL(gate_##T, gate_arguments), KERNEL(norm_##T, norm_arguments)
const named_kernel kernels[] = {KERNELS(float), KERNELS(bfloat16), KERNELS(float16), KERNEL(reduce_float, reduce_arguments)};

const int success = 0, failure = 719;

} // namespace

static void __syncthreads() { running.wait(); }

extern "C" {

int nvrtcCreateProgram(void **program, const char *source, const char *, int, const char *const *, const char *const *) {
  *program = new std::string(source);
  return success;
}

int nvrtcCompileProgram(void *program, int, const char *const *) {
  bool complete = static_cast<std::string *>(program)->find("reduce_float") != std::string::npos;
  return complete && !faulty("nvrtcCompileProgram") ? success : 6;
}

int nvrtcGetProgramLogSize(void *, size_t *size) {
  *size = sizeof "kernels.cu(1): error: no such thing\n";
  return success;
}

int nvrtcGetProgramLog(void *, char *log) {
  std::strcpy(log, "kernels.cu(1): error: no such thing\n");
  return success;
}

int nvrtcGetCUBINSize(void *, size_t *size) {
  *size = 4;
  return success;
}

int nvrtcGetCUBIN(void *, char *code) {
  std::memcpy(code, "code", 4);
  return success;
}

int nvrtcDestroyProgram(void **program) {
  delete static_cast<std::string *>(*program);
  return success;
}

const char *nvrtcGetErrorString(int code) { return code == 6 ? "NVRTC_ERROR_COMPILATION" : "another error"; }

int cuInit(unsigned) { return faulty("cuInit") ? failure : success; }

int cuDeviceGet(int *device, int number) {
  *device = number;
  return success;
}

int cuDeviceGetAttribute(int *value, int attribute, int) {
  *value = attribute == 75 ? 9 : 0;
  return success;
}

static int context;
static thread_local int current;

int cuDevicePrimaryCtxRetain(void **to, int) {
  *to = &context;
  return success;
}

int cuCtxPushCurrent_v2(void *pushed) {
  current++;
  return pushed == &context ? success : failure;
}

int cuCtxPopCurrent_v2(void **popped) {
  current--;
  *popped = &context;
  return success;
}

int cuModuleLoadData(void **module, const void *code) {
  *module = &context;
  return current == 1 && std::memcmp(code, "code", 4) == 0 && !faulty("cuModuleLoadData") ? success : failure;
}

int cuModuleGetFunction(void **function, void *, const char *name) {
  for (const named_kernel &k : kernels) {
    if (std::strcmp(k.name, name) == 0) {
      *function = const_cast<named_kernel *>(&k);
      return success;
    }
  }
  return 500;
}

int cuGetErrorString(int code, const char **text) {
  *text = code == failure ? "unspecified launch failure" : "named symbol not found";
  return success;
}

int cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned threads_y, unsigned threads_z, unsigned shared,
                   void *stream, void **parameters, void **options) {
  static std::mutex one_at_a_time;
  static std::mt19937 random(1);
  std::lock_guard<std::mutex> lock(one_at_a_time);
  const named_kernel &k = *static_cast<named_kernel *>(function);
  bool power = threads > 0 && threads <= max_threads && (threads & (threads - 1)) == 0;
  if (current < 1 || x * y * z == 0 || threads_y * threads_z != 1 || !power || shared != 0 || stream != nullptr || options != nullptr) {
    return failure;
  }
#ifdef LOG
  FILE *log = std::fopen(LOG, "a");
  std::fprintf(log, "%s\n", k.name);
  std::fclose(log);
#endif
  blockDim = {threads, 1, 1};
  for (blockIdx.y = 0; blockIdx.y < y; blockIdx.y++) {
    for (blockIdx.x = 0; blockIdx.x < x; blockIdx.x++) {
      // The last block of a wrong kernel does nothing.
      bool skipped = faulty(k.name) && blockIdx.x == x - 1;
      if (!skipped && !running.run([&] { k.run(parameters[0]); }, random)) {
        return failure;
      }
    }
  }
  return success;
}
}
