// Package graph describes the computation of a decoder: its layers, the weights that each part of a layer has, how
// ranks divide them, and what they cost.
//
// A weight is declared once, by the part that has it: Attention and Dense are such parts, each in a file. Reading a
// checkpoint, checking its shapes, sharding, and estimates of memory and time follow from these declarations. Another
// part needs a file here and one with its forward pass in plugins/torch/decoder.
//
// The package is pure Go and imports only plugins/protocol.
package graph
