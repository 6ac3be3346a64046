// Package gap compares two models byte by byte over the same scored documents. It reports where one model is worse than
// the other, in bits per byte. A gap is a minus b; positive means that model a is worse.
//
// It reads scored_documents.parquet of both sides as two sorted streams and joins them in one pass. Its memory is
// bounded by a batch of documents and a table of literals that spills to disk. Numbers are computed in the order and
// with the rounding of Marin's report, so that the two can be compared digit for digit.
//
// The package imports runner/artifact and plugins/protocol; its worker imports runner/action and runner/plan.
package gap
