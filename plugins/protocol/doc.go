// Package protocol holds the values that plugins and the runner exchange, and the rules for both sides.
//
// Providers, backends and the runner work with the Go values in this package. Protocol buffers appear only at the
// boundary, in package pluginpb. The package imports nothing from runner/ and no plugin.
package protocol
