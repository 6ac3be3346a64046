package footer

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"sort"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// Bounds of a page. Writers make pages of about 1 MiB, but check the size only once per a number of values, so that
// long texts make large pages.
const (
	// MaxPage is the maximum size of a page in bytes, decompressed and decoded.
	MaxPage = 256 << 20
	// MaxValues is the maximum number of values in a page, nulls included.
	MaxValues = 64 << 20
	// maxHeader is the maximum size in bytes of a page's header, which may include the minimum and maximum value.
	maxHeader = 16 << 20
	// largePage is the decoded size from which a page is kept only while its reader uses it.
	largePage = 1 << 20
)

// Pages reads the pages of a chunk: those of one column in one row group.
type Pages struct {
	chunk  *parquet.FileColumnChunk
	pages  *parquet.FilePages
	stream *stream
	// skip is how many rows of the first page are not requested.
	skip int64
}

// LimitError reports a page that exceeds a limit, although its file may be intact.
type LimitError struct{ message string }

func (e *LimitError) Error() string { return e.message }

func limit(format string, args ...any) error { return &LimitError{fmt.Sprintf(format, args...)} }

func tooLarge(found, most int64, what string) error {
	return limit("a page of %d %s, but at most %d are supported; write the file again with smaller pages "+
		"(pyarrow: data_page_size and write_batch_size)", found, what, most)
}

// Pages returns the pages of a row group's column, starting at a row of the group, counted from 0. Close them. An error
// that is neither the reader's own nor a LimitError describes damage, without the file's name.
func (f *File) Pages(group, column int, row int64) (*Pages, error) {
	if group >= len(f.groups) || column >= len(f.groups[group].Columns) {
		return nil, fmt.Errorf("row group %d has no column %d", group, column)
	}
	c := &f.groups[group].Columns[column]
	m := &c.MetaData
	start := m.DataPageOffset
	if m.DictionaryPageOffset > 0 && m.DictionaryPageOffset < start {
		start = m.DictionaryPageOffset
	}
	if start < 0 || m.TotalCompressedSize < 0 || start > f.size-m.TotalCompressedSize {
		return nil, fmt.Errorf("a column of %d bytes at byte %d of %d", m.TotalCompressedSize, start, f.size)
	}
	chunk, ok := f.RowGroups()[group].ColumnChunks()[column].(*parquet.FileColumnChunk)
	if !ok {
		return nil, fmt.Errorf("row group %d has no column %d", group, column)
	}
	leaf := chunk.Node().(*parquet.Column) //nolint:forcetypeassert // The library makes no other.
	s := &stream{
		r: f.source, codec: m.Codec, at: start, end: start + m.TotalCompressedSize, jump: -1, kind: leaf.Type().Kind(),
		repetition: bits.Len(uint(leaf.MaxRepetitionLevel())), definition: bits.Len(uint(leaf.MaxDefinitionLevel())),
	}
	if row > 0 && c.OffsetIndexOffset > 0 {
		var err error
		if row, err = f.seek(s, c, row); err != nil {
			return nil, err
		}
	}
	return &Pages{chunk, chunk.PagesFrom(s), s, row}, nil
}

// Close releases the last page.
func (p *Pages) Close() error { return p.pages.Close() }

// seek moves a stream to the page that contains a row, after the dictionary, and returns the row's position in that
// page.
func (f *File) seek(s *stream, c *format.ColumnChunk, row int64) (rest int64, err error) {
	data := make([]byte, c.OffsetIndexLength)
	if err := full(f.source, data, c.OffsetIndexOffset); err != nil {
		return 0, err
	}
	if err := check(data); err != nil {
		return 0, fmt.Errorf("offset index: %w", err)
	}
	var index format.OffsetIndex
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), data, &index); err != nil {
		return 0, fmt.Errorf("offset index: %w", err)
	}
	pages := index.PageLocations
	target := sort.Search(len(pages), func(i int) bool { return pages[i].FirstRowIndex > row }) - 1
	if target < 0 {
		return row, nil
	}
	if offset := pages[target].Offset; offset < s.at || offset >= s.end {
		return 0, fmt.Errorf("a page at byte %d outside the column at [%d, %d)", offset, s.at, s.end)
	}
	s.jump = pages[target].Offset
	return row - pages[target].FirstRowIndex, nil
}

// ReadPage returns the next page, or io.EOF. Its errors are like those of File.Pages.
func (p *Pages) ReadPage() (page parquet.Page, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
		if err == nil || err == io.EOF { //nolint:errorlint // An end inside of a page is wrapped, and is damage.
			return
		}
		if page, err = nil, cmp.Or(p.stream.r.failure(), p.stream.err, err); err == io.EOF { //nolint:errorlint // as above
			err = io.ErrUnexpectedEOF
		}
	}()
	if skip := p.skip; skip > 0 {
		p.skip = 0
		if err := p.pages.SeekToRow(skip); err != nil {
			return nil, err
		}
	}
	if page, err = p.pages.ReadPage(); err != nil {
		return nil, err
	}
	if page.Size() >= largePage {
		err = p.forget()
	}
	return page, err
}

// WholeRows reports whether the last page from ReadPage ends at the end of a row, as pages of version 2 do. After other
// pages, a list may continue in the next page.
func (p *Pages) WholeRows() bool { return p.stream.wholeRows }

// forget makes the library release a large page. The library keeps the last page, for a seek back to it, until there is
// another. With every column of a large row, that would keep the row twice. A new reader has no dictionary. The
// zstd decoder keeps the data that it decoded last.
func (p *Pages) forget() error {
	p.stream.codecs = decompressors{}
	if p.stream.dictionary {
		return nil
	}
	if err := p.pages.Close(); err != nil {
		return err
	}
	p.pages = p.chunk.PagesFrom(p.stream)
	p.stream.given = 0
	return nil
}

// stream gives the library the pages of a chunk, one after the other, each decompressed and with a matching header. The
// library reads it through a buffered reader, from front to back.
type stream struct {
	r       *source
	codec   format.CompressionCodec
	at, end int64
	// jump is the position at which the stream continues after the dictionary, or -1.
	jump int64
	kind parquet.Kind
	// repetition and definition are the numbers of bits per level.
	repetition, definition int

	codecs decompressors
	// wholeRows is true if the last page is of version 2; dictionary is true if there was a dictionary.
	wholeRows, dictionary bool
	// given is how many bytes the library's reader has received; rest follows.
	given int64
	rest  []byte
	// next is the page that follows its header.
	next []byte
	err  error
}

// ReadAt may return fewer bytes than requested at the end of a page, without an error.
func (s *stream) ReadAt(b []byte, offset int64) (int, error) {
	if s.err == nil && offset != s.given {
		s.err = errors.New("a chunk without its dictionary")
	}
	for len(s.rest) == 0 && s.err == nil {
		if s.rest, s.next = s.next, nil; len(s.rest) == 0 {
			s.err = s.page()
		}
	}
	if s.err != nil {
		return 0, s.err
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	if len(s.rest) == 0 {
		s.rest = nil // a page is large
	}
	s.given += int64(n)
	return n, nil
}

// page reads the next page. The error after the last is io.EOF.
func (s *stream) page() error {
	if s.at >= s.end {
		return io.EOF
	}
	header, body, err := s.header()
	if err != nil {
		return err
	}
	if s.jump >= 0 && header.Type != format.DictionaryPage {
		s.at, s.jump = s.jump, -1
		return nil
	}
	if n := header.UncompressedPageSize; n < 0 {
		return fmt.Errorf("a page of %d bytes", n)
	} else if n > MaxPage {
		return tooLarge(int64(n), MaxPage, "bytes")
	}
	size := int64(header.CompressedPageSize)
	if size < 0 || size > s.end-body {
		return fmt.Errorf("a page of %d bytes, but only %d are left", size, s.end-body)
	}
	if size > MaxPage {
		return tooLarge(size, MaxPage, "bytes")
	}
	s.at = body + size
	if header.Type == format.DictionaryPage && s.jump >= 0 {
		s.at, s.jump = s.jump, -1
	}
	stored := make([]byte, size)
	if err := full(s.r, stored, body); err != nil {
		return err
	}
	if header.CRC != 0 && uint32(header.CRC) != crc32.ChecksumIEEE(stored) {
		return errors.New("a page's checksum does not match its bytes")
	}
	if s.next, err = s.open(header, stored); err != nil {
		return err
	}
	s.wholeRows, s.dictionary = header.Type == format.DataPageV2, s.dictionary || header.Type == format.DictionaryPage
	header.CompressedPageSize, header.UncompressedPageSize, header.CRC = int32(len(s.next)), int32(len(s.next)), 0
	s.rest, err = thrift.Marshal(new(thrift.CompactProtocol), header)
	return err
}

// header reads the header at s.at and returns where the page's bytes begin.
func (s *stream) header() (h *format.PageHeader, body int64, err error) {
	for most := int64(1 << 10); ; most <<= 7 {
		most = min(most, maxHeader, s.end-s.at)
		data := make([]byte, most)
		if err := full(s.r, data, s.at); err != nil {
			return nil, 0, err
		}
		w := walker{rest: data}
		if err := w.value(structType, 0); err != nil {
			if most == min(maxHeader, s.end-s.at) {
				return nil, 0, fmt.Errorf("header of the page at byte %d: %w", s.at, err)
			}
			continue
		}
		n := len(data) - len(w.rest)
		h = new(format.PageHeader)
		if err := thrift.Unmarshal(new(thrift.CompactProtocol), data[:n], h); err != nil {
			return nil, 0, fmt.Errorf("header of the page at byte %d: %w", s.at, err)
		}
		return h, s.at + int64(n), nil
	}
}

// open decompresses a page, checks that decoding it stays within bounds, and adjusts its header.
func (s *stream) open(h *format.PageHeader, stored []byte) (plain []byte, err error) {
	size := int(h.UncompressedPageSize)
	switch h.Type {
	case format.DictionaryPage:
		if plain, err = s.codecs.decompress(s.codec, nil, stored, size); err != nil {
			return nil, err
		}
		if n := h.DictionaryPageHeader.V.NumValues; !h.DictionaryPageHeader.Valid || n < 0 || int64(n) > int64(len(plain)) {
			return nil, fmt.Errorf("a dictionary of %d values in %d bytes", n, len(plain))
		} else if n > MaxValues {
			return nil, tooLarge(int64(n), MaxValues, "values")
		}
		return plain, nil
	case format.DataPage:
		v := &h.DataPageHeader.V
		v.Statistics = format.Statistics{}
		if plain, err = s.codecs.decompress(s.codec, nil, stored, size); err != nil {
			return nil, err
		}
		return plain, s.checkV1(v, plain)
	case format.DataPageV2:
		v := &h.DataPageHeaderV2.V
		v.Statistics = format.Statistics{}
		levels := int64(v.RepetitionLevelsByteLength) + int64(v.DefinitionLevelsByteLength)
		if v.RepetitionLevelsByteLength < 0 || v.DefinitionLevelsByteLength < 0 || levels > int64(min(len(stored), size)) {
			return nil, fmt.Errorf("levels of %d and %d bytes in a page of %d", v.RepetitionLevelsByteLength,
				v.DefinitionLevelsByteLength, len(stored))
		}
		plain = stored
		if compressed := v.IsCompressed; (!compressed.Valid || compressed.V) && s.codec != format.Uncompressed {
			if plain, err = s.codecs.decompress(s.codec, stored[:levels], stored[levels:], size); err != nil {
				return nil, err
			}
		}
		v.IsCompressed = thrift.New(false)
		return plain, s.checkV2(v, plain)
	}
	return nil, fmt.Errorf("a page of the unknown type %d", h.Type)
}
