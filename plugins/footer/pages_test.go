package footer_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"surprisal.dev/plugins/footer"
)

type paged struct {
	Text   string   `parquet:"text"`
	Word   string   `parquet:"word,dict"`
	Maybe  *string  `parquet:"maybe,optional"`
	Prefix string   `parquet:"prefix,delta"`
	Length string   `parquet:"length,delta"`
	Number int64    `parquet:"number,delta"`
	Tags   []string `parquet:"tags,list"`
	Ratio  float64  `parquet:"ratio,split"`
}

func pagedFile(t testing.TB, options ...parquet.WriterOption) []byte {
	t.Helper()
	rows := make([]paged, 500)
	for i := range rows {
		s := fmt.Sprint("value ", i)
		rows[i] = paged{Text: s, Word: []string{"a", "b", "c"}[i%3], Prefix: "the same " + s, Length: s, Number: int64(i * i), Ratio: 1 / float64(i+1)}
		if i%5 > 0 {
			rows[i].Maybe = &s
		}
		for j := range i % 4 {
			rows[i].Tags = append(rows[i].Tags, fmt.Sprint(s, j))
		}
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[paged](&b, append(options, parquet.PageBufferSize(256))...)
	for _, part := range [][]paged{rows[:300], rows[300:]} {
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type pageReader interface {
	ReadPage() (parquet.Page, error)
	Close() error
}

func readAll(p pageReader) (values []parquet.Value, err error) {
	defer p.Close()
	for {
		page, err := p.ReadPage()
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, err
		}
		buffer := make([]parquet.Value, page.NumValues())
		n, err := page.Values().ReadValues(buffer)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		for _, v := range buffer[:n] {
			values = append(values, v.Clone())
		}
		parquet.Release(page)
	}
}

// Pages gives the same values as the library, for every codec and encoding, from every row.
func TestPages(t *testing.T) {
	for _, codec := range []compress.Codec{&parquet.Uncompressed, &parquet.Snappy, &parquet.Gzip, &parquet.Brotli, &parquet.Zstd, &parquet.Lz4Raw} {
		for _, version := range []int{1, 2} {
			t.Run(fmt.Sprint(codec, version), func(t *testing.T) {
				content := pagedFile(t, parquet.Compression(codec), parquet.DataPageVersion(version))
				file, err := open(content)
				if err != nil {
					t.Fatal(err)
				}
				plain, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
				if err != nil {
					t.Fatal(err)
				}
				for group, g := range plain.RowGroups() {
					for column, chunk := range g.ColumnChunks() {
						for _, row := range []int64{0, 1, 57, g.NumRows() - 1} {
							pages, err := file.Pages(group, column, row)
							if err != nil {
								t.Fatal(err)
							}
							got, err := readAll(pages)
							if err != nil {
								t.Fatalf("group %d, column %d, row %d: %v", group, column, row, err)
							}
							reference := chunk.Pages()
							if err := reference.SeekToRow(row); err != nil {
								t.Fatal(err)
							}
							want, err := readAll(reference)
							if err != nil {
								t.Fatal(err)
							}
							if len(want) == 0 || !slices.EqualFunc(want, got, parquet.DeepEqual) {
								t.Fatalf("group %d, column %d, row %d: %d values, want %d like the library's", group, column, row, len(got), len(want))
							}
						}
					}
				}
			})
		}
	}
}

// Packed integers may end with a whole block.
func TestWholeBlocks(t *testing.T) {
	type row struct {
		Number int64 `parquet:"number,delta"`
	}
	for _, n := range []int{1, 2, 128, 129, 130, 257} {
		rows := make([]row, n)
		for i := range rows {
			rows[i].Number = int64(i * i)
		}
		var b bytes.Buffer
		if err := parquet.Write(&b, rows); err != nil {
			t.Fatal(err)
		}
		file, err := open(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		pages, err := file.Pages(0, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if values, err := readAll(pages); err != nil || len(values) != n || values[n-1].Int64() != rows[n-1].Number {
			t.Errorf("%d of %d numbers: %v", len(values), n, err)
		}
	}
}

// crafted is a file of one row and one column of strings, whose pages make arbitrary claims.
type crafted struct {
	codec      format.CompressionCodec
	repetition format.FieldRepetitionType
	kind       format.Type
	headers    []format.PageHeader
	bodies     [][]byte
	// size is the size that the footer gives the column, or 0 for the true one.
	size int64
	// index is the column's offset index, if any; change modifies the column's metadata in the footer.
	index  []format.PageLocation
	change func(*format.ColumnChunk)
}

func (c crafted) file(t testing.TB) []byte {
	t.Helper()
	var protocol thrift.CompactProtocol
	b := []byte("PAR1")
	for i, h := range c.headers {
		h.CompressedPageSize = cmp.Or(h.CompressedPageSize, int32(len(c.bodies[i])))
		header, err := thrift.Marshal(&protocol, &h)
		if err != nil {
			t.Fatal(err)
		}
		b = append(append(b, header...), c.bodies[i]...)
	}
	metadata := format.FileMetaData{
		Version: 1, NumRows: 1,
		Schema: []format.SchemaElement{
			{Name: "root", NumChildren: thrift.New[int32](1)},
			{Name: "text", Type: thrift.New(c.kind), RepetitionType: thrift.New(c.repetition)},
		},
		RowGroups: []format.RowGroup{{NumRows: 1, Columns: []format.ColumnChunk{{MetaData: format.ColumnMetaData{
			Type: c.kind, Encoding: []format.Encoding{format.Plain}, PathInSchema: []string{"text"}, Codec: c.codec, NumValues: 1,
			TotalCompressedSize: cmp.Or(c.size, int64(len(b)-4)), DataPageOffset: 4,
		}}}}},
	}
	column := &metadata.RowGroups[0].Columns[0]
	if c.index != nil {
		index, err := thrift.Marshal(&protocol, &format.OffsetIndex{PageLocations: c.index})
		if err != nil {
			t.Fatal(err)
		}
		column.OffsetIndexOffset, column.OffsetIndexLength = int64(len(b)), int32(len(index))
		b = append(b, index...)
	}
	if c.change != nil {
		c.change(column)
	}
	end, err := thrift.Marshal(&protocol, &metadata)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.LittleEndian.AppendUint32(append(b, end...), uint32(len(end))), "PAR1"...)
}

func v1(values int32, encoding format.Encoding, size int32) format.PageHeader {
	return format.PageHeader{Type: format.DataPage, UncompressedPageSize: size, DataPageHeader: thrift.New(format.DataPageHeader{
		NumValues: values, Encoding: encoding, DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE,
	})}
}

func v2(values, repetition, definition, size int32) format.PageHeader {
	return format.PageHeader{Type: format.DataPageV2, UncompressedPageSize: size, DataPageHeaderV2: thrift.New(format.DataPageHeaderV2{
		NumValues: values, NumRows: values, Encoding: format.Plain,
		RepetitionLevelsByteLength: repetition, DefinitionLevelsByteLength: definition,
	})}
}

func dictionary(values, size int32) format.PageHeader {
	return format.PageHeader{Type: format.DictionaryPage, UncompressedPageSize: size,
		DictionaryPageHeader: thrift.New(format.DictionaryPageHeader{NumValues: values, Encoding: format.Plain})}
}

// run is one run that repeats a value n times.
func run(n uint64, value ...byte) []byte { return append(binary.AppendUvarint(nil, n<<1), value...) }

// packed begins integers packed by their differences, one block of 65536 at a time, all zero.
func packed(n int) []byte {
	b := slices.Concat(binary.AppendUvarint(nil, 65536), []byte{1}, binary.AppendUvarint(nil, uint64(n)), []byte{0})
	for ; n > 0; n -= 65536 {
		b = append(b, 0, 0) // the least difference, no bits
	}
	return b
}

func zeros(t testing.TB, codec format.CompressionCodec) []byte {
	const n = 64 << 20
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch codec {
	case format.Gzip:
		w = gzip.NewWriter(&b)
	case format.Brotli:
		w = brotli.NewWriter(&b)
	case format.Zstd: // written piece by piece, the frame does not contain its content size
		var err error
		if w, err = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1)); err != nil {
			t.Fatal(err)
		}
	}
	for range n >> 20 {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// small is a little content, compressed piece by piece.
func small(t testing.TB, codec format.CompressionCodec, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch codec {
	case format.Gzip:
		w = gzip.NewWriter(&b)
	case format.Brotli:
		w = brotli.NewWriter(&b)
	default:
		var err error
		if w, err = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.Write(content)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Unusual but valid content is read: checksums, long headers, an uncompressed page of version 2 in a compressed column,
// and compressed frames without a content size.
func TestUnusualPages(t *testing.T) {
	text := []byte("\x01\x00\x00\x00x")
	stored := v2(1, 0, 0, 5)
	stored.DataPageHeaderV2.V.IsCompressed = thrift.New(false)
	described := v1(1, format.Plain, 5)
	described.DataPageHeader.V.Statistics.MaxValue = make([]byte, 200_000)
	sums := map[bool]format.PageHeader{} // by whether the sum is negative as Thrift has it
	bodies := map[bool][]byte{}
	for b := byte('a'); b <= 'z'; b++ {
		body := []byte{1, 0, 0, 0, b}
		h := v1(1, format.Plain, 5)
		h.CRC = int32(crc32.ChecksumIEEE(body))
		sums[h.CRC < 0], bodies[h.CRC < 0] = h, body
	}
	for name, test := range map[string]struct {
		codec  format.CompressionCodec
		header format.PageHeader
		body   []byte
		want   string
	}{
		"plain":               {format.Uncompressed, v1(1, format.Plain, 5), text, "x"},
		"a checksum":          {format.Uncompressed, sums[false], bodies[false], string(bodies[false][4:])},
		"a negative checksum": {format.Uncompressed, sums[true], bodies[true], string(bodies[true][4:])},
		"a long header":       {format.Uncompressed, described, text, "x"},
		"stored as it is":     {format.Zstd, stored, text, "x"},
		"gzip":                {format.Gzip, v1(1, format.Plain, 5), small(t, format.Gzip, text), "x"},
		"brotli, v2":          {format.Brotli, v2(1, 0, 0, 5), small(t, format.Brotli, text), "x"},
		"zstd":                {format.Zstd, v1(1, format.Plain, 5), small(t, format.Zstd, text), "x"},
		"zstd, v2":            {format.Zstd, v2(1, 0, 0, 5), small(t, format.Zstd, text), "x"},
	} {
		file, err := open(crafted{codec: test.codec, kind: format.ByteArray, headers: []format.PageHeader{test.header}, bodies: [][]byte{test.body}}.file(t))
		if err != nil {
			t.Fatal(err)
		}
		pages, err := file.Pages(0, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if values, err := readAll(pages); err != nil || len(values) != 1 || string(values[0].ByteArray()) != test.want {
			t.Errorf("%s: found %v, %v; want %q", name, values, err, test.want)
		}
	}
}

// Large pages, which are released immediately, are read like others, with a dictionary and without, from every row.
func TestLargePages(t *testing.T) {
	type row struct {
		Text string `parquet:"text"`
		Word string `parquet:"word,dict"`
	}
	rows := make([]row, 6)
	for i := range rows {
		rows[i] = row{strings.Repeat(fmt.Sprint(i), 700_000), strings.Repeat(fmt.Sprint("w", i%2), 700_000)}
	}
	for _, version := range []int{1, 2} {
		var b bytes.Buffer
		if err := parquet.Write(&b, rows, parquet.PageBufferSize(1<<20), parquet.DataPageVersion(version), parquet.Compression(&parquet.Zstd)); err != nil {
			t.Fatal(err)
		}
		file, err := open(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for column := range 2 {
			for from := range rows {
				pages, err := file.Pages(0, column, int64(from))
				if err != nil {
					t.Fatal(err)
				}
				values, err := readAll(pages)
				if err != nil || len(values) != len(rows)-from {
					t.Fatalf("version %d, column %d, row %d: %d values, %v", version, column, from, len(values), err)
				}
				for i, v := range values {
					if want := []string{rows[from+i].Text, rows[from+i].Word}[column]; v.String() != want {
						t.Errorf("version %d, column %d: row %d has %d bytes, %.3q", version, column, from+i, len(v.String()), v.String())
					}
				}
			}
		}
	}
}

// Large pages of indexes need the dictionary, which occurs once before them.
func TestLargePagesOfIndexes(t *testing.T) {
	type row struct {
		Word string `parquet:"word,dict"`
	}
	rows := make([]row, 700_000)
	for i := range rows {
		rows[i].Word = []string{"a", "b", "c"}[i%3]
	}
	var b bytes.Buffer
	if err := parquet.Write(&b, rows, parquet.PageBufferSize(1200<<10)); err != nil {
		t.Fatal(err)
	}
	file, err := open(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	pages, err := file.Pages(0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	values, err := readAll(pages)
	if err != nil || len(values) != len(rows) {
		t.Fatalf("%d values, %v", len(values), err)
	}
	for i, v := range values {
		if string(v.ByteArray()) != rows[i].Word {
			t.Fatalf("row %d is %q, want %q", i, v.ByteArray(), rows[i].Word)
		}
	}
}

// Whether a row may continue in the next page depends on the page's version.
func TestWholeRows(t *testing.T) {
	for _, version := range []int{1, 2} {
		file, err := open(pagedFile(t, parquet.DataPageVersion(version)))
		if err != nil {
			t.Fatal(err)
		}
		for column := range file.RowGroups()[0].ColumnChunks() {
			pages, err := file.Pages(0, column, 0)
			if err != nil {
				t.Fatal(err)
			}
			page, err := pages.ReadPage()
			if err != nil {
				t.Fatal(err)
			}
			parquet.Release(page)
			if pages.WholeRows() != (version == 2) {
				t.Errorf("column %d of version %d: rows are whole: %v", column, version, pages.WholeRows())
			}
			if err := pages.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// An index leads to the page that contains a row, and never outside of its column.
func TestIndexes(t *testing.T) {
	text := []byte("\x01\x00\x00\x00x")
	two := crafted{kind: format.ByteArray, headers: []format.PageHeader{v1(1, format.Plain, 5), v1(1, format.Plain, 5)}, bodies: [][]byte{text, []byte("\x01\x00\x00\x00y")}}
	header, err := thrift.Marshal(new(thrift.CompactProtocol), func() *format.PageHeader { h := v1(1, format.Plain, 5); h.CompressedPageSize = 5; return &h }())
	if err != nil {
		t.Fatal(err)
	}
	page := int64(len(header) + 5)
	at := func(locations ...int64) (index []format.PageLocation) { // offsets and rows
		for i := 0; i < len(locations); i += 2 {
			index = append(index, format.PageLocation{Offset: locations[i], FirstRowIndex: locations[i+1]})
		}
		return index
	}
	for _, test := range []struct {
		name  string
		index []format.PageLocation
		row   int64
		want  string // the values, or the error
	}{
		{"the second page", at(4, 0, 4+page, 1), 1, "y"},
		{"the first page of a later row is skipped", at(4, 0, 4+page, 2), 1, "y"},
		{"no page has the row", at(4, 3, 4+page, 5), 1, "y"},
		{"before the column", at(4, 0, 3, 1), 1, "!a page at byte 3 outside the column at [4, "},
		{"behind the column", at(4, 0, 4+2*page, 1), 1, fmt.Sprintf("!a page at byte %d outside the column at [4, %[1]d)", 4+2*page)},
		{"from the first row, it is not looked at", at(4, 0, 3, 1), 0, "xy"},
	} {
		c := two
		c.index = test.index
		file, err := open(c.file(t))
		if err != nil {
			t.Fatal(err)
		}
		pages, err := file.Pages(0, 0, test.row)
		var got string
		if err == nil {
			var values []parquet.Value
			values, err = readAll(pages)
			for _, v := range values {
				got += v.String()
			}
		}
		if err != nil {
			got = "!" + err.Error()
		}
		if !strings.HasPrefix(got, test.want) || err == nil && got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// The footer's index position must be inside the file and contain an index.
func TestClaimedIndexes(t *testing.T) {
	one := crafted{kind: format.ByteArray, headers: []format.PageHeader{v1(1, format.Plain, 5)}, bodies: [][]byte{[]byte("\x01\x00\x00\x00x")}}
	for name, change := range map[string]func(*format.ColumnChunk){
		"an index of 5 bytes at byte -1 of":         func(c *format.ColumnChunk) { c.OffsetIndexOffset, c.OffsetIndexLength = -1, 5 },
		"an index of -1 bytes at byte 4 of":         func(c *format.ColumnChunk) { c.OffsetIndexOffset, c.OffsetIndexLength = 4, -1 },
		"an index of 2147483647 bytes at byte 4 of": func(c *format.ColumnChunk) { c.OffsetIndexOffset, c.OffsetIndexLength = 4, math.MaxInt32 },
		"an index of 1 bytes at byte 1048576 of":    func(c *format.ColumnChunk) { c.OffsetIndexOffset, c.OffsetIndexLength = 1<<20, 1 },
	} {
		c := one
		c.change = change
		if _, err := open(c.file(t)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got error %v, want %q", err, name)
		}
	}
	damaged := one
	damaged.change = func(c *format.ColumnChunk) { c.OffsetIndexOffset, c.OffsetIndexLength = 4, 5 }
	file, err := open(damaged.file(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Pages(0, 0, 1); err == nil || !strings.HasPrefix(err.Error(), "offset index: ") {
		t.Errorf("an index that is none: %v", err)
	}
	for _, place := range [][2]int{{1, 0}, {0, 1}} {
		want := fmt.Sprintf("row group %d has no column %d", place[0], place[1])
		if _, err := file.Pages(place[0], place[1], 0); err == nil || err.Error() != want {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
}

// Whatever a page claims and whatever its decompressed size, it costs little memory.
func TestBombs(t *testing.T) {
	const huge = math.MaxInt32
	const much = 64 << 20
	text := []byte("\x01\x00\x00\x00x")
	levels := func(b []byte) []byte { return append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...) }
	one := func(codec format.CompressionCodec, h format.PageHeader, body []byte) crafted {
		return crafted{codec: codec, kind: format.ByteArray, headers: []format.PageHeader{h}, bodies: [][]byte{body}}
	}
	with := func(r format.FieldRepetitionType, c crafted) crafted { c.repetition = r; return c }
	changed := func(change func(*format.ColumnChunk), c crafted) crafted { c.change = change; return c }
	sized := func(n int32, c crafted) crafted { c.headers[0].CompressedPageSize = n; return c }
	inside := func(size int64, c crafted) crafted { c.size = size; return c }
	prefixes := slices.Concat(binary.AppendUvarint(nil, 128), []byte{4, 3}, binary.AppendVarint(nil, 0), binary.AppendVarint(nil, 200<<20),
		[]byte{0, 0, 0, 0}, packed(3))
	tests := map[string]struct {
		crafted
		want  string
		limit bool
	}{
		"claimed size":           {one(format.Zstd, v1(1, format.Plain, huge), text), "a page of 2147483647 bytes, but at most 268435456 are supported", true},
		"claimed size, v2":       {one(format.Zstd, v2(1, 0, 0, huge), text), "a page of 2147483647 bytes", true},
		"claimed dictionary":     {one(format.Zstd, dictionary(1, huge), text), "a page of 2147483647 bytes", true},
		"negative size":          {one(format.Zstd, v1(1, format.Plain, -1), text), "a page of -1 bytes", false},
		"stored size":            {sized(huge, one(format.Uncompressed, v1(1, format.Plain, 5), text)), "a page of 2147483647 bytes, but only 5 are left", false},
		"negative stored size":   {sized(-1, one(format.Uncompressed, v1(1, format.Plain, 5), text)), "a page of -1 bytes, but", false},
		"chunk":                  {inside(1<<40, one(format.Uncompressed, v1(1, format.Plain, 5), text)), "a column of 1099511627776 bytes at byte 4", false},
		"values":                 {one(format.Uncompressed, v1(huge, format.Plain, 5), text), "a page of 2147483647 values, but at most 67108864 are supported", true},
		"negative values":        {one(format.Uncompressed, v1(-1, format.Plain, 5), text), "a page of -1 values", false},
		"values, v2":             {one(format.Uncompressed, v2(huge, 0, 0, 5), text), "a page of 2147483647 values", true},
		"dictionary's values":    {one(format.Uncompressed, dictionary(huge, 5), text), "a dictionary of 2147483647 values in 5 bytes", false},
		"dictionary's few bytes": {one(format.Uncompressed, dictionary(6, 5), text), "a dictionary of 6 values in 5 bytes", false},
		"snappy":                 {one(format.Snappy, v1(1, format.Plain, 5), binary.AppendUvarint(nil, much)), "a page of 67108864 bytes, but its header declares 5", false},
		"snappy, v2":             {one(format.Snappy, v2(1, 0, 0, 5), snappy.Encode(nil, make([]byte, 1<<20))), "but its header declares 5", false},
		"gzip":                   {one(format.Gzip, v1(1, format.Plain, 5), zeros(t, format.Gzip)), "a page of 6 bytes, but its header declares 5", false},
		"brotli":                 {one(format.Brotli, v1(1, format.Plain, 5), zeros(t, format.Brotli)), "a page of 6 bytes, but its header declares 5", false},
		"zstd":                   {one(format.Zstd, v1(1, format.Plain, 5), zeros(t, format.Zstd)), "a page of 6 bytes, but its header declares 5", false},
		"zstd dictionary":        {one(format.Zstd, dictionary(1, 5), zeros(t, format.Zstd)), "a page of 6 bytes, but its header declares 5", false},
		"lz4":                    {one(format.Lz4Raw, v1(1, format.Plain, 5), bytes.Repeat([]byte{0xff}, 1000)), "LZ4_RAW data: ", false},
		"definition levels": {with(format.Optional, one(format.Uncompressed, v1(1, format.Plain, 15), append(levels(run(huge, 1)), text...))),
			"levels: a page of 2147483647 values", true},
		"many runs of levels": {with(format.Optional, one(format.Uncompressed, v1(1, format.Plain, 329), levels(bytes.Repeat(run(1<<20, 0), 65)))),
			"levels: a page of 68157440 values", true},
		"repetition levels": {with(format.Repeated, one(format.Uncompressed, v1(1, format.Plain, 15), append(levels(run(huge, 0)), text...))),
			"levels: a page of 2147483647 values", true},
		"levels, v2": {with(format.Optional, one(format.Uncompressed, v2(1, 0, 6, 11), append(run(huge, 1), text...))),
			"levels: a page of 2147483647 values", true},
		"levels longer than the page": {with(format.Optional, one(format.Uncompressed, v2(1, 6, huge, 11), text)),
			"levels of 6 and 2147483647 bytes in a page of 5", false},
		"indexes": {crafted{kind: format.ByteArray, headers: []format.PageHeader{dictionary(1, 5), v1(1, format.RLEDictionary, 7)},
			bodies: [][]byte{text, append([]byte{1}, run(huge, 0)...)}}, "a page of 2147483647 values", true},
		"indexes of no bits": {crafted{kind: format.ByteArray, headers: []format.PageHeader{dictionary(1, 5), v1(1, format.RLEDictionary, 6)},
			bodies: [][]byte{text, append([]byte{0}, run(huge)...)}}, "a page of 2147483647 values", true},
		"packed lengths":  {one(format.Uncompressed, v1(1, format.DeltaLengthByteArray, 0), packed(footer.MaxValues+1)), "a page of 67108865 values", true},
		"packed prefixes": {one(format.Uncompressed, v1(3, format.DeltaByteArray, int32(len(prefixes))), prefixes), "bytes, but at most 268435456", true},
		"runs of booleans": {crafted{kind: format.Boolean, headers: []format.PageHeader{v1(1, format.RLE, 10)},
			bodies: [][]byte{levels(run(huge, 1))}}, "values of type BOOLEAN in the encoding RLE, which is not supported for them", true},
		"no dictionary": {one(format.Uncompressed, v1(1, format.RLEDictionary, 3), []byte{1, 2, 0}), "a chunk without its dictionary", false},
		"index page":    {one(format.Uncompressed, format.PageHeader{Type: format.IndexPage, UncompressedPageSize: 5, IndexPageHeader: thrift.New(format.IndexPageHeader{})}, text), "a page of the unknown type 1", false},
		"short page":    {one(format.Uncompressed, v1(1, format.Plain, 6), text), "a page of 5 bytes, but its header declares 6", false},
		"short gzip":    {one(format.Gzip, v1(1, format.Plain, 6), small(t, format.Gzip, text)), "a page of 5 bytes, but its header declares 6", false},
		"short brotli":  {one(format.Brotli, v1(1, format.Plain, 6), small(t, format.Brotli, text)), "a page of 5 bytes, but its header declares 6", false},
		"short zstd":    {one(format.Zstd, v1(1, format.Plain, 6), small(t, format.Zstd, text)), "a page of 5 bytes, but its header declares 6", false},
		"short snappy":  {one(format.Snappy, v1(1, format.Plain, 6), snappy.Encode(nil, text)), "a page of 5 bytes, but its header declares 6", false},
		"empty gzip":    {one(format.Gzip, v1(1, format.Plain, 5), small(t, format.Gzip, nil)), "a page of 0 bytes, but its header declares 5", false},
		"no gzip":       {one(format.Gzip, v1(1, format.Plain, 5), text), "gzip data: ", false},
		"cut gzip":      {one(format.Gzip, v1(1, format.Plain, 5), small(t, format.Gzip, text)[:12]), "but its header declares 5", false},
		"no snappy":     {one(format.Snappy, v1(1, format.Plain, 5), []byte{5, 0xff}), "SNAPPY data: ", false},
		"no zstd":       {one(format.Zstd, v1(1, format.Plain, 5), text), "ZSTD data: ", false},
		"cut header":    {inside(3, one(format.Uncompressed, v1(1, format.Plain, 5), text)), "header of the page at byte 4: ", false},
		"page outside":  {changed(func(c *format.ColumnChunk) { c.MetaData.DataPageOffset = -1 }, one(format.Uncompressed, v1(1, format.Plain, 5), text)), "bytes at byte -1 of", false},
		"negative chunk": {changed(func(c *format.ColumnChunk) { c.MetaData.TotalCompressedSize = -1 }, one(format.Uncompressed, v1(1, format.Plain, 5), text)),
			"a column of -1 bytes at byte 4 of", false},
		"LZO":      {one(format.LZO, v1(1, format.Plain, 5), text), "pages compressed with LZO, which is not supported; write the file again with zstd", true},
		"checksum": {one(format.Uncompressed, func() format.PageHeader { h := v1(1, format.Plain, 5); h.CRC = 7; return h }(), text), "a page's checksum does not match its bytes", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.headers[0].UncompressedPageSize == 0 {
				test.headers[0].UncompressedPageSize = int32(len(test.bodies[0]))
			}
			content := test.file(t)
			file, err := open(content)
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			pages, err := file.Pages(0, 0, 0)
			if err == nil {
				_, err = readAll(pages)
			}
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v\nwant one with %q", err, test.want)
			}
			if _, isLimit := errors.AsType[*footer.LimitError](err); isLimit != test.limit {
				t.Errorf("error %v is a limit: %v, want %v", err, isLimit, test.limit)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
				t.Errorf("%d bytes were allocated for a file of %d", n, len(content))
			}
		})
	}
}

// A reader's error is not reported as damage.
func TestBrokenPages(t *testing.T) {
	content := pagedFile(t)
	r := &late{ReaderAt: bytes.NewReader(content)}
	file, err := footer.Open("a.parquet", r, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	r.broken = true
	pages, err := file.Pages(0, 0, 0)
	if err == nil {
		_, err = readAll(pages)
	}
	if !errors.Is(err, errBroken) {
		t.Errorf("got %v, want the reader's error", err)
	}
}

type late struct {
	io.ReaderAt
	broken bool
}

func (l *late) ReadAt(b []byte, offset int64) (int, error) {
	if l.broken {
		return 0, errBroken
	}
	return l.ReaderAt.ReadAt(b, offset)
}

// FuzzPages damages a byte of a file and reads all its pages from a row: this gives an error or values.
func FuzzPages(f *testing.F) {
	for _, version := range []int{1, 2} {
		f.Add(pagedFile(f, parquet.DataPageVersion(version)), uint32(0), byte(0), byte(0))
		f.Add(pagedFile(f, parquet.DataPageVersion(version), parquet.Compression(&parquet.Zstd)), uint32(200), byte(0x80), byte(70))
	}
	f.Fuzz(func(t *testing.T, content []byte, at uint32, flip, row byte) {
		content = slices.Clone(content)
		if int64(at) < int64(len(content)) {
			content[at] ^= flip
		}
		file, err := open(content)
		if err != nil {
			return
		}
		for group, g := range file.RowGroups() {
			for column := range g.ColumnChunks() {
				pages, err := file.Pages(group, column, int64(row))
				if err != nil {
					continue
				}
				for err == nil {
					var page parquet.Page
					if page, err = pages.ReadPage(); err == nil {
						parquet.Release(page)
					}
				}
				if err := pages.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	})
}
