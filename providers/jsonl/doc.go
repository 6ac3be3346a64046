// Package jsonl is the provider of JSON Lines files, plain, gzip or zstd: source: jsonl: {path: ...}. Package source says
// what a path may be.
//
// # Rows
//
// A row is a line that holds one JSON object. Lines of nothing but white space are not rows. A byte order mark at the
// start of a file is passed over. A file that begins with "[" is an error, for it is one JSON array.
//
// # Fields
//
// A field is a name, dots included, or a dotted path: names of objects, and numbers of array elements from 0, as in
// messages.0.content. A backslash takes a dot as part of a name. A row that has both the name and the path is a problem; a
// field with a backslash is a path. The value has to be a string. Its bytes are the string's own: escapes are decoded, and
// bytes that are not valid UTF-8 are passed on for the dataset's policy to judge.
//
// # Problems
//
// These make a row a problem that names the line: JSON that is not valid (RFC 8259, at most 10,000 levels deep, with the
// column in bytes from 1), a value that is no object, a field that is missing, that is no string, or whose name stands
// twice in one object, an escaped half of a surrogate pair, and a line of more than 64 MiB. Names that stand twice
// elsewhere do no harm.
//
// The package imports providers/source, plugins/sdk and plugins/protocol.
package jsonl
