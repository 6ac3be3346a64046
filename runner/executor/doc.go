// Package executor decides where and when an action runs.
//
// It imports nothing of the runner.
package executor
