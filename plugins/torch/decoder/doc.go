// Package decoder computes the losses of tokens with a decoder that it assembles from the parts of an
// [surprisal.dev/plugins/torch/graph.Architecture], on one device or sharded over several ranks. Each part has a file
// with its forward pass.
//
// It imports plugins/torch/checkpoint, plugins/torch/graph and plugins/torch/tensor. Everything in it needs the build
// tag torch.
package decoder
