package footer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"surprisal.dev/plugins/protocol"
)

// frame is the size of a file without its pages and its footer: PAR1 at both ends and the footer's size, in 4 bytes.
const frame = 12

// File is an open Parquet file. The library's own pages of its chunks are unusable: read them with Pages.
type File struct {
	*parquet.File

	source *source
	size   int64
	// groups are the row groups as described in the file.
	groups []format.RowGroup
}

// Open opens a Parquet file of size bytes. It does not read the page index and bloom filters. A fault of the content is
// an error of kind InvalidInput that begins with the name and a colon; an error of r is returned unchanged.
func Open(name string, r io.ReaderAt, size int64, options ...parquet.FileOption) (*File, error) {
	source := &source{ReaderAt: r}
	file, err := open(source, size, options)
	switch {
	case source.failure() != nil:
		return nil, source.failure()
	case err != nil:
		return nil, &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf("%s: %v", name, err)}
	}
	return file, nil
}

// source keeps a reader's first error, to distinguish it from errors of the content.
type source struct {
	io.ReaderAt
	mu  sync.Mutex
	err error
}

func (s *source) ReadAt(b []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fmt.Errorf("no byte %d", offset)
	}
	n, err := s.ReaderAt.ReadAt(b, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err == nil {
			s.err = err
		}
	}
	return n, err
}

func (s *source) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func open(r *source, size int64, options []parquet.FileOption) (file *File, err error) {
	if err := checkFrame(r, size); err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
		if err != nil && !errors.Is(err, errEncrypted) {
			err = fmt.Errorf("damaged Parquet footer: %w; download or copy the file again", err)
		}
	}()
	footer, err := read(r, size)
	if err != nil {
		return nil, err
	}
	if err := check(footer); err != nil {
		return nil, err
	}
	file = &File{source: r, size: size}
	plain, err := file.take(footer)
	if err != nil {
		return nil, err
	}
	// The library reads the footer at the end, and everything else at its place in the file.
	body := size - int64(len(footer)) - 8
	end := slices.Concat(plain, binary.LittleEndian.AppendUint32(nil, uint32(len(plain))), []byte("PAR1"))
	options = append(options, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	file.File, err = parquet.OpenFile(&spliced{r, body, end}, body+int64(len(end)), options...)
	return file, err
}

// GroupBytes returns the uncompressed size of a row group, as recorded in the file.
func (f *File) GroupBytes(group int) int64 { return f.groups[group].TotalByteSize }

// errEncrypted means that only the owner of a key can read the file.
var errEncrypted = errors.New("the Parquet file is encrypted; decrypt it first, and name the decrypted file")

// take stores the footer's data about the row groups. It returns a footer for the library in which no chunk is
// compressed or has a page yet: the pages come from a stream.
func (f *File) take(footer []byte) (plain []byte, err error) {
	var metadata format.FileMetaData
	var protocol thrift.CompactProtocol
	decoder := thrift.NewDecoder(protocol.NewReaderFromBytes(slices.Clone(footer)))
	if err := decoder.Decode(&metadata); err != nil {
		return nil, err
	}
	if metadata.EncryptionAlgorithm.Value != nil {
		return nil, errEncrypted
	}
	f.groups = slices.Clone([]format.RowGroup(metadata.RowGroups))
	for i, group := range f.groups {
		f.groups[i].Columns = slices.Clone(group.Columns)
		for j, c := range group.Columns {
			offset, length := c.OffsetIndexOffset, int64(c.OffsetIndexLength)
			if offset < 0 || length < 0 || length > f.size || offset > f.size-length {
				return nil, fmt.Errorf("an index of %d bytes at byte %d of %d", length, offset, f.size)
			}
			m := &metadata.RowGroups[i].Columns[j].MetaData
			m.Codec, m.DictionaryPageOffset, m.DataPageOffset, m.TotalCompressedSize = format.Uncompressed, 0, 0, math.MaxInt64
		}
	}
	return thrift.Marshal(&protocol, &metadata)
}

// spliced is a file whose end is replaced from a byte onward.
type spliced struct {
	*source
	body int64
	end  []byte
}

func (s *spliced) ReadAt(b []byte, offset int64) (n int, err error) {
	if offset < s.body {
		part := b[:min(int64(len(b)), s.body-offset)]
		if n, err = s.source.ReadAt(part, offset); n < len(part) {
			return n, err
		}
	}
	if n < len(b) {
		at := offset + int64(n) - s.body
		if at < int64(len(s.end)) {
			n += copy(b[n:], s.end[at:])
		}
		if n < len(b) {
			return n, io.EOF
		}
	}
	return n, nil
}

func checkFrame(r io.ReaderAt, size int64) error {
	if size < frame {
		return fmt.Errorf("the file has %d bytes, too few for a Parquet file", size)
	}
	var head, tail [4]byte
	if err := errors.Join(full(r, head[:], 0), full(r, tail[:], size-4)); err != nil {
		return err
	}
	if string(head[:]) == "PARE" || string(tail[:]) == "PARE" {
		return errEncrypted
	}
	if string(head[:]) != "PAR1" || string(tail[:]) != "PAR1" {
		return fmt.Errorf("not a Parquet file, or truncated: it begins with %q and ends with %q, not PAR1; download or copy the file again", head, tail)
	}
	return nil
}

// read returns the footer.
func read(r io.ReaderAt, size int64) ([]byte, error) {
	var claim [4]byte
	if err := full(r, claim[:], size-8); err != nil {
		return nil, err
	}
	length := int64(binary.LittleEndian.Uint32(claim[:]))
	if length > size-frame {
		return nil, fmt.Errorf("it claims %d bytes, but the file has %d", length, size)
	}
	footer := make([]byte, length)
	return footer, full(r, footer, size-8-length)
}

func full(r io.ReaderAt, b []byte, offset int64) error {
	_, err := io.ReadFull(io.NewSectionReader(r, offset, int64(len(b))), b)
	return err
}
