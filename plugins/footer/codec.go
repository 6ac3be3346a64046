package footer

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// decompressors decompresses pages, one after the other.
type decompressors struct{ zstd *zstd.Decoder }

// decompress returns the size bytes that stored holds. No more than MaxPage bytes are made of it, whatever it holds.
func (d *decompressors) decompress(codec format.CompressionCodec, stored []byte, size int) (plain []byte, err error) {
	switch codec {
	case format.Uncompressed:
		plain = stored
	case format.Snappy:
		var n int
		if n, err = snappy.DecodedLen(stored); err == nil && n != size {
			return nil, fmt.Errorf("a page of %d bytes where its header says %d", n, size)
		}
		if err == nil {
			plain, err = snappy.Decode(make([]byte, size), stored)
		}
	case format.Zstd:
		plain, err = d.unzstd(stored, size)
	case format.Gzip:
		r, openErr := gzip.NewReader(bytes.NewReader(stored))
		if openErr != nil {
			return nil, fmt.Errorf("gzip data: %w", openErr)
		}
		plain, err = exactly(r, size)
	case format.Brotli:
		plain, err = exactly(brotli.NewReader(bytes.NewReader(stored)), size)
	case format.Lz4Raw:
		plain = make([]byte, size)
		n, blockErr := lz4.UncompressBlock(stored, plain)
		plain, err = plain[:max(n, 0)], blockErr
	default:
		return nil, limit("pages compressed with %v, which is not known; write the file again with zstd", codec)
	}
	if err != nil {
		return nil, fmt.Errorf("%v data: %w", codec, err)
	}
	if len(plain) != size {
		return nil, fmt.Errorf("a page of %d bytes where its header says %d", len(plain), size)
	}
	return plain, nil
}

// unzstd decodes a frame that says how much it holds at once, and others piece by piece: at once, they may take MaxPage.
func (d *decompressors) unzstd(stored []byte, size int) (plain []byte, err error) {
	if d.zstd == nil {
		if d.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxPage)); err != nil {
			return nil, err
		}
	}
	var head zstd.Header
	if err := head.Decode(stored); err == nil && head.HasFCS && head.FrameContentSize == uint64(size) {
		return d.zstd.DecodeAll(stored, make([]byte, 0, size))
	}
	if err := d.zstd.Reset(bytes.NewReader(stored)); err != nil {
		return nil, err
	}
	return exactly(d.zstd, size)
}

// exactly reads the size bytes of r, and one more where it has more.
func exactly(r io.Reader, size int) ([]byte, error) {
	plain := make([]byte, size+1)
	n, err := io.ReadFull(r, plain)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil
	}
	return plain[:n], err
}
