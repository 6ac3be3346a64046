// Package sdk is all that a plugin author imports: implement Provider or Backend and serve it from main. The README of
// plugins/conformance shows how, and how to check the result.
//
// Log with hclog.FromContext(ctx), whose lines say for whom the plugin works. All else that a plugin prints reaches the
// runner's log too, at level debug.
//
// It imports plugins/protocol and the plugin transport, and nothing of the runner.
package sdk
