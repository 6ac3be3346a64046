// Package jsonl is the provider of JSON Lines files, plain, gzip or zstd: source: jsonl: {path: ...}. Package source
// describes paths.
//
// # Rows
//
// A row is a line that contains one JSON object. Blank lines are skipped. A byte order mark at the start of a file is
// ignored. A file that begins with "[" is an error, because it is a single JSON array.
//
// # Fields
//
// A field is a name, which may contain dots, or a dotted path: names of objects, and numbers of array elements from 0,
// as in messages.0.content. A backslash makes the next dot part of a name. If a row has both the name and the path,
// that is a problem; a field with a backslash is always a path. The value must be a string. Its bytes are the string's
// own: escapes are decoded, and bytes that are not valid UTF-8 are passed on, so that the dataset's policy applies.
//
// # Problems
//
// These rows are problems, whose message names the line:
//
//   - JSON that is invalid by RFC 8259 or nested more than 10,000 levels deep; the message has the column in bytes from 1;
//   - a value that is not an object;
//   - a missing field, a field that is not a string, or a duplicate field name in an object;
//   - an escaped half of a surrogate pair;
//   - a line of more than 64 MiB.
//
// Other duplicate names are ignored.
//
// The package imports providers/source, plugins/sdk and plugins/protocol.
package jsonl
