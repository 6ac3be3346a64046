//go:build torch

#include "cuda_program.h"
#include "dynamic.h"

#include <memory>
#include <stdexcept>

#include <c10/core/impl/VirtualGuardImpl.h>

namespace cuda {

// The used part of the C API of CUDA's driver, and handles as pointers.
struct driver {
  int (*init)(unsigned);
  int (*get_device)(int *, int);
  int (*get_attribute)(int *, int attribute, int device);
  int (*retain_context)(void **, int device);
  int (*push_context)(void *);
  int (*pop_context)(void **);
  int (*load_module)(void **, const void *);
  int (*get_function)(void **, void *module, const char *);
  int (*launch)(void *function, unsigned blocks_x, unsigned blocks_y, unsigned blocks_z, unsigned threads_x, unsigned threads_y, unsigned threads_z,
                unsigned shared, void *stream, void **parameters, void **options);
  int (*describe)(int, const char **);

  explicit driver(const dynamic::library &found) {
    found.resolve("cuInit", init);
    found.resolve("cuDeviceGet", get_device);
    found.resolve("cuDeviceGetAttribute", get_attribute);
    found.resolve("cuDevicePrimaryCtxRetain", retain_context);
    found.resolve("cuCtxPushCurrent_v2", push_context);
    found.resolve("cuCtxPopCurrent_v2", pop_context);
    found.resolve("cuModuleLoadData", load_module);
    found.resolve("cuModuleGetFunction", get_function);
    found.resolve("cuLaunchKernel", launch);
    found.resolve("cuGetErrorString", describe);
  }

  void check(int code, const char *what) const {
    const char *text = nullptr;
    if (code != 0) {
      describe(code, &text);
      throw std::runtime_error(std::string(what) + ": " + (text == nullptr ? std::to_string(code) : text));
    }
  }

  // E.g. "sm_90".
  std::string architecture(int device) const {
    // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and MINOR.
    int major = 0, minor = 0;
    check(get_attribute(&major, 75, device), "cuDeviceGetAttribute");
    check(get_attribute(&minor, 76, device), "cuDeviceGetAttribute");
    return "sm_" + std::to_string(major) + std::to_string(minor);
  }
};

namespace {

// The used part of nvrtc's C API.
struct compiler {
  int (*create)(void **, const char *source, const char *name, int headers, const char *const *contents, const char *const *names);
  int (*compile)(void *, int options, const char *const *values);
  int (*get_log_size)(void *, size_t *);
  int (*get_log)(void *, char *);
  int (*get_code_size)(void *, size_t *);
  int (*get_code)(void *, char *);
  int (*destroy)(void **);
  const char *(*describe)(int);

  explicit compiler(const dynamic::library &found) {
    found.resolve("nvrtcCreateProgram", create);
    found.resolve("nvrtcCompileProgram", compile);
    found.resolve("nvrtcGetProgramLogSize", get_log_size);
    found.resolve("nvrtcGetProgramLog", get_log);
    found.resolve("nvrtcGetCUBINSize", get_code_size);
    found.resolve("nvrtcGetCUBIN", get_code);
    found.resolve("nvrtcDestroyProgram", destroy);
    found.resolve("nvrtcGetErrorString", describe);
  }

  void check(int code, const char *what) const { dynamic::check(code, what, describe); }

  // The messages of a compilation, in one line.
  std::string log(void *program) const {
    size_t size = 0;
    check(get_log_size(program, &size), "nvrtcGetProgramLogSize");
    std::string text(size, ' ');
    check(get_log(program, &text[0]), "nvrtcGetProgramLog");
    text.erase(text.find_last_not_of(std::string("\n \0", 3)) + 1);
    for (char &c : text) {
      c = c == '\n' ? ' ' : c;
    }
    return text;
  }
};

std::string compile_with(const compiler &api, const char *source, const std::string &architecture) {
  void *program = nullptr;
  api.check(api.create(&program, source, "kernels.cu", 0, nullptr, nullptr), "nvrtcCreateProgram");
  std::string target = "--gpu-architecture=" + architecture;
  // Products and sums are rounded separately, as the tests on a processor compute them.
  const char *options[] = {"--std=c++17", "--fmad=false", target.c_str()};
  try {
    if (int code = api.compile(program, 3, options); code != 0) {
      throw std::runtime_error(std::string("nvrtcCompileProgram: ") + api.describe(code) + ": " + api.log(program));
    }
    size_t size = 0;
    api.check(api.get_code_size(program, &size), "nvrtcGetCUBINSize");
    std::string code(size, 0);
    api.check(api.get_code(program, &code[0]), "nvrtcGetCUBIN");
    api.destroy(&program);
    return code;
  } catch (...) {
    api.destroy(&program);
    throw;
  }
}

// Makes a context current on this thread for a while.
class current_context {
public:
  current_context(const driver *api, void *context) : api(api) { api->check(api->push_context(context), "cuCtxPushCurrent"); }
  ~current_context() {
    void *context;
    api->pop_context(&context);
  }

private:
  const driver *api;
};

} // namespace

std::string compile(const char *library, const char *source, const std::string &architecture) {
  return compile_with(compiler(dynamic::library(library)), source, architecture);
}

program::program(const char *library, const char *source, at::Device device) : device(device) {
  dynamic::library found(library);
  api = std::make_shared<const driver>(found);
  int number = 0;
  api->check(api->init(0), "cuInit");
  api->check(api->get_device(&number, device.is_cpu() ? 0 : device.index()), "cuDeviceGet");
  std::string code = compile_with(compiler(found), source, api->architecture(number));
  api->check(api->retain_context(&context, number), "cuDevicePrimaryCtxRetain");
  current_context current(api.get(), context);
  api->check(api->load_module(&module, code.data()), "cuModuleLoadData");
}

void program::launch(const std::string &kernel, grid g, void *arguments) const {
  current_context current(api.get(), context);
  void *function = nullptr, *stream = nullptr;
  api->check(api->get_function(&function, module, kernel.c_str()), ("cuModuleGetFunction of " + kernel).c_str());
  if (!device.is_cpu()) {
    stream = c10::impl::VirtualGuardImpl(device.type()).getStream(device).native_handle();
  }
  api->check(api->launch(function, g.x, g.y, 1, g.threads, 1, 1, 0, stream, &arguments, nullptr), ("cuLaunchKernel of " + kernel).c_str());
}

} // namespace cuda
