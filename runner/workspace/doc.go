// Package workspace is the folder of a spec and what belongs to it: its state, its store, its plugins and its lock file.
// It puts the other packages together for whoever wants an experiment planned or run.
//
// It may import every package of the runner but cli.
package workspace
