package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/digests"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
)

// MaxRow is the maximum size in bytes of a value, or of the line that contains it. Longer rows are problems.
const MaxRow = 64 << 20

// Format is the part that is specific to one file provider.
type Format struct {
	// Description needs no Environment: New adds what remote files need.
	Description protocol.ProviderDescription
	// Parse decodes and checks a configuration.
	Parse func(config json.RawMessage) (Config, error)
	// Compressed is true if files of this format hold their text compressed, whatever their first bytes are.
	Compressed bool
}

// Config is a provider's decoded configuration.
type Config interface {
	// Where returns the location of the files.
	Where() Location
	// Parameters is the rest of the configuration, with defaults filled: everything else that determines the rows.
	Parameters() any
	// Reader prepares to read fields. Its error is of kind InvalidInput if no file can have them.
	Reader(fields []Field) (Reader, error)
}

// Field is a field to read of each row: a dotted path.
type Field struct {
	Name string
	// Cluster is true for the field that names the cluster of a row. Its value may also be an integer, which is passed on in
	// decimal.
	Cluster bool
}

// Names returns the names of fields.
func Names(fields []Field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

// Requested returns the fields of a request.
func Requested(r protocol.ReadRequest) []Field {
	var fields []Field
	for _, name := range r.Fields {
		fields = append(fields, Field{Name: name})
	}
	if r.Cluster != "" {
		fields = append(fields, Field{r.Cluster, true})
	}
	return fields
}

// Reader passes the rows of a file to rows, in order, from the row that rows.Behind gives. It returns the errors of
// rows unchanged.
type Reader func(f *File, rows *Rows) error

// Location is the part of a configuration that locates the files; a Config embeds it.
type Location struct {
	Path string `json:"path"`
	// SHA256 is the hexadecimal digest that the one file at Path must have, or "".
	SHA256 string `json:"sha256,omitempty"`
}

// Where returns l.
func (l Location) Where() Location { return l }

// LocationSchema is the CUE source of a Location's fields.
const LocationSchema = `
	// A file, a glob such as "data/**/*.txt", or a URL (s3://, gs://, file://). Relative paths start at the spec's directory.
	path!: string & !=""
	// The sha256 of the file in hexadecimal, as sha256sum prints it, if path is one file.
	sha256?: =~"^[0-9a-f]{64}$"
`

var digestPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Decode decodes a configuration into a struct that embeds Location, strictly.
func Decode(config json.RawMessage, into interface{ Where() Location }) error {
	d := json.NewDecoder(bytes.NewReader(config))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return sdk.Invalid("configuration %.200s: %v", config, err)
	}
	l := into.Where()
	if l.Path == "" {
		return sdk.Invalid(`configuration %.200s: path is empty; name a file, a glob or a URL`, config)
	}
	if l.SHA256 != "" && !digestPattern.MatchString(l.SHA256) {
		return sdk.Invalid("sha256 %q: expected the 64 lower-case hexadecimal digits that sha256sum prints", l.SHA256)
	}
	return nil
}

// New returns the provider of a format.
func New(f Format) sdk.Provider {
	f.Description.Environment = slices.Concat(f.Description.Environment, remoteEnvironment)
	return &provider{format: f, known: map[string]*digests.Cache{"": digests.New()}}
}

type provider struct {
	format Format
	mu     sync.Mutex
	// known holds the digests of local files, by the directory in which they are stored.
	known map[string]*digests.Cache
}

func (p *provider) Describe(context.Context) (protocol.ProviderDescription, error) {
	return p.format.Description, nil
}

func (p *provider) Resolve(ctx context.Context, r protocol.ResolveRequest) (_ protocol.Resolution, err error) {
	defer Visible(&err)
	config, err := p.format.Parse(r.Source.Config)
	if err != nil {
		return protocol.Resolution{}, err
	}
	parameters, err := compactJSON(config.Parameters())
	if err != nil {
		return protocol.Resolution{}, err
	}
	known := p.digests(r.Cache)
	var resolution protocol.Resolution
	err = withFiles(ctx, r.Source, config.Where().Path, r.Network, func(s *set) error {
		files, err := s.resolve(ctx, config.Where(), known)
		for i := range files {
			files[i].Compressed = files[i].Compressed || p.format.Compressed
		}
		resolution = protocol.Resolution{Parameters: parameters, Files: files, Local: s.bucket == nil}
		return err
	})
	if err == nil && !r.CacheReadOnly {
		if err := known.Save(ctx); err != nil {
			hclog.FromContext(ctx).Warn("the digests of files could not be saved; the next plan reads the files again", "error", err)
		}
	}
	return resolution, err
}

// digests returns the remembered digests of a directory, or those of this process if dir is empty.
func (p *provider) digests(dir string) *digests.Cache {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[dir] == nil {
		p.known[dir] = digests.Open(dir)
	}
	return p.known[dir]
}

// Visible escapes characters that must not reach a terminal: messages contain names of files and columns, and values,
// from untrusted sources.
func Visible(err *error) {
	e, ok := errors.AsType[*protocol.Error](*err)
	if !ok {
		return
	}
	if shown := protocol.Visible((*err).Error()); shown != (*err).Error() {
		*err = &protocol.Error{Kind: e.Kind, Message: shown}
	}
}

func compactJSON(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

func (p *provider) Read(ctx context.Context, r protocol.ReadRequest, emit func(protocol.Row) error) (err error) {
	defer Visible(&err)
	config, err := p.format.Parse(r.Source.Config)
	if err != nil {
		return err
	}
	if err := CheckRange(r); err != nil {
		return err
	}
	read, err := config.Reader(Requested(r))
	if err != nil {
		return err
	}
	path := config.Where().Path
	return withFiles(ctx, r.Source, path, true, func(s *set) error {
		if err := s.compare(path, r.Pinned.Files); err != nil {
			return err
		}
		shards := make([]Shard, len(s.entries))
		for i, e := range s.entries {
			digest := r.Pinned.Files[i].Digest
			shards[i] = Shard{Name: e.name, Open: func(ctx context.Context) (*File, error) { return e.open(ctx, digest) }, Read: read}
		}
		return ReadShards(ctx, r, shards, emit)
	})
}

// errDone ends a read at the row To.
var errDone = errors.New("all requested rows are read")

// Rows numbers the rows of a read and passes on the requested ones.
type Rows struct {
	ctx      context.Context
	emit     func(protocol.Row) error
	from, to int64
	row      protocol.Row
	// refused is true after emit has returned an error.
	refused bool
}

func (r *Rows) full() bool { return r.to > 0 && r.row.Ordinal >= r.to }

// Behind is how many of the next rows are not requested; a Reader may pass them to Skip unread.
func (r *Rows) Behind() int64 { return max(0, r.from-r.row.Ordinal) }

// Skip counts n rows, at most Behind.
func (r *Rows) Skip(n int64) error {
	r.row.Ordinal += n
	r.row.Number += n
	return r.ctx.Err()
}

// Emit counts a row and passes it on if it is requested. The values may be reused when it returns. More than MaxRow
// bytes are a problem.
func (r *Rows) Emit(values [][]byte) error {
	size := 0
	for _, v := range values {
		size += len(v)
	}
	if size > MaxRow {
		return r.Problem("the row has %d bytes in its fields; at most %d are allowed", size, MaxRow)
	}
	return r.pass(values, "")
}

// Problem counts a row that cannot be used and records the reason.
func (r *Rows) Problem(format string, args ...any) error {
	return r.pass(nil, protocol.Visible(fmt.Sprintf(format, args...)))
}

func (r *Rows) pass(values [][]byte, problem string) error {
	if r.Behind() > 0 {
		return r.Skip(1)
	}
	if r.full() {
		return errDone
	}
	if err := r.ctx.Err(); err != nil {
		return err
	}
	r.row.Values, r.row.Problem = values, problem
	if err := r.emit(r.row); err != nil {
		r.refused = true
		return err
	}
	r.row.Ordinal++
	r.row.Number++
	return nil
}
