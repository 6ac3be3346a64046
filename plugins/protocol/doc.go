// Package protocol holds the values that a plugin and the runner exchange, and the rules that both sides obey.
//
// The Go values in this package are what providers, backends and the runner work with; protocol buffers appear only at
// the edge, in package pluginpb. The package imports nothing of the runner and nothing of a plugin.
package protocol
