// Package footer opens Parquet files that nobody vouches for. The library allocates what a footer claims to hold before
// it reads it, so that four damaged bytes can cost gigabytes or the process; this package checks the claims first.
//
// The tables of the runner and the parquet provider share it. It imports parquet-go and plugins/protocol.
package footer
