// Package tensor holds libtorch's tensors in scopes: the result of an operation belongs to a scope and is freed with
// it, so that no finalizer and no lock is part of a forward pass.
//
// It wraps github.com/sugarme/gotch/libtch. A few C++ files add missing parts: fused operations, loops and attention
// with the processor's widest vectors, and sums over GPUs by NCCL. It imports no other package of this module.
// Everything in it needs the build tag torch.
package tensor
