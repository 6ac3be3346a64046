// Package source is what the providers of files have in common: it finds the files that a configured path names, says
// what they contain, opens them, and numbers the rows that a Format reads from them.
//
// # Paths
//
// A path is a file, a glob, or a URL with the scheme file, s3 or gs, whose key may be a glob. A path that exists as it
// stands is that file, whatever characters its name has. In a glob * and ? match within a name, ** matches any number of
// directories, [a-z] is a class, {a,b} are alternatives, and \ takes the next character as it is. Names that begin with a dot
// are matched like others, but for directories called .surprisal, in which the runner keeps its state: a glob finds nothing
// in them. Symbolic links to files are followed, wherever they lead; ** and * do not enter links to directories, so that a
// cycle ends. Directories that a glob matches are left out. In a URL the query holds the options of the service
// (s3://bucket/key?region=eu-west-1), so ? is not a wildcard there. Package bucket says which options there are, and to
// which endpoints credentials go.
//
// Files are read in the byte order of their names. A file's name, which is its shard's name, is its path relative to the
// last directory before the glob's first wildcard, or its base name where the path is no glob: it stays when the directory
// moves.
//
// # Content
//
// Resolve hashes every file whole, or takes the digest that package digests remembers of a local one. Read hashes each file again before its first row leaves, through the same open file,
// and compares its size and time of change once more after its last row, so a row never comes from content other than
// what was pinned, however early the reading stops. A remote file is copied to a temporary file while it is hashed; that
// file has no name by then and is gone when the process ends. Files after the row To are not opened.
//
// A file whose first bytes are those of gzip or zstd is decompressed. A byte order mark of UTF-8 at the start of a text,
// which is not part of what its author wrote, is passed over; one of UTF-16 is an error.
//
// The package imports plugins/sdk, plugins/protocol, plugins/bucket and plugins/digests.
package source
