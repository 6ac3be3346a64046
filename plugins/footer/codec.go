package footer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// decompressors decompresses pages, one after the other.
type decompressors struct{ zstd *zstd.Decoder }

// decompress returns size bytes: head, followed by the decompressed stored. It never produces more than MaxPage bytes
// from stored, whatever stored contains.
func (d *decompressors) decompress(codec format.CompressionCodec, head, stored []byte, size int) (plain []byte, err error) {
	rest := size - len(head)
	switch codec {
	case format.Uncompressed:
		plain = stored
	case format.Snappy:
		var n int
		if n, err = snappy.DecodedLen(stored); err == nil && n != rest {
			return nil, fmt.Errorf("a page of %d bytes, but its header declares %d", len(head)+n, size)
		}
		if err == nil {
			plain, err = snappy.Decode(make([]byte, rest), stored)
		}
	case format.Zstd:
		plain, err = d.unzstd(head, stored, size)
		head = nil
	case format.Gzip:
		r, openErr := gzip.NewReader(bytes.NewReader(stored))
		if openErr != nil {
			return nil, fmt.Errorf("gzip data: %w", openErr)
		}
		plain, err = exactly(r, rest)
	case format.Brotli:
		plain, err = exactly(brotli.NewReader(bytes.NewReader(stored)), rest)
	case format.Lz4Raw:
		plain = make([]byte, rest)
		n, blockErr := lz4.UncompressBlock(stored, plain)
		plain, err = plain[:max(n, 0)], blockErr
	default:
		return nil, limit("pages compressed with %v, which is not supported; write the file again with zstd", codec)
	}
	if err != nil {
		return nil, fmt.Errorf("%v data: %w", codec, err)
	}
	if plain = join(head, plain); len(plain) != size {
		return nil, fmt.Errorf("a page of %d bytes, but its header declares %d", len(plain), size)
	}
	return plain, nil
}

// unzstd is decompress for zstd. It decodes a frame with a known content size at once, directly after head. It decodes
// other frames piece by piece, because at once they might use MaxPage.
func (d *decompressors) unzstd(head, stored []byte, size int) (plain []byte, err error) {
	if d.zstd == nil {
		if d.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxPage)); err != nil {
			return nil, err
		}
	}
	rest := size - len(head)
	var frame zstd.Header
	if err := frame.Decode(stored); err == nil && frame.HasFCS && frame.FrameContentSize == uint64(rest) {
		return d.zstd.DecodeAll(stored, append(make([]byte, 0, size), head...))
	}
	if err := d.zstd.Reset(bytes.NewReader(stored)); err != nil {
		return nil, err
	}
	plain, err = exactly(d.zstd, rest)
	return join(head, plain), err
}

// join returns the concatenation of head and rest. If head is empty, it returns rest without a copy.
func join(head, rest []byte) []byte {
	if len(head) == 0 {
		return rest
	}
	return slices.Concat(head, rest)
}

// exactly reads the size bytes of r, plus one if r has more.
func exactly(r io.Reader, size int) ([]byte, error) {
	plain := make([]byte, size+1)
	n, err := io.ReadFull(r, plain)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil
	}
	return plain[:n], err
}
