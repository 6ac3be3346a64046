package footer

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go/format"
)

// accepts checks an error against the expected one, "" for none, and whether it is a LimitError.
func accepts(t *testing.T, name string, err error, want string, isLimit bool) {
	t.Helper()
	if _, is := errors.AsType[*LimitError](err); is != isLimit {
		t.Errorf("%s: %v is a limit: %v", name, err, is)
	}
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: error %v, want %q", name, err, want)
	}
}

func varint(n uint64, after ...byte) []byte { return append(binary.AppendUvarint(nil, n), after...) }

// Runs of levels and indexes are limited in bytes and values.
func TestRuns(t *testing.T) {
	repeated := func(n uint64, value ...byte) []byte { return varint(n<<1, value...) }
	groups := func(n uint64, values ...byte) []byte { return varint(n<<1|1, values...) }
	for _, test := range []struct {
		name  string
		data  []byte
		width int
		want  string
		limit bool
	}{
		{"nothing", nil, 1, "", false},
		{"a value of 1 bit", repeated(5, 1), 1, "", false},
		{"a value of 8 bits", repeated(5, 1), 8, "", false},
		{"a value of 9 bits", repeated(5, 1, 1), 9, "", false},
		{"a value of 9 bits, cut", repeated(5, 1), 9, "a run of 2 bytes, but only 1 are left", false},
		{"a value of no bits", repeated(5), 0, "", false},
		{"two runs", slices.Concat(repeated(5, 1), repeated(6, 0)), 1, "", false},
		{"a second run, cut", slices.Concat(repeated(5, 1), repeated(6)), 1, "a run of 1 bytes, but only 0 are left", false},
		{"a group", groups(1, 1, 2, 3), 3, "", false},
		{"a group, cut", groups(1, 1, 2), 3, "a run of 3 bytes, but only 2 are left", false},
		{"two groups", groups(2, 1, 2, 3, 4, 5, 6), 3, "", false},
		{"a length that is cut", []byte{0x80}, 1, "a run without a length", false},
		{"a length of too many bits", slices.Repeat([]byte{0xff}, 11), 1, "a run without a length", false},
		{"as many values as a page may have", repeated(MaxValues, 1), 1, "", false},
		{"one more", repeated(MaxValues+1, 1), 1, "a page of 67108865 values, but at most 67108864", true},
		{"as many and what fills up a group", slices.Concat(repeated(MaxValues, 1), repeated(slack, 1)), 1, "", false},
		{"one more than those", slices.Concat(repeated(MaxValues, 1), repeated(slack+1, 1)), 1, "a page of 67109377 values", true},
		{"as many in groups of no bits", groups((MaxValues + slack) / 8), 0, "", false},
		{"one more group", groups((MaxValues+slack)/8 + 1), 0, "a page of 67109384 values", true},
		{"more groups than numbers", groups(math.MaxUint64 >> 1), 8, "a page of ", true},
	} {
		accepts(t, test.name, runs(test.data, test.width), test.want, test.limit)
	}
}

// packedHeader begins packed integers.
func packedHeader(block, parts, count uint64, first int64) []byte {
	return binary.AppendVarint(slices.Concat(varint(block), varint(parts), varint(count)), first)
}

// The size of packed integers is that of their header and of the parts that their count requires.
func TestPacked(t *testing.T) {
	body := func(count uint64, rest ...byte) []byte { return append(packedHeader(128, 4, count, 0), rest...) }
	bytes := func(n int) []byte { return make([]byte, n) }
	for _, test := range []struct {
		name  string
		data  []byte
		size  int
		want  string
		limit bool
	}{
		{"none", body(0, 9, 9), 5, "", false},
		{"one", body(1, 9, 9), 5, "", false},
		{"two, without bits", body(2, 0, 0, 0, 0, 0, 9, 9), 10, "", false},
		{"a part of 32 in 1 bit each", append(body(33, 0, 1, 0, 0, 0), bytes(10)...), 14, "", false},
		{"one more, in 2 bits", append(body(34, 0, 1, 2, 0, 0), bytes(20)...), 22, "", false},
		{"parts that are not needed have widths and no bytes", append(body(33, 0, 1, 7, 7, 7), bytes(10)...), 14, "", false},
		{"a block", append(body(129, 0, 1, 1, 1, 1), bytes(20)...), 27, "", false},
		{"a block and one", append(body(130, 0, 1, 1, 1, 1), append(bytes(16), 0, 0, 0, 0, 0, 9)...), 32, "", false},
		{"a last part that is cut off", append(body(33, 0, 1, 0, 0, 0), bytes(2)...), 12, "", false},
		{"widths that are cut off", body(33, 0, 1, 0, 0), 0, "truncated packed integers", false},
		{"a header that is cut off", []byte{0x80, 1, 4, 1}, 0, "truncated packed integers", false},
		{"a block that is cut off", body(2), 0, "truncated packed integers", false},
		{"as many as a page may have, cut off", body(MaxValues), 0, "truncated packed integers", false},
		{"one more", body(MaxValues + 1), 0, "a page of 67108865 values", true},
		{"far more", body(math.MaxUint64), 0, "a page of 4611686018427387904 values", true},
		{"no parts", packedHeader(128, 0, 1, 0), 0, "packed integers in blocks of 128 in 0 parts", false},
		{"no block", packedHeader(0, 4, 1, 0), 0, "packed integers in blocks of 0 in 4 parts", false},
		{"uneven parts", packedHeader(128, 3, 1, 0), 0, "packed integers in blocks of 128 in 3 parts", false},
		{"a block that is too large", packedHeader(MaxValues+4, 4, 1, 0), 0, "packed integers in blocks of 67108868 in 4 parts", false},
		{"more parts than values", packedHeader(128, 256, 1, 0), 0, "packed integers in blocks of 128 in 256 parts", false},
	} {
		size, err := packed(test.data)
		accepts(t, test.name, err, test.want, test.limit)
		if size != test.size {
			t.Errorf("%s: %d bytes, want %d", test.name, size, test.size)
		}
	}
}

// The lengths of prefixes and suffixes add up to at most a page.
func TestPrefixes(t *testing.T) {
	lengths := func(prefix, suffix int64) []byte {
		return slices.Concat(packedHeader(128, 4, 1, prefix), packedHeader(128, 4, 1, suffix), []byte("text"))
	}
	for _, test := range []struct {
		name  string
		data  []byte
		want  string
		limit bool
	}{
		{"a page", lengths(MaxPage-3, 3), "", false},
		{"a byte more", lengths(MaxPage-3, 4), "a page of 268435457 bytes, but at most 268435456", true},
		{"a prefix that is too long", lengths(MaxPage+1, 0), "a page of 268435457 bytes", true},
		{"a negative prefix", lengths(-1, 3), "a length of -1", false},
		{"a negative length", lengths(3, -2), "a length of -2", false},
		{"without lengths of what follows", packedHeader(128, 4, 1, 3), "truncated packed integers", false},
	} {
		accepts(t, test.name, prefixes(test.data), test.want, test.limit)
	}
}

func TestPageValues(t *testing.T) {
	accepts(t, "none", values(0), "", false)
	accepts(t, "as many as a page may have", values(MaxValues), "", false)
	accepts(t, "one more", values(MaxValues+1), "a page of 67108865 values", true)
	accepts(t, "fewer than none", values(-1), "a page of -1 values", false)
}

// In a page of version 1, the levels precede the values, each with its size. In a page of version 2, their sizes are
// known.
func TestLevelsOfPages(t *testing.T) {
	sized := func(levels ...byte) []byte {
		return append(binary.LittleEndian.AppendUint32(nil, uint32(len(levels))), levels...)
	}
	bad := []byte{0x80} // a run without a length
	for _, test := range []struct {
		name                   string
		repetition, definition int
		encoding               format.Encoding
		data                   []byte
		want                   string
	}{
		{"none", 0, 0, format.RLE, []byte("x"), ""},
		{"both", 1, 1, format.RLE, slices.Concat(sized(2, 0), sized(2, 1), bad), ""},
		{"bad repetition levels", 1, 1, format.RLE, slices.Concat(sized(bad...), sized(2, 1)), "levels: a run without a length"},
		{"bad definition levels", 1, 1, format.RLE, slices.Concat(sized(2, 0), sized(bad...)), "levels: a run without a length"},
		{"levels that are not runs", 1, 1, format.BitPacked, slices.Concat(sized(bad...), sized(bad...)), ""}, //nolint:staticcheck // Old files have it.
		{"no size", 0, 1, format.RLE, []byte{1, 0, 0}, "unexpected EOF"},
		{"all that is left", 0, 1, format.RLE, sized(2, 1), ""},
		{"more than is left", 0, 1, format.RLE, append(binary.LittleEndian.AppendUint32(nil, 3), 2, 1), "levels of 3 bytes, but only 2 are left"},
		{"no second size", 1, 1, format.RLE, sized(2, 0), "unexpected EOF"},
	} {
		s := &stream{repetition: test.repetition, definition: test.definition}
		h := &format.DataPageHeader{NumValues: 1, RepetitionLevelEncoding: test.encoding, DefinitionLevelEncoding: test.encoding}
		accepts(t, test.name, s.checkV1(h, test.data), test.want, false)
	}
	s := &stream{repetition: 1, definition: 9}
	for name, test := range map[string]struct {
		data       []byte
		repetition int32
		definition int32
		want       string
	}{
		"levels":                {[]byte{2, 1, 2, 1, 1, 0x80}, 2, 3, ""},
		"bad repetition levels": {[]byte{0x80, 2, 1, 1}, 1, 3, "levels: a run without a length"},
		"short definition":      {[]byte{2, 1, 2, 1, 1}, 2, 2, "levels: a run of 2 bytes, but only 1 are left"},
	} {
		h := &format.DataPageHeaderV2{NumValues: 1, RepetitionLevelsByteLength: test.repetition, DefinitionLevelsByteLength: test.definition}
		accepts(t, name, s.checkV2(h, test.data), test.want, false)
	}
}

// Values are checked by their encoding.
func TestEncodings(t *testing.T) {
	for _, test := range []struct {
		name     string
		encoding format.Encoding
		data     []byte
		want     string
		limit    bool
	}{
		{"plain", format.Plain, []byte{0x80}, "", false},
		{"no indexes", format.RLEDictionary, nil, "", false},
		{"indexes of 32 bits", format.RLEDictionary, []byte{32, 2, 0, 0, 0, 0}, "", false},
		{"indexes of 32 bits, cut", format.RLEDictionary, []byte{32, 2, 0, 0, 0}, "a run of 4 bytes, but only 3 are left", false},
		{"indexes of 33 bits", format.RLEDictionary, []byte{33, 2, 0, 0, 0, 0, 0}, "indexes of 33 bits", false},
		{"packed integers", format.DeltaBinaryPacked, packedHeader(128, 4, 1, 0), "", false},
		{"bad packed integers", format.DeltaBinaryPacked, packedHeader(128, 3, 1, 0), "in 3 parts", false},
		{"bad lengths", format.DeltaLengthByteArray, packedHeader(128, 3, 1, 0), "in 3 parts", false},
		{"bad prefixes", format.DeltaByteArray, packedHeader(128, 3, 1, 0), "in 3 parts", false},
		{"runs", format.RLE, nil, "in the encoding RLE, which is not supported for them; write the file again with another encoding", true},
	} {
		accepts(t, test.name, new(stream).checkValues(test.encoding, test.data), test.want, test.limit)
	}
}

// The walk over a footer visits each kind of value to its end, and not beyond.
func TestWalk(t *testing.T) {
	nested := func(n int) []byte { return append(slices.Repeat([]byte{0x1c}, n), make([]byte, n+1)...) }
	eight, sixteen := make([]byte, 8), make([]byte, 16)
	for _, test := range []struct {
		name string
		data []byte // a struct, whose end is a 0
		want string
	}{
		{"no fields", []byte{0}, ""},
		{"booleans", []byte{0x11, 0x12, 0}, ""},
		{"a byte", []byte{0x13, 0x80, 0}, ""},
		{"numbers", []byte{0x14, 1, 0x15, 0x80, 1, 0x16, 0xff, 0xff, 1, 0}, ""},
		{"a double", slices.Concat([]byte{0x17}, eight, []byte{0}), ""},
		{"a double, cut", slices.Concat([]byte{0x17}, eight[1:]), "a value of 8 bytes, but only 7 are left"},
		{"a uuid", slices.Concat([]byte{0x1d}, sixteen, []byte{0}), ""},
		{"bytes", []byte{0x18, 3, 'a', 'b', 'c', 0x18, 0, 0}, ""},
		{"bytes, cut", []byte{0x18, 4, 'a', 'b', 'c'}, "a value of 4 bytes, but only 3 are left"},
		{"a short list", []byte{0x19, 0x25, 1, 2, 0}, ""},
		{"a long list", slices.Concat([]byte{0x19, 0xf3, 16}, sixteen, []byte{0}), ""},
		{"a list of booleans", []byte{0x19, 0x21, 1, 2, 0}, ""},
		{"a set", []byte{0x1a, 0x13, 7, 0}, ""},
		{"a list of lists", []byte{0x19, 0x29, 0x13, 7, 0x13, 7, 0}, ""},
		{"a list of structs", []byte{0x19, 0x2c, 0x13, 7, 0, 0, 0}, ""},
		{"an empty list", []byte{0x19, 0x0c, 0}, ""},
		{"an empty map", []byte{0x1b, 0, 0}, ""},
		{"a map", []byte{0x1b, 2, 0x83, 1, 'a', 7, 1, 'b', 7, 0}, ""},
		{"a map, cut", []byte{0x1b, 2, 0x83, 1, 'a'}, "a value of 1 bytes, but only 0 are left"},
		{"a map of too many entries", []byte{0x1b, 9, 0x83, 1, 'a'}, "a list of 9 values in 2 bytes"},
		{"a field with its id", []byte{0x03, 0x80, 1, 7, 0}, ""},
		{"a field without its id", []byte{0x03, 0x80}, "unexpected EOF"},
		{"a struct in a struct", []byte{0x1c, 0x13, 7, 0, 0x13, 7, 0}, ""},
		{"nested as deep as may be", nested(depth), ""},
		{"nested deeper", nested(depth + 1), "values nested more than 32 deep"},
		{"without its end", []byte{0x13, 7}, "unexpected EOF"},
		{"an unknown type", []byte{0x1e, 0}, "a value of the unknown type 14"},
		{"nothing", nil, "unexpected EOF"},
	} {
		w := walker{rest: slices.Concat(test.data, []byte("more"))}
		if test.want != "" {
			w.rest = test.data
		}
		err := w.value(structType, 0)
		accepts(t, test.name, err, test.want, false)
		if err == nil && string(w.rest) != "more" {
			t.Errorf("%s: %q is left", test.name, w.rest)
		}
	}
	accepts(t, "where it is damaged", check([]byte{0x13, 7, 0x1e}), "byte 3 of 3: a value of the unknown type 14", false)
}
