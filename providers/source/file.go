package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"

	"gocloud.dev/blob"

	"surprisal.dev/internal/confine"
	"surprisal.dev/plugins/digests"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
)

// entry is a file that was found.
type entry struct {
	// name is the shard's name; label is the file's name in messages.
	name, label string
	// path is the location of a local file, which may be confined to a directory; a remote file is key in bucket.
	path, confine string
	bucket        *blob.Bucket
	key           string
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
	f, err := confine.Open(e.confine, e.path)
	if err != nil {
		return nil, unreadable(e.label, err)
	}
	return f, nil
}

// digest hashes the stored bytes, or uses a remembered digest.
func (e entry) digest(ctx context.Context, known *digests.Cache) (_ protocol.File, err error) {
	file := protocol.File{Name: e.name}
	var head []byte
	if e.bucket == nil {
		f, err := e.openLocal()
		if err != nil {
			return file, err
		}
		defer f.Close()
		head = make([]byte, headBytes)
		n, err := f.ReadAt(head, 0)
		if err == nil || errors.Is(err, io.EOF) {
			head = head[:n]
			file.Digest, file.Bytes, err = known.Digest(ctx, f)
		}
		if err != nil {
			return file, e.unreadable(ctx, err)
		}
	} else {
		r, err := e.stored(ctx)
		if err != nil {
			return file, err
		}
		defer r.Close()
		first := firstBytes{}
		if file.Digest, file.Bytes, err = e.copyHashed(ctx, &first, r); err != nil {
			return file, err
		}
		head = first.head
	}
	file.Compressed = compressionOf(head) != nil
	return file, nil
}

// firstBytes keeps the first headBytes bytes that are written to it.
type firstBytes struct{ head []byte }

func (f *firstBytes) Write(b []byte) (int, error) {
	f.head = append(f.head, b[:min(len(b), headBytes-len(f.head))]...)
	return len(b), nil
}

// unreadable explains an error of reading the stored bytes.
func (e entry) unreadable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e.bucket != nil {
		return remoteError(e.label, err)
	}
	return unreadable(e.label, err)
}

// copyHashed copies r to w and returns the digest of the copied bytes.
func (e entry) copyHashed(ctx context.Context, w io.Writer, r io.Reader) (digest string, size int64, err error) {
	h := sha256.New()
	size, err = io.CopyBuffer(io.MultiWriter(h, w), contextReader{ctx, r}, make([]byte, 256<<10))
	if err != nil {
		return "", 0, e.unreadable(ctx, err)
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
	// This is the state before hashing: a change during hashing must be detected.
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
	if got != digest && e.bucket != nil {
		return nil, sdk.Changed("%s changed since it was pinned: the lock file has %s, the object now has %s; run `runner pin` to accept the change, or restore the object",
			e.label, digest, got)
	}
	if got != digest {
		return nil, sdk.Changed("%s changed since planning: the plan has %s, the file now has %s; run `runner plan` again, or restore the file",
			e.label, digest, got)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, unreadable(e.label, err)
	}
	return f, nil
}

// nameless creates a temporary file that disappears when it is closed or the process ends.
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

// File is an open file with the pinned content. Its methods fail once the read's context is canceled.
type File struct {
	// Name is the shard's name; Label is the file's name in messages.
	Name, Label string

	ctx    context.Context
	file   *os.File
	before fs.FileInfo
	// remote is a file that is read in parts, instead of file.
	remote *remoteFile
}

// Size is the number of stored bytes.
func (f *File) Size() int64 {
	if f.remote != nil {
		return f.remote.Size()
	}
	return f.before.Size()
}

// Err is the error of the read's context, or the one that ended the reading of a remote file.
func (f *File) Err() error {
	if err := f.ctx.Err(); err != nil || f.remote == nil {
		return err
	}
	return f.remote.failure()
}

// ReadAt reads stored bytes.
func (f *File) ReadAt(b []byte, offset int64) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	if f.remote != nil {
		return f.remote.ReadAt(b, offset)
	}
	return f.file.ReadAt(b, offset)
}

// reader reads the stored bytes in order.
func (f *File) reader() io.Reader {
	if f.remote != nil {
		return contextReader{f.ctx, f.remote.reader()}
	}
	return contextReader{f.ctx, f.file}
}

// close ends the reading.
func (f *File) close() error {
	if f.remote != nil {
		return nil
	}
	return f.file.Close()
}

// unchanged checks that the file has not been written since before it was hashed.
func (f *File) unchanged() error {
	if f.remote != nil {
		return nil
	}
	now, err := f.file.Stat()
	if err != nil {
		return unreadable(f.Label, err)
	}
	if now.Size() != f.before.Size() || !now.ModTime().Equal(f.before.ModTime()) {
		return sdk.Changed("%s: the file changed while it was read; run `runner plan` again once no other process writes to it", f.Label)
	}
	return nil
}
