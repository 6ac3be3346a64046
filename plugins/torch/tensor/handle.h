// Common parts of this package's C functions: tensors behind pointers, and exceptions that become messages.
#ifndef SURPRISAL_TENSOR_HANDLE_H
#define SURPRISAL_TENSOR_HANDLE_H
#include <cstring>
#include <exception>
#include <string>
#include <utility>

#include <torch/torch.h>

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

inline void give(void **out, at::Tensor t) { *out = new at::Tensor(std::move(t)); }

} // namespace handle

#endif
