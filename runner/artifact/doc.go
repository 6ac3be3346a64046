// Package artifact defines the files that actions exchange: their names, the types of their rows and summaries, and
// readers and writers of the Parquet tables among them. Writers are deterministic and bound their row groups. Readers
// decode one page of each requested column at a time, so that a file with a single huge row group needs no more memory
// than one with many.
//
// The package defines the columns and checks rows. It is independent of plans, actions and stores. It imports
// plugins/protocol, plugins/footer, runner/statistics and libraries.
package artifact
