// Package sdk is the only package that a plugin author imports: implement Provider or Backend and serve it from main.
// The README of plugins/conformance shows how to do this and how to check the result.
//
// Log with hclog.FromContext(ctx): its lines identify the work. Other output of a plugin also reaches the runner's log,
// at level debug.
//
// It imports plugins/protocol and the plugin transport, and nothing from runner/.
package sdk
