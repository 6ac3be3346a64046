// Package parquet is the provider of Parquet files: source: parquet: {path: ...}. Package source describes paths.
//
// # Fields
//
// A field is the name of a column, which may contain dots, or a dotted path through groups. A backslash makes the next
// dot part of a name. A field that is both is an error, and so is a name that several columns have. A field with a
// backslash is always a path. In a list, the path contains an element's number from 0, as in messages.0.content; the
// groups that the format puts between a list and its elements (list.element) may be omitted. The column must contain
// byte arrays that are strings, JSON, enums or unannotated; their bytes are passed on unchanged. A file without the
// column is an error that lists the columns.
//
// # Rows
//
// A row is a row of the file. A null, a missing list element and more than 64 MiB in the requested fields are problems.
// Only the requested columns are read, page by page. To resume, row groups are skipped by their row counts, and pages
// by the offset index if the file has one.
//
// Package footer limits the size of pages. Encrypted files are not supported.
//
// The package imports plugins/footer, providers/source, plugins/sdk and plugins/protocol.
package parquet
