package protocol

import "encoding/json"

// Version is the plugin protocol's version. A plugin built for another version is rejected at the handshake.
const Version = 1

// Bounds on data that crosses the wire. Both sides enforce them.
const (
	// MaxTextBytes is the maximum size of a row's value, or of a document's text, in bytes.
	MaxTextBytes = 64 << 20
	// MaxProblemBytes is the maximum size of Row.Problem in bytes.
	MaxProblemBytes = 64 << 10
)

// ProviderDescription identifies a provider and describes its configuration.
type ProviderDescription struct {
	// Name is the name that a spec uses: source: NAME: {...}.
	Name    string
	Version string
	// Schema is CUE source that defines #Config, the provider's configuration.
	Schema string
	// Environment names the environment variables that the provider needs, credentials included. The runner passes only
	// these and a small fixed set.
	Environment []string
	// Capabilities names the provider's optional capabilities: those that not every provider has. Unknown names are
	// ignored.
	Capabilities []string
}

// Source is a configured source: the decoded form of a spec's `source: NAME: {...}`.
type Source struct {
	// Config is the configuration as JSON, defaults filled, valid under the provider's schema.
	Config json.RawMessage
	// Dir is the directory to which relative paths refer.
	Dir string
	// Confine, if set, is an absolute path: no local file outside of this directory may be read, after links are
	// followed.
	Confine string
}

// ResolveRequest asks for a source's pinned identity.
type ResolveRequest struct {
	Source Source
	// Network allows the provider to query remote services. Without it a remote source returns an error of kind
	// NeedsNetwork.
	Network bool
	// Cache is a directory in which providers may remember the digests of files between processes (package
	// plugins/digests), or "". With CacheReadOnly nothing is written to it.
	Cache         string
	CacheReadOnly bool
}

// Resolution is the pinned identity of a source: two sources with equal Parameters and Files give equal rows.
type Resolution struct {
	// Parameters is canonical JSON of the configuration that changes the rows, without locations.
	Parameters json.RawMessage `json:"parameters"`
	// Files lists the files to read, in reading order.
	Files []File `json:"files"`
	// Revision is the upstream's own name of the version, if it has one.
	Revision string `json:"revision,omitempty"`
	// Local is true if every file is on this machine, so that its content can be hashed at every plan. A source that is
	// not local has to be pinned in the lock file.
	Local bool `json:"local"`
}

// File is one file of a source.
type File struct {
	// Name is the shard's name: stable when the whole source moves to another directory.
	Name string `json:"name"`
	// Digest is "sha256:" and 64 hex digits, of the stored bytes (compressed files as they are stored).
	Digest string `json:"digest"`
	// Bytes is the size of the stored bytes. Unless Compressed, it is the maximum size of the file's text.
	Bytes int64 `json:"bytes"`
	// Compressed is true if the file is stored compressed: its text may be larger than Bytes, by an unknown factor.
	Compressed bool `json:"compressed,omitempty"`
}

// ReadRequest asks for the rows of a source.
type ReadRequest struct {
	Source Source
	// Pinned is the resolution from the plan. A provider hashes the content it reads and returns an error of kind
	// Changed if the content differs.
	Pinned Resolution
	// Fields are dotted paths to read from each row: one for raw text, two (input, target) for supervised text.
	Fields []string
	// Cluster is the dotted path of the field that names the cluster of a row, or "". Its value is a string or an integer,
	// which is passed on in decimal.
	Cluster string
	// From and To bound the rows by their ordinal, [From, To); To = 0 means the end.
	From, To int64
}

// Values returns the number of values of a row without a problem: one for each of Fields, and that of Cluster.
func (r ReadRequest) Values() int {
	if r.Cluster != "" {
		return len(r.Fields) + 1
	}
	return len(r.Fields)
}

// Row is one record of a source, before the runner applies limits and policies.
type Row struct {
	// Ordinal counts rows over the whole source from 0, in reading order, unreadable rows included.
	Ordinal int64
	// Shard is the name of the row's file.
	Shard string
	// Number counts rows within the shard from 0, unreadable rows included.
	Number int64
	// Values are the requested fields' bytes as stored in the source, which may not be valid UTF-8; the value of Cluster is
	// the last. Empty if Problem is set.
	Values [][]byte
	// Problem explains to people why the row cannot be used ("line 7: no field \"text\"; fields are body, id").
	Problem string
}
