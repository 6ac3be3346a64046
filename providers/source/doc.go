// Package source is what the providers of files have in common: it finds the files that a configured path names, says
// what they contain, opens them, and numbers the rows that a Format reads from them.
//
// # Paths
//
// A path is a file, a glob, or a URL with the scheme file, s3 or gs, whose key may be a glob. A path that exists as it
// stands is that file, whatever characters its name has. In a glob * and ? match within a name, ** matches any number of
// folders, [a-z] is a class, {a,b} are alternatives, and \ takes the next character as it is. Names that begin with a dot
// are matched like others. Symbolic links to files are followed; ** and * do not enter links to folders, so that a cycle
// ends. Folders that a glob matches are left out. In a URL the query holds the options of the service
// (s3://bucket/key?region=eu-west-1), so ? is no wildcard there.
//
// Files are read in the byte order of their names. A file's name, which is its shard's name, is its path relative to the
// last folder before the glob's first wildcard, or its base name where the path is no glob: it stays when the folder
// moves.
//
// # Content
//
// Resolve hashes every file whole. Read hashes each file again before its first row leaves, through the same open file,
// and compares its size and time of change once more after its last row, so a row never comes from content other than
// what was pinned, however early the reading stops. A remote file is copied to a temporary file while it is hashed; that
// file has no name by then and is gone when the process ends. Files after the row To are not opened.
//
// The package imports plugins/sdk and plugins/protocol.
package source
