//go:build torch

#include "cuda_kernels.h"
#include "elements.h"
#include "extra.h"
#include "handle.h"
#include "parallel.h"

#include <ATen/TensorOperators.h>

using handle::guarded;
using handle::tensor;

namespace {

template <class T> void rotate_vectors(const at::Tensor &x, const at::Tensor &cosines, const at::Tensor &sines) {
  int64_t heads = x.size(1), size = x.size(2), half = cosines.size(1), stride = x.stride(0);
  T *data = static_cast<T *>(x.data_ptr());
  const float *c = cosines.const_data_ptr<float>(), *s = sines.const_data_ptr<float>();
  parallel::each(x.size(0), 32, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      elements::rotate_heads(data + t * stride, c + t * half, s + t * half, heads, size, half);
    }
  });
}

void rotate(const at::Tensor &x, const at::Tensor &cosines, const at::Tensor &sines, bool reference) {
  const cuda::kernels *kernels = reference ? nullptr : cuda::usable(x, cuda::kernel::rotate);
  if (kernels != nullptr && kernels->rotate(x, cosines, sines)) {
    return;
  }
  int64_t half = cosines.size(1);
  // The heads of a token follow each other; x may be some columns of a wider matrix.
  bool consecutive = x.stride(2) == 1 && x.stride(1) == x.size(2);
  if (!reference && x.is_cpu() && consecutive && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16)) {
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

} // namespace

char *extra_rotate(extra_tensor x, extra_tensor cosines, extra_tensor sines, int reference) {
  return guarded([&] { rotate(tensor(x), tensor(cosines), tensor(sines), reference != 0); });
}

