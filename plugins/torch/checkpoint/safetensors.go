package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"strings"

	"surprisal.dev/plugins/torch/graph"
)

// safetensorsSizes has the bytes per element of each type that a safetensors file may contain.
var safetensorsSizes = map[Type]int64{
	"F64": 8, "I64": 8, "U64": 8, F32: 4, "I32": 4, "U32": 4, F16: 2, BF16: 2, "I16": 2, "U16": 2,
	"I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}

// parseSafetensors reads the header of a safetensors file: its length as eight bytes, then a JSON object of tensors.
func parseSafetensors(path string, data []byte) ([]stored, error) {
	if len(data) < 8 {
		return nil, invalid("%s is truncated: %d bytes cannot hold a safetensors header", path, len(data))
	}
	length, body := binary.LittleEndian.Uint64(data), data[8:]
	if length > uint64(len(body)) {
		return nil, invalid("%s is truncated or not a safetensors file: its header claims %d bytes, %d follow", path, length, len(body))
	}
	header, body := body[:length], body[length:]
	d := json.NewDecoder(bytes.NewReader(header))
	broken := func(err error) error { return invalid("%s: safetensors header: %v", path, err) }
	if token, err := d.Token(); err != nil {
		return nil, broken(err)
	} else if token != json.Delim('{') {
		return nil, invalid("%s: safetensors header is not a JSON object", path)
	}
	var tensors []stored
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, broken(err)
		}
		// Keys of an object are strings, or Token fails.
		name := key.(string)
		if seen[name] {
			return nil, invalid("%s: duplicate tensor %q", path, name)
		}
		seen[name] = true
		if name == "__metadata__" {
			var metadata map[string]string
			if err := d.Decode(&metadata); err != nil {
				return nil, broken(err)
			}
			continue
		}
		var entry safetensorsEntry
		if err := d.Decode(&entry); err != nil {
			return nil, broken(err)
		}
		t, err := entry.stored(path, name, body)
		if err != nil {
			return nil, err
		}
		tensors = append(tensors, t)
	}
	if _, err := d.Token(); err != nil {
		return nil, broken(err)
	}
	if rest := strings.TrimRight(string(header[d.InputOffset():]), " "); rest != "" {
		return nil, invalid("%s: safetensors header: %d bytes of trailing data", path, len(rest))
	}
	if err := overlap(tensors); err != nil {
		return nil, err
	}
	return tensors, nil
}

// safetensorsEntry is a header's entry for a tensor.
type safetensorsEntry struct {
	Type    Type     `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Offsets []uint64 `json:"data_offsets"`
}

// stored finds the tensor's bytes in the data that follows the header.
func (e safetensorsEntry) stored(path, name string, body []byte) (stored, error) {
	if len(e.Offsets) != 2 || e.Offsets[0] > e.Offsets[1] {
		return stored{}, invalid("%s: tensor %q: invalid data_offsets %v", path, name, e.Offsets)
	}
	size, known := safetensorsSizes[e.Type]
	if !known {
		return stored{}, invalid("%s: tensor %q has type %s, which is not supported", path, name, e.Type)
	}
	begin, end := e.Offsets[0], e.Offsets[1]
	if end > uint64(len(body)) {
		return stored{}, invalid("%s is truncated: tensor %q ends at byte %d of the data, but there are only %d", path, name, end, len(body))
	}
	n, ok := graph.Elements(e.Shape)
	if !ok || uint64(n) > uint64(len(body)) || uint64(n*size) != end-begin {
		return stored{}, invalid("%s: tensor %q of type %s and shape %v cannot have %d bytes", path, name, e.Type, e.Shape, end-begin)
	}
	return stored{name: name, file: path, typ: e.Type, shape: e.Shape, offset: begin, data: body[begin:end:end]}, nil
}
