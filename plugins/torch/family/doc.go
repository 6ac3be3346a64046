// Package family knows how the supported model families are stored: the fields of their configurations, which describe
// their graph, and the names and layout of their tensors.
//
// Each family has one file, and one line in the list of families. A configuration with an unknown field is rejected, by
// the field's name, because a nearly correct graph gives plausible but wrong numbers.
//
// The package is pure Go and imports only plugins/protocol and plugins/torch/graph.
package family
