// Package artifact holds the files that actions exchange: their names, the types of their rows and summaries, and readers
// and writers of the parquet tables among them. Writers are deterministic and bound their row groups; readers decode one
// page of each wanted column at a time, so that a file that comes as one huge row group needs no more memory than one of
// many.
//
// The package knows the columns and what a valid row is, and nothing of plans, actions or stores. It imports
// plugins/protocol, plugins/footer and libraries.
package artifact
