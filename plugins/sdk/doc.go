// Package sdk is all that a plugin author imports: implement Provider or Backend and serve it from main.
//
// It imports plugins/protocol and the plugin transport, and nothing of the runner.
package sdk
