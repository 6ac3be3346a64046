// Package footer opens Parquet files that nobody vouches for, and reads their pages. The library allocates what a footer
// or a page claims to hold before it reads it, so that four damaged bytes, or a page that repeats one value two billion
// times, can cost gigabytes or the process; this package checks the claims first, and decompresses pages itself, within a
// bound.
//
// The tables of the runner and the parquet provider share it. It imports parquet-go, its codecs and plugins/protocol.
package footer
