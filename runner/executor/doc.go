// Package executor decides where and when an action runs.
//
// It imports plugins/protocol for the kinds of errors, and nothing of the runner.
package executor
