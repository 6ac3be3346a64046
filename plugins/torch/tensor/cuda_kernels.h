// Operations by the kernels of cuda_code.h.
#ifndef SURPRISAL_TENSOR_CUDA_KERNELS_H
#define SURPRISAL_TENSOR_CUDA_KERNELS_H
#include <memory>
#include <optional>
#include <set>
#include <string>

#include <ATen/core/Tensor.h>

#include "cuda_program.h"

namespace cuda {

enum class kernel { rotate, gate, norm, reduce };

struct norm_options {
  double epsilon;
  // Weights are stored less 1.
  bool add_one;
  // A layer norm, not an RMS norm.
  bool center;
};

// Of rows of logits so far, all float64 [rows]: the maxima, the sums of e^(logit - maximum) and the targets' logits.
struct sums {
  at::Tensor maxima, sums, target_logits;
};

// Kernels on one device. Functions return false or an undefined tensor, and change nothing, for layouts that the kernels
// do not read.
class kernels {
public:
  kernels(const char *library, const char *source, at::Device device) : code(library, source, device) {}

  // Rotates x as extra_rotate does.
  bool rotate(const at::Tensor &x, const at::Tensor &cosines, const at::Tensor &sines) const;
  // The result of extra_gate.
  at::Tensor gate(const at::Tensor &x, int activation) const;
  // The result of extra_rms_norm or extra_layer_norm.
  at::Tensor norm(const at::Tensor &x, const at::Tensor &w, const std::optional<at::Tensor> &b, norm_options o) const;
  // Adds logits [rows, columns], whose first column is that of the token first, to rows; targets are int64 [rows].
  bool reduce(const at::Tensor &logits, int64_t first, const at::Tensor &targets, const sums &to) const;

private:
  program code;
};

// What is wrong with the results of a kernel for small inputs, or "".
std::string check(const kernels &k, kernel kind, at::Device device);

// Kernels that are checked, and used only if they are right.
class checked_kernels {
public:
  checked_kernels(const char *library, const char *source, at::Device device);

  // The kernels if that kind of them is right, or a null pointer.
  const kernels *get(kernel kind) const { return right.count(kind) == 0 ? nullptr : found.get(); }

  // Why kernels are not used; empty if all are.
  std::string failure;

private:
  std::unique_ptr<kernels> found;
  std::set<kernel> right;
};

// The kernels for tensors on x's device if they can be used there, or a null pointer. The first call for a device
// compiles and checks them.
const kernels *usable(const at::Tensor &x, kernel kind);

} // namespace cuda

#endif
