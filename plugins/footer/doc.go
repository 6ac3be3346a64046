// Package footer opens untrusted Parquet files and reads their pages. The library allocates the size that a footer or a
// page claims before it reads the data. Four damaged bytes, or a page that repeats one value two billion times, can
// therefore cost gigabytes or crash the process. This package checks the claims first, and decompresses pages itself,
// within a bound.
//
// The runner's tables and the parquet provider share it. It imports parquet-go, its codecs and plugins/protocol.
package footer
