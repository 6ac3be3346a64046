// Package decoder computes the losses of tokens with a decoder that is assembled from the parts an
// [surprisal.dev/plugins/torch/checkpoint.Architecture] names, on one device or sharded over several ranks.
//
// It imports plugins/torch/checkpoint and plugins/torch/tensor. All of it needs the build tag torch.
package decoder
