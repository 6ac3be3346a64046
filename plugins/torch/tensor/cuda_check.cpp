//go:build torch

#include "cuda_kernels.h"

#include <functional>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/stack.h>

// Each kernel is compared with libtorch's operations in float64 on this processor.
namespace cuda {
namespace {

const at::ScalarType types[] = {at::kFloat, at::kBFloat16, at::kHalf};

// Numbers from -3 to 3 in no simple order, rounded to a type.
at::Tensor sample(at::IntArrayRef shape, at::ScalarType type, double phase) {
  int64_t n = 1;
  for (int64_t size : shape) {
    n *= size;
  }
  return at::arange(n, at::TensorOptions().dtype(at::kDouble)).mul_(78.233).add_(phase).sin_().mul_(3).view(shape).to(type);
}

// The relative difference of two neighboring numbers of a type, but of 32 in float32, whose kernels round several times.
double unit_of(at::ScalarType type) {
  switch (type) {
  case at::kBFloat16:
    return 0x1p-7;
  case at::kHalf:
    return 0x1p-10;
  default:
    return 0x1p-18;
  }
}

// What is wrong with got if want is right, or "". Half of a type's precision is lost by the last rounding; in a few
// cases of a hundred thousand, float32 and float64 round to different neighbors.
std::string compare(const at::Tensor &got, const at::Tensor &want, at::ScalarType type) {
  at::Tensor found = got.cpu().to(at::kDouble), difference = (found - want).abs(), rounded = want.to(type).to(at::kDouble);
  if (!(difference <= want.abs() * unit_of(type) + 1e-6).all().item<bool>()) {
    return std::string("differs from libtorch by up to ") + std::to_string(difference.max().item<double>()) + " in " + at::toString(type);
  }
  if (type != at::kFloat && (found != rounded).sum().item<int64_t>() * 100 > found.numel()) {
    return std::string("does not round to the nearest ") + at::toString(type);
  }
  return "";
}

// The first message of f for any type.
std::string for_types(const std::function<std::string(at::ScalarType)> &f) {
  for (at::ScalarType type : types) {
    if (std::string wrong = f(type); !wrong.empty()) {
      return wrong;
    }
  }
  return "";
}

// Rotates heads that are some columns of wider rows.
std::string check_rotate(const kernels &k, at::Device device, at::ScalarType type, int64_t before, int64_t size, int64_t half) {
  const int64_t tokens = 7, heads = 3;
  at::Tensor wide = sample({tokens, before + heads * size + 5}, type, 1), angles = sample({tokens, half}, at::kDouble, 2);
  at::Tensor c = angles.cos().to(at::kFloat), s = angles.sin().to(at::kFloat);
  auto of = [&](const at::Tensor &t) { return t.narrow(1, before, heads * size).view({tokens, heads, size}); };
  at::Tensor changed = wide.to(device).clone(), want = wide.to(at::kDouble);
  if (!k.rotate(of(changed), c.to(device), s.to(device))) {
    return "does not read heads in wider rows";
  }
  at::Tensor a = of(want).narrow(2, 0, half), b = of(want).narrow(2, half, half), x = a.clone();
  at::Tensor cosines = c.to(at::kDouble).unsqueeze(1), sines = s.to(at::kDouble).unsqueeze(1);
  a.mul_(cosines).sub_(b * sines);
  b.mul_(cosines).add_(x.mul_(sines));
  return compare(changed, want, type);
}

std::string check_gate(const kernels &k, at::Device device, at::ScalarType type, int64_t width) {
  at::Tensor x = sample({5, 2 * width}, type, 3), in = x.narrow(1, 0, width).to(at::kDouble), up = x.narrow(1, width, width).to(at::kDouble);
  at::Tensor activated[] = {at::silu(in), at::gelu(in, "tanh"), at::gelu(in)};
  for (int activation = 0; activation < 3; activation++) {
    at::Tensor out = k.gate(x.to(device), activation);
    if (!out.defined()) {
      return "does not read rows in order";
    }
    if (std::string wrong = compare(out, activated[activation].to(type).to(at::kDouble).mul_(up), type); !wrong.empty()) {
      return wrong;
    }
  }
  return "";
}

// Normalizes the parts of some columns of wider rows.
std::string check_norm(const kernels &k, at::Device device, at::ScalarType type, int64_t parts, int64_t width) {
  const int64_t tokens = 4;
  at::Tensor wide = sample({tokens, parts * width + 8}, type, 4), w = sample({width}, at::kFloat, 5), b = sample({width}, at::kFloat, 6);
  auto of = [&](const at::Tensor &t) { return t.narrow(1, 4, parts * width).view({tokens, parts, width}); };
  at::Tensor on = of(wide.to(device)), in = of(wide).to(at::kDouble), weight = w.to(at::kDouble);
  const double epsilon = 1e-2;
  for (bool center : {false, true}) {
    at::Tensor centered = center ? in - in.mean(2, true) : in;
    at::Tensor normal = centered / (centered.square().mean(2, true) + epsilon).sqrt();
    std::optional<at::Tensor> bias = center ? std::optional<at::Tensor>(b.to(device)) : std::nullopt;
    at::Tensor out = k.norm(on, w.to(device), bias, {epsilon, !center, center});
    if (!out.defined()) {
      return "does not read parts of wider rows";
    }
    at::Tensor want = center ? normal * weight + b.to(at::kDouble) : normal * (weight + 1);
    if (std::string wrong = compare(out, want, type); !wrong.empty()) {
      return wrong;
    }
  }
  return "";
}

// Reduces logits in two pieces, the second of which has the targets of two rows.
std::string check_reduce(const kernels &k, at::Device device) {
  const int64_t rows = 3, columns = 5003, first = 3001;
  const double infinity = std::numeric_limits<double>::infinity();
  at::Tensor z = sample({rows, columns}, at::kFloat, 7).mul_(7), on = z.to(device);
  at::Tensor targets = at::arange(rows, at::TensorOptions().dtype(at::kLong)).mul_(2001).add_(17);
  auto options = at::TensorOptions().dtype(at::kDouble).device(device);
  sums to = {at::full({rows}, -infinity, options), at::full({rows}, 0, options), at::full({rows}, -infinity, options)};
  at::Tensor on_targets = targets.to(device), left = on.narrow(1, 0, first), right = on.narrow(1, first, columns - first);
  if (!k.reduce(left, 0, on_targets, to) || !k.reduce(right, first, on_targets, to)) {
    return "does not read columns of wider rows";
  }
  at::Tensor wide = z.to(at::kDouble), found = wide.gather(1, targets.unsqueeze(1)).squeeze(1);
  at::Tensor want = at::stack({wide.amax(1), at::logsumexp(wide, {1}), found});
  return compare(at::stack({to.maxima, to.maxima + to.sums.log(), to.target_logits}), want, at::kFloat);
}

} // namespace

std::string check(const kernels &k, kernel kind, at::Device device) {
  switch (kind) {
  case kernel::rotate:
    return for_types([&](at::ScalarType type) {
      std::string wrong = check_rotate(k, device, type, 64, 128, 64);
      return wrong.empty() ? check_rotate(k, device, type, 3, 23, 9) : wrong;
    });
  case kernel::gate:
    return for_types([&](at::ScalarType type) {
      std::string wrong = check_gate(k, device, type, 1032);
      return wrong.empty() ? check_gate(k, device, type, 77) : wrong;
    });
  case kernel::norm:
    return for_types([&](at::ScalarType type) {
      std::string wrong = check_norm(k, device, type, 1, 4096);
      return wrong.empty() ? check_norm(k, device, type, 3, 77) : wrong;
    });
  case kernel::reduce:
    return check_reduce(k, device);
  }
  return "";
}

} // namespace cuda
