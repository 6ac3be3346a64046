// Package conformance checks a plugin's binary against the requirements for every provider and backend. README.md
// describes how to use it on your own plugin.
//
// The package imports plugins/host, plugins/protocol and CUE.
package conformance
