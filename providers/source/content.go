package source

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"surprisal.dev/plugins/sdk"
)

const (
	// headBytes is how much of a file is examined to recognize its compression.
	headBytes = 64 << 10
	// maxWindow is the largest window of zstd data that is read: the one that zstd --ultra -22 --long uses.
	maxWindow = 128 << 20
)

// compression is a format that Content decompresses. The first bytes determine it, so that a wrong name is harmless.
type compression struct {
	name, extension string
	// begins reports whether a file's first bytes are the format's. A text never begins with them: they, or the bytes
	// that follow them, are not valid UTF-8.
	begins func(head []byte) bool
	open   func(io.Reader) (io.ReadCloser, error)
}

var compressions = []compression{
	{
		name: "gzip", extension: ".gz",
		begins: func(head []byte) bool { return bytes.HasPrefix(head, []byte{0x1f, 0x8b}) },
		open:   func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) },
	},
	{
		name: "zstd", extension: ".zst", begins: isZstd,
		open: func(r io.Reader) (io.ReadCloser, error) {
			// A single decoder keeps the reads on the caller's goroutine.
			d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
			if err != nil {
				return nil, err
			}
			return d.IOReadCloser(), nil
		},
	},
}

// isZstd looks for a zstd frame after any skippable frames, in which pzstd and others store metadata.
func isZstd(head []byte) bool {
	for {
		if bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
			return true
		}
		if len(head) < 8 || head[0]&0xf0 != 0x50 || !bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}) {
			return false
		}
		size := int64(binary.LittleEndian.Uint32(head[4:]))
		if size > int64(len(head)-8) {
			return false
		}
		head = head[8+size:]
	}
}

// compressionOf returns the compression of a file that begins with head, or nil.
func compressionOf(head []byte) *compression {
	for i, c := range compressions {
		if c.begins(head) {
			return &compressions[i]
		}
	}
	return nil
}

// Content returns the file's text: its bytes, decompressed if they are gzip or zstd, without a UTF-8 byte order mark.
// Damaged data and text in UTF-16 are errors of kind InvalidInput.
func (f *File) Content() (io.ReadCloser, error) {
	stored := bufio.NewReaderSize(f.reader(), 256<<10)
	head, err := stored.Peek(headBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		if failed := f.Err(); failed != nil {
			return nil, failed
		}
		return nil, unreadable(f.Label, err)
	}
	content := io.NopCloser(stored)
	if c := compressionOf(head); c != nil {
		r, err := c.open(stored)
		d := &decompressed{file: f, format: c.name, head: bytes.Clone(head[:min(len(head), 64)]), ReadCloser: r}
		if err != nil {
			return nil, d.explain(err)
		}
		content = d
	} else if err := f.misnamed(head); err != nil {
		return nil, err
	}
	return f.unmarked(content)
}

// misnamed rejects a file whose name implies a compression that its content does not have.
func (f *File) misnamed(head []byte) error {
	for _, c := range compressions {
		if strings.HasSuffix(strings.ToLower(f.Name), c.extension) {
			return sdk.Invalid("%s: its name ends in %s, but its first bytes %q are not %s; download or copy the file again, or rename it",
				f.Label, c.extension, head[:min(len(head), 4)], c.name)
		}
	}
	return nil
}

// unmarked skips a UTF-8 byte order mark, and rejects those of other encodings.
func (f *File) unmarked(content io.ReadCloser) (io.ReadCloser, error) {
	text := bufio.NewReaderSize(content, 4<<10)
	head, err := text.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, content.Close())
	}
	if bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff}) {
		err := sdk.Invalid("%s begins with the UTF-16 byte order mark %q, but text must be UTF-8; convert it: "+
			"iconv -f UTF-16 -t UTF-8 FILE > FILE.utf8", f.Label, head[:2])
		return nil, errors.Join(err, content.Close())
	}
	if string(head) == "\ufeff" {
		if _, err := text.Discard(len(head)); err != nil {
			return nil, errors.Join(err, content.Close())
		}
	}
	return struct {
		io.Reader
		io.Closer
	}{text, content}, nil
}

// decompressed explains errors of a decompressor.
type decompressed struct {
	io.ReadCloser
	file   *File
	format string
	// head is the beginning of the stored bytes.
	head []byte
	read int64
}

func (d *decompressed) Read(b []byte) (int, error) {
	n, err := d.ReadCloser.Read(b)
	d.read += int64(n)
	if err != nil && err != io.EOF { //nolint:errorlint // A wrapped EOF is damage, not the end of the data.
		err = d.explain(err)
	}
	return n, err
}

func (d *decompressed) explain(err error) error {
	if ctxErr := d.file.Err(); ctxErr != nil {
		return ctxErr
	}
	var frame zstd.Header
	_ = frame.Decode(d.head) // fields that it cannot decode stay zero
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		found := ""
		if frame.WindowSize > maxWindow {
			found = fmt.Sprintf(" of %d bytes", frame.WindowSize)
		}
		return sdk.Invalid("%s: its zstd data needs a window%s, but at most %d bytes are allowed; compress it again with a smaller one: "+
			"zstd -d --memory=2GB FILE, then zstd --long=27 or less", d.file.Label, found, maxWindow)
	case errors.Is(err, zstd.ErrUnknownDictionary):
		return sdk.Invalid("%s: it was compressed with the zstd dictionary %d, which is not supported; compress it again without one",
			d.file.Label, frame.DictionaryID)
	}
	what := "damaged"
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		what = "truncated"
	}
	return sdk.Invalid("%s: %s %s data after %d bytes of content: %v; download or copy the file again", d.file.Label, what, d.format, d.read, err)
}
