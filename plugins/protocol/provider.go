package protocol

import "encoding/json"

// Version is the plugin protocol's version. A plugin built for another version is refused at the handshake.
const Version = 1

// Bounds of what crosses the wire, which both sides keep.
const (
	// MaxTextBytes is the most bytes that a value of a row, or the text of a document, may have.
	MaxTextBytes = 64 << 20
	// MaxProblemBytes is the most bytes that Row.Problem may have.
	MaxProblemBytes = 64 << 10
)

// ProviderDescription says what a provider is and what it accepts.
type ProviderDescription struct {
	// Name is the name that a spec uses: source: NAME: {...}.
	Name    string
	Version string
	// Schema is CUE source that defines #Config, the provider's configuration.
	Schema string
	// Environment names the environment variables that the provider needs, credentials among them. The runner passes no
	// others but a small fixed set.
	Environment []string
	// Capabilities names what the provider can do beyond what every provider can. Names that are not known mean nothing.
	Capabilities []string
}

// Source is a configured source: what a spec's `source: NAME: {...}` became.
type Source struct {
	// Config is the configuration as JSON, defaults filled, valid under the provider's schema.
	Config json.RawMessage
	// Dir is the directory that relative paths start from.
	Dir string
}

// ResolveRequest asks for a source's pinned identity.
type ResolveRequest struct {
	Source Source
	// Network allows the provider to ask remote services. Without it a remote source answers an error of kind
	// NeedsNetwork.
	Network bool
	// Cache is a directory in which providers may remember the digests of files from one process to the next (package
	// plugins/digests), or "". With CacheReadOnly nothing is written to it.
	Cache         string
	CacheReadOnly bool
}

// Resolution is the pinned identity of a source: two sources with equal Parameters and Files give equal rows.
type Resolution struct {
	// Parameters is canonical JSON of the configuration that changes what is read, without locations.
	Parameters json.RawMessage `json:"parameters"`
	// Files lists what will be read, in reading order.
	Files []File `json:"files"`
	// Revision is the upstream's own name of the version, where it has one.
	Revision string `json:"revision,omitempty"`
	// Local is true if every file lies on this machine, so that its content can be hashed at every plan. A source that is
	// not local has to be pinned in the lock file.
	Local bool `json:"local"`
}

// File is one file of a source.
type File struct {
	// Name is the shard's name: stable when the whole source moves to another directory.
	Name string `json:"name"`
	// Digest is "sha256:" and 64 hex digits, of the stored bytes (compressed files as they are stored).
	Digest string `json:"digest"`
	// Bytes is the size of the stored bytes: the most that the file's text can have, unless Compressed.
	Bytes int64 `json:"bytes"`
	// Compressed is true if the file is stored compressed: its text may be larger than Bytes, by an unknown factor.
	Compressed bool `json:"compressed,omitempty"`
}

// ReadRequest asks for the rows of a source.
type ReadRequest struct {
	Source Source
	// Pinned is the resolution that the plan was made with. A provider hashes what it reads and fails with an error of
	// kind Changed where the content differs.
	Pinned Resolution
	// Fields are dotted paths to read from each row: one for raw text, two (input, target) for supervised text.
	Fields []string
	// From and To bound the rows by their ordinal, [From, To); To 0 means the end.
	From, To int64
}

// Row is one record of a source, before the runner applies limits and policies.
type Row struct {
	// Ordinal counts rows over the whole source from 0, in reading order, unreadable rows included.
	Ordinal int64
	// Shard is the name of the file the row came from.
	Shard string
	// Number counts rows within the shard from 0, unreadable rows included.
	Number int64
	// Values are the requested fields' bytes as the source holds them, perhaps not valid UTF-8. Empty if Problem is set.
	Values [][]byte
	// Problem says why the row cannot be used ("line 7: no field \"text\"; fields are body, id"), for people.
	Problem string
}
