// Package workspace combines the directory of an experiment with its state, store, plugins and lock file. It puts the
// other packages together for callers that plan or run experiments.
//
// It may import every package of the runner except cli.
package workspace
