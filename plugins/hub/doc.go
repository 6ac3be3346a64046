// Package hub reads repositories of models and datasets from a hub that speaks Hugging Face's protocol.
//
// # Settings
//
// The environment variables are those of Hugging Face's own tools: HF_ENDPOINT is the address of the hub, HF_TOKEN or
// the file HF_TOKEN_PATH holds the token, HF_HUB_CACHE or HF_HOME locates the cache, and HF_HUB_OFFLINE=1 allows no
// request. A spec cannot set any of them. The token goes to the endpoint alone: it is dropped when the hub redirects to
// a storage service on another host.
//
// # Content
//
// A revision is resolved to a commit first, and everything after that names the commit. The hub lists the digest of
// each file: the SHA-256 of a file in large file storage, or the SHA-1 of git's blob. A download is compared with it
// before it gets its name in the cache, and is discarded if it differs. A part of a download stays, as BLOB.incomplete,
// and the next attempt continues it.
//
// The cache has the layout of Hugging Face's own: blobs, snapshots, refs and locks. Either tool finds what the other
// has downloaded. Two processes that want the same file download it once.
//
// Ranges reads parts of a file without a download. What it reads cannot be compared with the digest of the file;
// instead, the hub must name that digest in its answer to each request.
//
// # Errors
//
// Errors that a user can correct have the kind InvalidInput and say what to do. Answers 429 and 5xx, and connections
// that break, are repeated at growing intervals, or after the time that the hub names in Retry-After.
//
// It imports plugins/protocol and internal/.
package hub
