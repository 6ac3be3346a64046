// Package scores imports precomputed score tables. It checks an external scored_documents.parquet row by row and splits
// it into the tables that a score action makes, in one directory per dataset.
//
// It imports runner/artifact and plugins/protocol.
package scores
