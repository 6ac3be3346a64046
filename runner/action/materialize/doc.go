// Package materialize turns the rows of a source into documents. It assembles supervised rows, applies row ranges,
// sampling, limits and the policies for bad rows and invalid UTF-8, and counts the rows that it skips.
//
// It imports runner/action, runner/plan, runner/artifact and plugins/protocol.
package materialize
