package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"sync"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
)

// Parts reads parts of a remote file that its service identifies by its digest.
type Parts interface {
	io.ReaderAt
	Size() int64
}

// OpenLocal opens a local file and checks that its content has the digest of a pinned file.
func OpenLocal(ctx context.Context, path string, pinned protocol.File) (*File, error) {
	return entry{name: pinned.Name, label: path, path: path}.open(ctx, pinned.Digest)
}

// OpenParts returns a file that is read in parts. Label is its name in messages. If it is read in order to its end, its
// content is compared with the pinned digest there; before, the service's word has to do.
func OpenParts(ctx context.Context, label string, parts Parts, pinned protocol.File) *File {
	return &File{Name: pinned.Name, Label: label, ctx: ctx, remote: &remoteFile{Parts: parts, label: label, digest: pinned.Digest}}
}

// remoteFile is a file that is read in parts. It remembers the error that ended the reading, which the readers of
// formats would take for damage.
type remoteFile struct {
	Parts
	label, digest string

	mu  sync.Mutex
	err error
}

func (f *remoteFile) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *remoteFile) fail(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
	return err
}

func (f *remoteFile) ReadAt(b []byte, offset int64) (int, error) {
	n, err := f.Parts.ReadAt(b, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, f.fail(err)
	}
	return n, err
}

func (f *remoteFile) reader() io.Reader {
	return &hashed{file: f, from: io.NewSectionReader(f, 0, f.Size()), hash: sha256.New()}
}

// hashed reads a file in order, and compares its digest at its end.
type hashed struct {
	file *remoteFile
	from io.Reader
	hash hash.Hash
}

func (h *hashed) Read(b []byte) (int, error) {
	n, err := h.from.Read(b)
	_, _ = h.hash.Write(b[:n]) // never fails
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if got := "sha256:" + hex.EncodeToString(h.hash.Sum(nil)); got != h.file.digest {
		return n, h.file.fail(sdk.Changed("%s: its content has the digest %s, but %s is pinned; run `runner pin` to accept the change", h.file.label, got, h.file.digest))
	}
	return n, err
}

// Shard is a file to read.
type Shard struct {
	// Name is the name of the file.
	Name string
	Open func(context.Context) (*File, error)
	Read Reader
}

// ReadShards reads the rows of a request from shards, in order.
func ReadShards(ctx context.Context, r protocol.ReadRequest, shards []Shard, emit func(protocol.Row) error) error {
	rows := &Rows{ctx: ctx, emit: emit, from: r.From, to: r.To}
	for _, s := range shards {
		if rows.full() {
			break
		}
		rows.row.Shard, rows.row.Number = s.Name, 0
		if err := readShard(ctx, s, rows); err != nil && !errors.Is(err, errDone) {
			return err
		}
	}
	return ctx.Err()
}

func readShard(ctx context.Context, s Shard, rows *Rows) (err error) {
	f, err := s.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	err = s.Read(f, rows)
	if rows.refused {
		return err
	}
	if failed := f.Err(); failed != nil {
		return failed
	}
	if err := f.unchanged(); err != nil {
		return err
	}
	return err
}

// CheckRange returns an error if the range of rows of a request is not one.
func CheckRange(r protocol.ReadRequest) error {
	if r.From < 0 || r.To < 0 || r.To > 0 && r.To < r.From {
		return sdk.Invalid("invalid row range [%d, %d): expected 0 <= from <= to, or to = 0 for the end", r.From, r.To)
	}
	return nil
}
