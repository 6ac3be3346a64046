// Package conformance runs a plugin's binary through what the runner expects of every provider and backend. README.md
// says how to use it on a plugin of one's own.
//
// The package imports plugins/host, plugins/protocol and CUE.
package conformance
