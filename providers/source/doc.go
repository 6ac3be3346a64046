// Package source is the common part of the file providers. It finds the files that a configured path names, describes
// their content, opens them, and numbers the rows that a Format reads from them.
//
// # Paths
//
// A path is a file, a glob, or a URL with the scheme file, s3 or gs, whose key may be a glob. A path that exists
// literally is that file, whatever characters its name has. In a glob, * and ? match within a name, ** matches any
// number of directories, [a-z] is a class, {a,b} are alternatives, and \ makes the next character literal. Names that
// begin with a dot are matched like others. The exception is directories called .surprisal, in which the runner keeps
// its state: a glob finds nothing in them. Symbolic links to files are followed, wherever they lead. ** and * do not
// enter links to directories, so that a cycle ends. Directories that a glob matches are ignored. In a URL the query
// holds the options of the service (s3://bucket/key?region=eu-west-1), so ? is not a wildcard there. Package bucket
// defines the options, and the endpoints to which credentials may go.
//
// Files are read in the byte order of their names. A file's name, which is its shard's name, is its path relative to
// the last directory before the glob's first wildcard. If the path is not a glob, it is the file's base name. The name
// does not change when the directory moves.
//
// # Content
//
// Resolve hashes every file completely, or uses the digest of a local file that package digests remembers. Read hashes
// each file again before it emits the file's first row, through the same open file. After the last row it compares the
// file's size and modification time once more. A row therefore never comes from content other than the pinned content,
// however early the read stops. A remote file is copied to a temporary file while it is hashed. That file is already
// unlinked by then and disappears when the process ends. Files after the row To are not opened.
//
// A file whose first bytes are those of gzip or zstd is decompressed. A UTF-8 byte order mark at the start of a text is
// not part of the author's text and is skipped; a UTF-16 byte order mark is an error.
//
// The package imports plugins/sdk, plugins/protocol, plugins/bucket and plugins/digests.
package source
