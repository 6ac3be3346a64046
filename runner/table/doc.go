// Package table reads and writes the parquet tables that actions exchange: documents, scored documents, token counts and
// ledgers. Writers are deterministic and hold one row group; readers decode one page of each wanted column at a time, so
// that a file that comes as one huge row group needs no more memory than one of many.
//
// The package knows the columns and what a valid row is, and nothing of plans, actions or plugins. It imports parquet-go
// and plugins/protocol.
package table
