package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"surprisal.dev/runner/store"
)

// SplitSettings removes the settings with the given dotted names from a plugin's configuration. It returns the rest as
// canonical JSON, and the removed settings by name, or nil if there are none.
func SplitSettings(config json.RawMessage, names []string) (rest json.RawMessage, taken map[string]json.RawMessage, err error) {
	if rest, err = store.Canonical(config); err != nil {
		return nil, nil, fmt.Errorf("configuration %s: %w", config, err)
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(rest, &fields); err != nil {
		return nil, nil, fmt.Errorf("configuration %s: %w", config, err)
	}
	for _, name := range names {
		value, ok, err := takeSetting(fields, strings.Split(name, "."))
		if err != nil {
			return nil, nil, fmt.Errorf("configuration %s: %s: %w", config, name, err)
		}
		if !ok {
			continue
		}
		if taken == nil {
			taken = map[string]json.RawMessage{}
		}
		taken[name] = value
	}
	if taken != nil {
		rest, err = Canonical(fields)
	}
	return rest, taken, err
}

func takeSetting(fields map[string]json.RawMessage, path []string) (value json.RawMessage, ok bool, err error) {
	if value, ok = fields[path[0]]; !ok {
		return nil, false, nil
	}
	if len(path) == 1 {
		delete(fields, path[0])
		return value, true, nil
	}
	if !bytes.HasPrefix(bytes.TrimSpace(value), []byte("{")) {
		// Only a struct can have the field.
		return nil, false, nil
	}
	var inner map[string]json.RawMessage
	if err := json.Unmarshal(value, &inner); err != nil {
		return nil, false, err
	}
	if value, ok, err = takeSetting(inner, path[1:]); err != nil || !ok {
		return nil, false, err
	}
	fields[path[0]], err = json.Marshal(inner)
	return value, true, err
}

// JoinSettings adds the settings that SplitSettings removed.
func JoinSettings(config json.RawMessage, settings map[string]json.RawMessage) (json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(config, &fields); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", config, err)
	}
	for name, value := range settings {
		if err := putSetting(fields, strings.Split(name, "."), value); err != nil {
			return nil, fmt.Errorf("configuration %s: %s: %w", config, name, err)
		}
	}
	return Canonical(fields)
}

func putSetting(fields map[string]json.RawMessage, path []string, value json.RawMessage) error {
	if len(path) == 1 {
		fields[path[0]] = value
		return nil
	}
	inner := map[string]json.RawMessage{}
	if text, ok := fields[path[0]]; ok {
		if err := json.Unmarshal(text, &inner); err != nil {
			return err
		}
	}
	if err := putSetting(inner, path[1:], value); err != nil {
		return err
	}
	text, err := json.Marshal(inner)
	fields[path[0]] = text
	return err
}
