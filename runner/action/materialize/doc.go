// Package materialize turns the rows of a source into documents: it assembles supervised rows, applies row ranges,
// sampling, limits and the policies for bad rows and invalid UTF-8, and counts whatever it leaves out.
//
// It imports runner/action, runner/plan, runner/artifact and plugins/protocol.
package materialize
