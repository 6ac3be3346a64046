// Package tensor holds libtorch's tensors in scopes: what an operation makes belongs to a scope and is freed with it, so
// that no finalizer and no lock is part of a forward pass.
//
// It wraps github.com/sugarme/gotch/libtch, and a few C++ files add what that lacks: operations that are fused, loops and
// attention in the widest vectors of the processor, and sums over GPUs by NCCL. It imports nothing of ours. All of it needs the build tag torch.
package tensor
