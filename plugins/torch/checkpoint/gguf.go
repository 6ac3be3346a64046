package checkpoint

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"surprisal.dev/plugins/torch/family"
	"surprisal.dev/plugins/torch/graph"
)

// ggufTypes names the tensor types of ggml.
var ggufTypes = map[uint32]Type{
	0: F32, 1: F16, 2: Q4_0, 3: Q4_1, 6: Q5_0, 7: "Q5_1", 8: Q8_0, 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: Q4_K, 13: Q5_K, 14: Q6_K,
	15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS",
	24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 30: BF16, 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}

// Types of metadata values.
const (
	ggufUint8 uint32 = iota
	ggufInt8
	ggufUint16
	ggufInt16
	ggufUint32
	ggufInt32
	ggufFloat32
	ggufBool
	ggufString
	ggufArray
	ggufUint64
	ggufInt64
	ggufFloat64
)

// ggufReader reads a GGUF header. It keeps the first error; after it, all values are zero.
type ggufReader struct {
	path string
	data []byte
	at   int
	err  error
}

func (r *ggufReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = invalid("%s: GGUF header, byte %d: %s", r.path, r.at, fmt.Sprintf(format, args...))
	}
}

func (r *ggufReader) take(n uint64) []byte {
	if r.err == nil && n > uint64(len(r.data)-r.at) {
		r.fail("truncated: %d bytes needed, %d left", n, len(r.data)-r.at)
	}
	if r.err != nil {
		return nil
	}
	b := r.data[r.at : r.at+int(n)]
	r.at += int(n)
	return b
}

func (r *ggufReader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *ggufReader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *ggufReader) string() string { return string(r.take(r.uint64())) }

// count reads the number of items that each need at least size bytes, so that allocations stay in proportion to the
// file.
func (r *ggufReader) count(what string, size int) int {
	n := r.uint64()
	if left := len(r.data) - r.at; r.err == nil && n > uint64(left/size) {
		r.fail("%d %s cannot fit into the %d bytes left", n, what, left)
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

// list reads the elements of an array, size bytes each.
func list[T any](r *ggufReader, size int, read func([]byte) T) []T {
	n := r.count("array elements", size)
	values := make([]T, n)
	b := r.take(uint64(n) * uint64(size))
	if r.err != nil {
		return nil
	}
	for i := range values {
		values[i] = read(b[i*size:])
	}
	return values
}

// one reads a value of size bytes.
func one[T any](r *ggufReader, size uint64, read func([]byte) T) (value T) {
	if b := r.take(size); b != nil {
		value = read(b)
	}
	return value
}

func readUint8(b []byte) uint8     { return b[0] }
func readInt8(b []byte) int8       { return int8(b[0]) }
func readUint16(b []byte) uint16   { return binary.LittleEndian.Uint16(b) }
func readInt16(b []byte) int16     { return int16(binary.LittleEndian.Uint16(b)) }
func readUint32(b []byte) uint32   { return binary.LittleEndian.Uint32(b) }
func readInt32(b []byte) int32     { return int32(binary.LittleEndian.Uint32(b)) }
func readUint64(b []byte) uint64   { return binary.LittleEndian.Uint64(b) }
func readInt64(b []byte) int64     { return int64(binary.LittleEndian.Uint64(b)) }
func readFloat32(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }
func readFloat64(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }
func readBool(b []byte) bool       { return b[0] != 0 }

func (r *ggufReader) value() any {
	switch kind := r.uint32(); kind {
	case ggufUint8:
		return one(r, 1, readUint8)
	case ggufInt8:
		return one(r, 1, readInt8)
	case ggufUint16:
		return one(r, 2, readUint16)
	case ggufInt16:
		return one(r, 2, readInt16)
	case ggufUint32:
		return one(r, 4, readUint32)
	case ggufInt32:
		return one(r, 4, readInt32)
	case ggufFloat32:
		return one(r, 4, readFloat32)
	case ggufBool:
		return one(r, 1, readBool)
	case ggufString:
		return r.string()
	case ggufArray:
		return r.array()
	case ggufUint64:
		return one(r, 8, readUint64)
	case ggufInt64:
		return one(r, 8, readInt64)
	case ggufFloat64:
		return one(r, 8, readFloat64)
	default:
		r.fail("metadata of unknown type %d", kind)
		return nil
	}
}

func (r *ggufReader) array() any {
	switch kind := r.uint32(); kind {
	case ggufUint8:
		return list(r, 1, readUint8)
	case ggufInt8:
		return list(r, 1, readInt8)
	case ggufUint16:
		return list(r, 2, readUint16)
	case ggufInt16:
		return list(r, 2, readInt16)
	case ggufUint32:
		return list(r, 4, readUint32)
	case ggufInt32:
		return list(r, 4, readInt32)
	case ggufFloat32:
		return list(r, 4, readFloat32)
	case ggufBool:
		return list(r, 1, readBool)
	case ggufString:
		values := make([]string, r.count("strings", 8))
		for i := range values {
			values[i] = r.string()
		}
		return values
	case ggufUint64:
		return list(r, 8, readUint64)
	case ggufInt64:
		return list(r, 8, readInt64)
	case ggufFloat64:
		return list(r, 8, readFloat64)
	default:
		r.fail("array of unsupported type %d", kind)
		return nil
	}
}

// parseGGUF reads a GGUF file of version 2 or 3: metadata, then tensors.
func parseGGUF(path string, data []byte) (map[string]any, []stored, error) {
	r := &ggufReader{path: path, data: data}
	if err := r.version(); err != nil {
		return nil, nil, err
	}
	// The shortest tensor has an empty name, no sizes, a type and an offset; the shortest pair has a key, a type and a
	// byte.
	tensorCount, pairCount := r.count("tensors", 8+4+4+8), r.count("metadata pairs", 8+4+1)
	if r.err != nil {
		return nil, nil, r.err
	}
	metadata, err := r.pairs(pairCount)
	if err != nil {
		return nil, nil, err
	}
	if shards, ok := family.Integer(metadata["split.count"]); ok && shards > 1 {
		return nil, nil, invalid("%s is one of %d shards of a model; merge them with llama-gguf-split --merge", path, shards)
	}
	alignment := int64(32)
	if value, has := metadata["general.alignment"]; has {
		var ok bool
		if alignment, ok = family.Integer(value); !ok || alignment < 1 || alignment > 1<<20 {
			return nil, nil, invalid("%s: general.alignment is %v", path, value)
		}
	}

	tensors, err := r.tensors(tensorCount)
	if err != nil {
		return nil, nil, err
	}
	// The data begins at the next multiple of the alignment; a file without tensors may end before it.
	start := (int64(r.at) + alignment - 1) / alignment * alignment
	body := data[min(start, int64(len(data))):]
	for i := range tensors {
		if err := tensors[i].locate(body, alignment); err != nil {
			return nil, nil, err
		}
	}
	if err := overlap(tensors); err != nil {
		return nil, nil, err
	}
	return metadata, tensors, gaps(tensors, uint64(alignment))
}

// gaps rejects a tensor after which there are more bytes than the next one's alignment needs: its data is longer than its
// type and shape say.
func gaps(tensors []stored, alignment uint64) error {
	order := slices.SortedFunc(slices.Values(tensors), func(a, b stored) int { return cmp.Compare(a.offset, b.offset) })
	for i := 1; i < len(order); i++ {
		a, b := order[i-1], order[i]
		if end := a.offset + uint64(len(a.data)); b.offset-end >= alignment {
			return invalid("%s: tensor %q of type %s and shape %v has %d bytes, but the next one, %q, begins %d bytes after its beginning; download the file again",
				a.file, a.name, a.typ, a.shape, len(a.data), b.name, b.offset-a.offset)
		}
	}
	return nil
}

// version reads the beginning of the file, and rejects what is not a supported version of GGUF.
func (r *ggufReader) version() error {
	if magic := r.take(4); r.err == nil && string(magic) != "GGUF" {
		return invalid("%s is not a GGUF file: it begins with %q", r.path, magic)
	}
	switch version := r.uint32(); {
	case r.err != nil:
		return r.err
	case version == 2<<24 || version == 3<<24:
		return invalid("%s is a big-endian GGUF file; only little-endian ones are supported", r.path)
	case version != 2 && version != 3:
		return invalid("%s has GGUF version %d; versions 2 and 3 are supported", r.path, version)
	}
	return nil
}

// pairs reads the metadata.
func (r *ggufReader) pairs(count int) (map[string]any, error) {
	metadata := map[string]any{}
	for range count {
		key := r.string()
		if _, twice := metadata[key]; twice {
			r.fail("duplicate metadata key %q", key)
		}
		if metadata[key] = r.value(); r.err != nil {
			return nil, fmt.Errorf("metadata key %q: %w", key, r.err)
		}
	}
	return metadata, nil
}

// tensors reads the descriptions of the tensors: name, type, shape and offset.
func (r *ggufReader) tensors(count int) ([]stored, error) {
	var tensors []stored
	seen := map[string]bool{}
	for range count {
		t := stored{name: r.string(), file: r.path}
		dimensions := r.uint32()
		if dimensions > 4 {
			r.fail("tensor %q has %d dimensions", t.name, dimensions)
		}
		if r.err != nil {
			return nil, r.err
		}
		// ggml writes the size of a row first.
		t.shape = make([]int64, dimensions)
		for i := range t.shape {
			t.shape[len(t.shape)-1-i] = int64(r.uint64())
		}
		kind := r.uint32()
		t.offset = r.uint64()
		if r.err != nil {
			return nil, r.err
		}
		if seen[t.name] {
			return nil, invalid("%s: duplicate tensor %q", r.path, t.name)
		}
		seen[t.name] = true
		var known bool
		if t.typ, known = ggufTypes[kind]; !known {
			return nil, invalid("%s: tensor %q has unknown type %d", r.path, t.name, kind)
		}
		tensors = append(tensors, t)
	}
	return tensors, nil
}

// locate finds the tensor's bytes in the data, in which it begins at a multiple of the alignment.
func (t *stored) locate(body []byte, alignment int64) error {
	f, ok := formats[t.typ]
	if !ok {
		return invalid("%s: tensor %q has type %s, which is not supported", t.file, t.name, t.typ)
	}
	n, ok := graph.Elements(t.shape)
	if !ok || len(t.shape) == 0 || t.shape[len(t.shape)-1]%f.elements != 0 {
		return invalid("%s: tensor %q of type %s cannot have shape %v", t.file, t.name, t.typ, t.shape)
	}
	size, begin := uint64(n/f.elements)*uint64(f.bytes), t.offset
	if begin%uint64(alignment) != 0 {
		return invalid("%s: tensor %q begins at byte %d of the data, not a multiple of %d", t.file, t.name, begin, alignment)
	}
	if begin > uint64(len(body)) || size > uint64(len(body))-begin {
		return invalid("%s is truncated: tensor %q of type %s and shape %v needs bytes %d to %d of the data, but there are only %d; download the file again",
			t.file, t.name, t.typ, t.shape, begin, begin+size, len(body))
	}
	t.data = body[begin : begin+size : begin+size]
	return nil
}
