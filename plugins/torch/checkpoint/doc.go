// Package checkpoint reads models from disk: GGUF files, safetensors files, and directories as transformers writes them.
//
// Open checks everything that can be checked without reading the weights: the graph that the configuration describes, and
// that each tensor of that graph is there with the shape it must have and no other tensor is. A configuration that says
// anything this package does not know is refused by the field's name, since a graph that is nearly right gives numbers that
// look right. Tensors have one set of names and one layout, those of Architecture, however the family stores them.
//
// Files are mapped into memory, not read; the mapping must not outlive the Checkpoint, and a file must not be cut short
// while it is open. The package is pure Go and imports plugins/protocol only.
package checkpoint
