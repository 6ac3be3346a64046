// Common parts of this package's C functions: tensors behind pointers, and exceptions that become messages.
#ifndef SURPRISAL_TENSOR_HANDLE_H
#define SURPRISAL_TENSOR_HANDLE_H
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

#include <ATen/core/Tensor.h>

namespace handle {

// Calls f and returns NULL, or the message of the exception, to be freed.
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

inline at::Tensor &tensor(void *t) { return *static_cast<at::Tensor *>(t); }

// The type that extra.h represents by a number.
inline at::ScalarType scalar_type(int type) {
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

inline void give(void **out, at::Tensor t) { *out = new at::Tensor(std::move(t)); }

} // namespace handle

#endif
