package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// WithoutSettings returns config, a JSON object, without the fields whose dotted paths are in names, such as
// "batch.tokens". Missing fields are ignored. The remaining fields keep their order and their bytes, so that canonical
// JSON stays canonical. Its error has kind InvalidInput.
func WithoutSettings(config json.RawMessage, names []string) (json.RawMessage, error) {
	if !json.Valid(config) || config[bytes.IndexAny(config, "{[\"tfn-0123456789")] != '{' {
		return nil, &Error{Kind: InvalidInput, Message: fmt.Sprintf("configuration %.200q: it must be a JSON object", config)}
	}
	return withoutFields(config, names)
}

func withoutFields(config json.RawMessage, names []string) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(config))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return config, err // only an object has fields to remove
	}
	kept := []byte{'{'}
	for d.More() {
		from := d.InputOffset()
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		key := bytes.TrimLeft(config[from:d.InputOffset()], ", \t\r\n")
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		if slices.Contains(names, name.(string)) {
			continue
		}
		var inside []string
		for _, path := range names {
			if rest, ok := strings.CutPrefix(path, name.(string)+"."); ok {
				inside = append(inside, rest)
			}
		}
		if len(inside) > 0 {
			if value, err = withoutFields(value, inside); err != nil {
				return nil, err
			}
		}
		if len(kept) > 1 {
			kept = append(kept, ',')
		}
		kept = slices.Concat(kept, key, []byte{':'}, value)
	}
	return append(kept, '}'), nil
}
