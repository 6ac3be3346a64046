// Package decoder computes the losses of tokens with a decoder that it assembles from the parts of an
// [surprisal.dev/plugins/torch/checkpoint.Architecture], on one device or sharded over several ranks.
//
// It imports plugins/torch/checkpoint and plugins/torch/tensor. Everything in it needs the build tag torch.
package decoder
