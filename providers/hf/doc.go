// Package hf is the provider of datasets on a hub: source: hf: {id: ...}. Package hub describes the hub, its cache and
// its settings.
//
// # Revisions
//
// A revision is a commit, or a branch or tag, which is resolved to a commit when the source is pinned. Reading uses the
// pinned commit alone.
//
// # Files
//
// The files are those that files matches, a glob over the paths of the repository. Without files, config and split
// select them. The first of these rules that finds files applies:
//
//  1. the configurations in the metadata of README.md;
//  2. the layout of the hub's own conversion to Parquet, which is on the branch refs/convert/parquet: CONFIG/SPLIT/NNNN.parquet;
//  3. files or directories that are named after the split, in the directory of the configuration, if one is set;
//  4. all files, for the split "train", if no file is named after a split.
//
// Files are Parquet, or JSON Lines with the extension .jsonl, .ndjson or .json, plain or compressed with gzip or zstd. If
// a rule finds both, those in Parquet are read. They are read in the byte order of their paths. A file's path in the
// repository is its shard's name.
//
// # Reading
//
// A file in large file storage is read in parts, as far as the requested rows are: its hub names its digest in the
// answer to each request, which is compared with the pinned one. A file that is in the cache is read there, after its
// content is hashed. Other files are small; they are downloaded and hashed.
//
// Packages parquet and jsonl describe rows and fields.
//
// The package imports plugins/hub, plugins/sdk, plugins/protocol, and the other packages of providers.
package hf
