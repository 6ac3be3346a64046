// Package checkpoint reads models from disk: GGUF files, safetensors files, and directories written by transformers.
//
// Open checks everything that can be checked without reading the weights: the graph that the configuration describes,
// that each tensor of that graph exists with the required shape, and that there are no other tensors. Tensors have one
// set of names and one layout, those of plugins/torch/graph, however the family stores them.
//
// Files are mapped into memory, not read. The mapping must not outlive the Checkpoint, and a file must not be truncated
// while it is open. The package is pure Go and imports only plugins/protocol, plugins/torch/graph and
// plugins/torch/family.
package checkpoint
