// Package parquet is the provider of Parquet files: source: parquet: {path: ...}. Package source says what a path may be.
//
// # Fields
//
// A field is the name of a column, dots included, or a dotted path through groups; a backslash takes a dot as part of a
// name. A field that is both is an error, and so is a name that several columns have. A field with a backslash is a path. A list takes an element's number
// from 0, as in messages.0.content; the groups that the format puts between a list and its elements (list.element) may be
// left out. The column has to hold byte arrays that are strings, JSON, enums or have no further meaning; their bytes
// are passed on unchanged. A file without the column is an error that lists the columns.
//
// # Rows
//
// A row is a row of the file. A null, a missing list element and more than 64 MiB in the wanted fields are problems. Only the
// wanted columns are read, page by page; to resume, row groups are passed over by their row counts and pages by the
// offset index, where the file has one.
//
// Package footer says how large a page may be. Encrypted files are not read.
//
// The package imports plugins/footer, providers/source, plugins/sdk and plugins/protocol.
package parquet
