package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"surprisal.dev/runner/store"
)

// Descriptor describes an action completely: two actions with equal descriptors have equal results. It is data, so that
// any process with the same store can execute the action.
type Descriptor struct {
	// Kind is the kind of the action, and Schema the version of the kind's results.
	Kind   string `json:"kind"`
	Schema int    `json:"schema"`
	// Parameters is canonical JSON of everything, except inputs, that can change the result.
	Parameters json.RawMessage `json:"parameters"`
	// Inputs maps roles to digests. A role is the role of an Input and the name of a file, joined by "/":
	// "documents/documents.parquet".
	Inputs map[string]string `json:"inputs"`
	// Worker is the plugin that does the work. It is nil for work of the runner itself, which Kind and Schema identify.
	Worker *Worker `json:"worker,omitempty"`
}

// Worker identifies a plugin.
type Worker struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Protocol is the version of the plugin protocol.
	Protocol int `json:"protocol"`
	// Digest is the SHA-256 of the plugin's binary. It is empty for a built-in plugin, whose version is raised when its
	// results change.
	Digest string `json:"digest,omitempty"`
}

// Canonical returns the descriptor as canonical JSON. Parameters must be canonical JSON.
func (d *Descriptor) Canonical() ([]byte, error) {
	size := 64 + len(d.Kind) + len(d.Parameters)
	for role, digest := range d.Inputs {
		size += len(role) + len(digest) + 8
	}
	// Fields are sorted by name.
	b := append(make([]byte, 0, size+256), `{"inputs":{`...)
	for i, role := range slices.Sorted(maps.Keys(d.Inputs)) {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendJSON(b, role); err != nil {
			return nil, err
		}
		b = append(append(append(b, `:"`...), d.Inputs[role]...), '"')
	}
	b, err := appendJSON(append(b, `},"kind":`...), d.Kind)
	if err != nil {
		return nil, err
	}
	b = append(append(b, `,"parameters":`...), d.Parameters...)
	b = strconv.AppendInt(append(b, `,"schema":`...), int64(d.Schema), 10)
	if d.Worker != nil {
		if b, err = appendJSON(append(b, `,"worker":`...), d.Worker); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// Key returns the cache key of the descriptor, 64 hex digits, and its canonical JSON.
func (d *Descriptor) Key() (key string, canonical []byte, err error) {
	if canonical, err = d.Canonical(); err != nil {
		return "", nil, fmt.Errorf("descriptor of kind %s: %w", d.Kind, err)
	}
	return store.KeyOf(canonical), canonical, nil
}

// UnmarshalJSON implements json.Unmarshaler. It restores the canonical form of Parameters, which encoding/json changes.
func (d *Descriptor) UnmarshalJSON(data []byte) error {
	type plain Descriptor
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode((*plain)(d)); err != nil {
		return fmt.Errorf("descriptor: %w", err)
	}
	var err error
	if d.Parameters, err = store.Canonical(d.Parameters); err != nil {
		return fmt.Errorf("descriptor: parameters: %w", err)
	}
	return nil
}

// appendJSON appends v as canonical JSON.
func appendJSON(b []byte, v any) ([]byte, error) {
	text, err := Canonical(v)
	return append(b, text...), err
}

// Canonical returns v as canonical JSON: fields sorted by name, no space, one form per number.
func Canonical(v any) (json.RawMessage, error) {
	if s, ok := v.(string); ok && plainText(s) {
		return append(append(append(make([]byte, 0, len(s)+2), '"'), s...), '"'), nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return store.Canonical(data)
}

// plainText reports whether s needs no escapes in a JSON string, which is true for almost all roles.
func plainText(s string) bool {
	return !bytes.ContainsFunc([]byte(s), func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' })
}

// ReadDescriptor parses a descriptor from a record of a store.
func ReadDescriptor(canonical []byte) (Descriptor, error) {
	var d Descriptor
	err := json.Unmarshal(canonical, &d)
	return d, err
}
