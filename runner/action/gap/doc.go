// Package gap compares two models byte by byte over the same scored documents: where, in bits per byte, is one worse
// than the other. A gap is a minus b; positive means that model a is worse.
//
// It reads scored_documents.parquet and ledger.parquet of both sides as two sorted streams and joins them in one pass;
// its memory is bounded by a batch of documents and a table of literals that spills to disk. Numbers are computed in the
// order and with the roundings of Marin's report, so that the two can be compared digit for digit.
//
// The package imports runner/artifact and plugins/protocol; its worker imports runner/action and runner/plan.
package gap
