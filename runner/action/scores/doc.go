// Package scores takes over scores that were made elsewhere: it checks a foreign scored_documents.parquet row by row and
// splits it into the tables that our own score action would have made, a folder a dataset.
//
// It imports runner/artifact and plugins/protocol.
package scores
