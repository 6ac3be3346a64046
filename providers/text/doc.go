// Package text is the provider of plain text files: source: text: {path: ..., split: ..., separator: ...}.
//
// A row has the field text. Its bytes are the file's bytes, unchanged: no trimming, no decoding. Files that are gzip or
// zstd are decompressed first, and a byte order mark at the start of a file is ignored. Package source describes paths.
//
// # Rows
//
// split: "file" makes one row of each file, an empty file included.
//
// split: "lines" makes one row of each line, without its end. A line ends with "\n" or "\r\n"; any other "\r" is text. The
// last line needs no end, and nothing follows an end at the end of the file. An empty line is an empty row, so row n is
// line n+1.
//
// split: "paragraphs" makes one row of each longest run of lines that are not blank. A line is blank if it has nothing
// but spaces, tabs, vertical tabs, form feeds and carriage returns. A paragraph is the bytes from the first byte of its
// first line to the last byte of its last line, without that line's end. Line ends inside it and white space at its
// edges stay. Blank lines belong to no paragraph.
//
// # Supervised rows
//
// With a separator a row has the fields input and target instead: the row is split after the first occurrence of the
// separator. The separator stays at the end of input, so that input and target together are the original row. An empty
// row has an empty input and target; any other row without the separator is a problem.
//
// A row of more than 64 MiB is a problem.
//
// The package imports providers/source, plugins/sdk and plugins/protocol.
package text
