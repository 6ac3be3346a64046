package source

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"gocloud.dev/blob"

	"surprisal.dev/plugins/sdk"
)

// entry is a file that was found.
type entry struct {
	// name is the shard's name, label what messages call the file.
	name, label string
	// path is where the file lies on this machine; a remote one is key in bucket.
	path   string
	bucket *blob.Bucket
	key    string
}

// stored opens the stored bytes.
func (e entry) stored(ctx context.Context) (io.ReadCloser, error) {
	if e.bucket != nil {
		r, err := e.bucket.NewReader(ctx, e.key, nil)
		if err != nil {
			return nil, remoteError(e.label, err)
		}
		return r, nil
	}
	return e.openLocal()
}

func (e entry) openLocal() (*os.File, error) {
	// A named pipe would block in Open.
	info, err := os.Stat(e.path)
	if err != nil {
		return nil, unreadable(e.label, err)
	}
	if !info.Mode().IsRegular() {
		return nil, sdk.Invalid("cannot read %s: it is no regular file (%s)", e.label, info.Mode())
	}
	f, err := os.Open(e.path)
	if err != nil {
		return nil, unreadable(e.label, err)
	}
	return f, nil
}

// digest hashes the stored bytes.
func (e entry) digest(ctx context.Context) (digest string, size int64, err error) {
	r, err := e.stored(ctx)
	if err != nil {
		return "", 0, err
	}
	defer r.Close()
	return e.copyHashed(ctx, io.Discard, r)
}

// copyHashed copies r to w and returns the digest of what it copied.
func (e entry) copyHashed(ctx context.Context, w io.Writer, r io.Reader) (digest string, size int64, err error) {
	h := sha256.New()
	size, err = io.CopyBuffer(io.MultiWriter(h, w), contextReader{ctx, r}, make([]byte, 256<<10))
	switch {
	case ctx.Err() != nil:
		return "", 0, ctx.Err()
	case err != nil && e.bucket != nil:
		return "", 0, remoteError(e.label, err)
	case err != nil:
		return "", 0, unreadable(e.label, err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), size, nil
}

// contextReader fails once its context is done.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}

// open opens the file for reading and checks that its content has the digest.
func (e entry) open(ctx context.Context, digest string) (_ *File, err error) {
	var file *os.File
	var got string
	if e.bucket == nil {
		if file, err = e.openLocal(); err != nil {
			return nil, err
		}
	} else if file, err = nameless(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	// The state before hashing: a change while hashing must not pass.
	f := &File{Label: e.label, Name: e.name, ctx: ctx, file: file}
	if e.bucket == nil {
		if f.before, err = file.Stat(); err != nil {
			return nil, unreadable(e.label, err)
		}
		got, _, err = e.copyHashed(ctx, io.Discard, file)
	} else {
		var r io.ReadCloser
		if r, err = e.stored(ctx); err != nil {
			return nil, err
		}
		defer r.Close()
		if got, _, err = e.copyHashed(ctx, file, r); err == nil {
			f.before, err = file.Stat()
		}
	}
	if err != nil {
		return nil, err
	}
	if got != digest {
		return nil, sdk.Changed("%s: the plan was made with %s, and the content now has %s; plan again, or restore the file",
			e.label, digest, got)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, unreadable(e.label, err)
	}
	return f, nil
}

// nameless makes a temporary file that is gone when it is closed or the process ends.
func nameless() (*os.File, error) {
	f, err := os.CreateTemp("", "surprisal-source-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// File is an open file whose content is the pinned one. Its methods fail once the reading's context is done.
type File struct {
	// Name is the shard's name, Label what messages call the file.
	Name, Label string

	ctx    context.Context
	file   *os.File
	before fs.FileInfo
}

// Size is the number of stored bytes.
func (f *File) Size() int64 { return f.before.Size() }

// Err is the error of the reading's context.
func (f *File) Err() error { return f.ctx.Err() }

// ReadAt reads stored bytes.
func (f *File) ReadAt(b []byte, offset int64) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	return f.file.ReadAt(b, offset)
}

// unchanged checks that nobody wrote to the file since before it was hashed.
func (f *File) unchanged() error {
	now, err := f.file.Stat()
	if err != nil {
		return unreadable(f.Label, err)
	}
	if now.Size() != f.before.Size() || !now.ModTime().Equal(f.before.ModTime()) {
		return sdk.Changed("%s: the file changed while it was read; plan again when nothing writes to it", f.Label)
	}
	return nil
}

// compression is a format that Content decompresses. The first bytes decide, so that a wrong name does no harm; neither
// format's first bytes are valid UTF-8.
type compression struct {
	name, extension string
	magic           []byte
	open            func(io.Reader) (io.ReadCloser, error)
}

var compressions = []compression{
	{"gzip", ".gz", []byte{0x1f, 0x8b}, func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }},
	{"zstd", ".zst", []byte{0x28, 0xb5, 0x2f, 0xfd}, func(r io.Reader) (io.ReadCloser, error) {
		// One decoder at a time keeps the reads on the caller's goroutine; 128 MiB is the window of zstd --ultra -22 --long.
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}},
}

// Content returns the file's bytes, decompressed if they are gzip or zstd. Damaged data is an error of kind InvalidInput.
func (f *File) Content() (io.ReadCloser, error) {
	stored := bufio.NewReaderSize(contextReader{f.ctx, f.file}, 256<<10)
	first, err := stored.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, unreadable(f.Label, err)
	}
	for _, c := range compressions {
		if bytes.HasPrefix(first, c.magic) {
			r, err := c.open(stored)
			content := &decompressed{file: f, format: c.name, ReadCloser: r}
			if err != nil {
				return nil, content.explain(err)
			}
			return content, nil
		}
		if strings.HasSuffix(strings.ToLower(f.Name), c.extension) {
			return nil, sdk.Invalid("%s: its name ends in %s, and its first bytes %q are not %s; get the file again, or rename it",
				f.Label, c.extension, first, c.name)
		}
	}
	return io.NopCloser(stored), nil
}

// decompressed explains errors of a decompressor.
type decompressed struct {
	io.ReadCloser
	file   *File
	format string
	read   int64
}

func (d *decompressed) Read(b []byte) (int, error) {
	n, err := d.ReadCloser.Read(b)
	d.read += int64(n)
	if err != nil && err != io.EOF { //nolint:errorlint // A wrapped EOF is no end of the data.
		err = d.explain(err)
	}
	return n, err
}

func (d *decompressed) explain(err error) error {
	if ctxErr := d.file.ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	what := "damaged"
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		what = "cut off"
	}
	return sdk.Invalid("%s: %s %s data after %d bytes of content: %v; get the file again", d.file.Label, what, d.format, d.read, err)
}
