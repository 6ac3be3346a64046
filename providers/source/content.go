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
	// headBytes is how much of a file is looked at to tell its compression.
	headBytes = 64 << 10
	// maxWindow is the largest window of zstd data that is read: what zstd --ultra -22 --long makes.
	maxWindow = 128 << 20
)

// compression is a format that Content decompresses. The first bytes decide, so that a wrong name does no harm.
type compression struct {
	name, extension string
	// begins says whether a file's first bytes are the format's. Of a text they never are: they are not valid UTF-8, or
	// what follows them is not.
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
			// One decoder at a time keeps the reads on the caller's goroutine.
			d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
			if err != nil {
				return nil, err
			}
			return d.IOReadCloser(), nil
		},
	},
}

// isZstd finds a frame of zstd after any frames that decoders skip, in which pzstd and others keep what they know.
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

// Content returns the file's text: its bytes, decompressed if they are gzip or zstd, without the byte order mark of UTF-8
// that they may begin with. Damaged data and text in UTF-16 are errors of kind InvalidInput.
func (f *File) Content() (io.ReadCloser, error) {
	stored := bufio.NewReaderSize(contextReader{f.ctx, f.file}, 256<<10)
	head, err := stored.Peek(headBytes)
	if err != nil && !errors.Is(err, io.EOF) {
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

// misnamed refuses a file whose name promises a compression.
func (f *File) misnamed(head []byte) error {
	for _, c := range compressions {
		if strings.HasSuffix(strings.ToLower(f.Name), c.extension) {
			return sdk.Invalid("%s: its name ends in %s, and its first bytes %q are not %s; get the file again, or rename it",
				f.Label, c.extension, head[:min(len(head), 4)], c.name)
		}
	}
	return nil
}

// unmarked passes over a byte order mark of UTF-8, and refuses those of other encodings.
func (f *File) unmarked(content io.ReadCloser) (io.ReadCloser, error) {
	text := bufio.NewReaderSize(content, 4<<10)
	head, err := text.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, content.Close())
	}
	if bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff}) {
		err := sdk.Invalid("%s begins with the byte order mark %q of UTF-16, and text has to be UTF-8; convert it: "+
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
	// head is how the stored bytes begin.
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
	if ctxErr := d.file.ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	var frame zstd.Header
	_ = frame.Decode(d.head) // what it cannot decode stays zero
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		found := ""
		if frame.WindowSize > maxWindow {
			found = fmt.Sprintf(" of %d bytes", frame.WindowSize)
		}
		return sdk.Invalid("%s: its zstd data needs a window%s, and at most %d bytes are allowed; compress it again with a smaller one: "+
			"zstd -d --memory=2GB FILE, then zstd --long=27 or less", d.file.Label, found, maxWindow)
	case errors.Is(err, zstd.ErrUnknownDictionary):
		return sdk.Invalid("%s: it was compressed with the zstd dictionary %d, which is not read; compress it again without one",
			d.file.Label, frame.DictionaryID)
	}
	what := "damaged"
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		what = "cut off"
	}
	return sdk.Invalid("%s: %s %s data after %d bytes of content: %v; get the file again", d.file.Label, what, d.format, d.read, err)
}
