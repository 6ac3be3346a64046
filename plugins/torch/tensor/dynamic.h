// Libraries that are loaded at run time.
#ifndef SURPRISAL_TENSOR_DYNAMIC_H
#define SURPRISAL_TENSOR_DYNAMIC_H
#include <dlfcn.h>

#include <stdexcept>
#include <string>

namespace dynamic {

// A library that is never closed: libtorch may use it too.
class library {
public:
  explicit library(const char *name) : opened(dlopen(name, RTLD_NOW | RTLD_LOCAL)) {
    if (opened == nullptr) {
      throw std::runtime_error(dlerror());
    }
  }

  // Sets function to the function of that name, of the library or of one that it needs.
  template <class F> void resolve(const char *name, F &function) const {
    function = reinterpret_cast<F>(dlsym(opened, name));
    if (function == nullptr) {
      throw std::runtime_error(std::string("it has no ") + name);
    }
  }

private:
  void *opened;
};

// Throws what a library says of an error code, unless it is 0.
inline void check(int code, const char *what, const char *(*describe)(int)) {
  if (code != 0) {
    throw std::runtime_error(std::string(what) + ": " + describe(code));
  }
}

} // namespace dynamic

#endif
