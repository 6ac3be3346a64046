package footer_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"surprisal.dev/plugins/footer"
	"surprisal.dev/plugins/protocol"
)

type record struct {
	Text string   `parquet:"text"`
	Tags []string `parquet:"tags,list"`
}

// whole is a file of two row groups with an index.
func whole(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[record](&b, parquet.KeyValueMetadata("made", "by a test"))
	for range 2 {
		if _, err := w.Write([]record{{"a", []string{"x", "y"}}, {"b", nil}}); err != nil {
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

// framed puts a footer in its place in a file.
func framed(footer ...byte) []byte {
	b := append([]byte("PAR1"), footer...)
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(footer))), "PAR1"...)
}

// list begins a list of structs in the field whose id follows that of the field before it.
func list(size uint64) []byte { return binary.AppendUvarint([]byte{0x19, 0xfc}, size) }

func open(content []byte) (*footer.File, error) {
	return footer.Open("a.parquet", bytes.NewReader(content), int64(len(content)))
}

func TestOpen(t *testing.T) {
	file, err := open(whole(t))
	if err != nil {
		t.Fatal(err)
	}
	if file.NumRows() != 4 || len(file.RowGroups()) != 2 {
		t.Errorf("found %d rows in %d groups, want 4 in 2", file.NumRows(), len(file.RowGroups()))
	}
	if index, err := file.RowGroups()[1].ColumnChunks()[0].OffsetIndex(); err != nil || index.NumPages() != 1 {
		t.Errorf("the index that was left unread: %v, %v", index, err)
	}
	for i, group := range file.Metadata().RowGroups {
		if got := file.GroupBytes(i); got != group.TotalByteSize || got == 0 {
			t.Errorf("group %d has %d bytes, want %d", i, got, group.TotalByteSize)
		}
	}
}

// No claim of a damaged footer is trusted, however large: not its own size, nor the size of a list or an index.
func TestClaims(t *testing.T) {
	good := whole(t)
	resized := slices.Clone(good)
	binary.LittleEndian.PutUint32(resized[len(resized)-8:], math.MaxUint32-16)
	version := []byte{0x15, 0x02} // field 1: the number 1
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"empty":     {nil, "the file has 0 bytes, too few for a Parquet file"},
		"text":      {[]byte("this is no such file"), `it begins with "this" and ends with "file", not PAR1`},
		"cut":       {good[:len(good)/2], "not a Parquet file, or truncated"},
		"encrypted": {append([]byte("PARE"), good[4:]...), "encrypted; decrypt it first"},
		"11 bytes":  {[]byte("PAR1xxxPAR1"), "the file has 11 bytes, too few for a Parquet file"},
		"no footer": {framed(), "damaged Parquet footer: byte 0 of 0: unexpected EOF; download or copy the file again"},
		"a byte":    {[]byte("PAR1\x01\x00\x00\x00PAR1"), "damaged Parquet footer: it claims 1 bytes, but the file has 12"},
		"its end":   {append(slices.Clone(good[:len(good)-4]), "PARE"...), "encrypted; decrypt it first"},
		"begin":     {append([]byte("PAR2"), good[4:]...), `it begins with "PAR2" and ends with "PAR1"`},
		"footer":    {resized, "it claims 4294967279 bytes, but the file has"},
		"schema":    {framed(append(version, list(math.MaxInt32)...)...), "a list of 2147483647 values in 0 bytes"},
		"text size": {framed(slices.Concat(version, list(1), binary.AppendUvarint([]byte{0x48}, math.MaxInt32), []byte("abc"))...), "a value of 2147483647 bytes, but only 3 are left"},
		"unknown":   {framed(append(version, 0x1f)...), "unknown type 15"},
		"nested":    {framed(bytes.Repeat([]byte{0x1c}, 1<<20)...), "values nested more than 32 deep"},
		"no number": {framed(0x15), "unexpected EOF"},
		"long":      {framed(append([]byte{0x15}, bytes.Repeat([]byte{0xff}, 11)...)...), "a number of more than 64 bits"},
		"no column": {framed(append(version, 0)...), "damaged Parquet footer"},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := open(test.content)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.HasPrefix(err.Error(), "a.parquet: ") || !strings.Contains(err.Error(), test.want) || protocol.KindOf(err) != protocol.InvalidInput {
				t.Errorf("got error %v of kind %q\nwant one of invalid input that begins with the name and has %q", err, protocol.KindOf(err), test.want)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
				t.Errorf("%d bytes were allocated to open a file of %d", n, len(test.content))
			}
		})
	}
}

type broken struct {
	io.ReaderAt
	whole int64
}

var errBroken = errors.New("the disk is gone")

func (b broken) ReadAt(to []byte, offset int64) (int, error) {
	if offset+int64(len(to)) > b.whole {
		return 0, errBroken
	}
	return b.ReaderAt.ReadAt(to, offset)
}

// A read error is not reported as damage.
func TestBrokenReader(t *testing.T) {
	good := whole(t)
	for _, whole := range []int{0, 4, len(good) - 8} {
		_, err := footer.Open("a.parquet", broken{bytes.NewReader(good), int64(whole)}, int64(len(good)))
		if !errors.Is(err, errBroken) || protocol.KindOf(err) != "" {
			t.Errorf("with %d bytes that can be read: found %v of kind %q, want the reader's error", whole, err, protocol.KindOf(err))
		}
	}
}

// Whichever byte of a file is damaged, opening it gives the file or an error of invalid input. If the byte belongs to
// the frame, to the schema's size or to a name's size, it gives the error.
func TestDamagedFiles(t *testing.T) {
	good := whole(t)
	size := int(binary.LittleEndian.Uint32(good[len(good)-8:]))
	begin := len(good) - 8 - size
	name := begin + bytes.Index(good[begin:], []byte("tags"))
	frame := func(at int) bool { return at < 4 || at >= len(good)-8 || at == begin+3 || at == name-1 }
	for i := range good {
		for _, b := range []byte{0, 0x0f, 0x7f, 0x80, 0xf9, 0xff} {
			damaged := slices.Clone(good)
			damaged[i] = b
			_, err := open(damaged)
			if err != nil && protocol.KindOf(err) != protocol.InvalidInput {
				t.Fatalf("byte %d of %d is %#x: error %v of kind %q", i, len(good), b, err, protocol.KindOf(err))
			}
			if err == nil && b != good[i] && frame(i) {
				t.Errorf("byte %d of %d is %#x where it was %#x, and no error", i, len(good), b, good[i])
			}
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(whole(f))
	f.Add(framed(0))
	f.Fuzz(func(t *testing.T, content []byte) {
		if _, err := open(content); err != nil && protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("error %v of kind %q", err, protocol.KindOf(err))
		}
	})
}
