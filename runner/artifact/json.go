package artifact

import (
	"encoding/json"
	"fmt"
	"os"

	"surprisal.dev/internal/bounded"
	"surprisal.dev/plugins/protocol"
)

// WriteJSON writes v to a file as indented JSON. Its strings control neither a terminal nor a CI system; see
// protocol.VisibleJSON.
func WriteJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, append(protocol.VisibleJSON(data), '\n'), 0o644)
}

// MaxJSON is the maximum size in bytes of a file of an artifact that is read into memory. A summary has less than 1 kB
// per dataset.
const MaxJSON = 256 << 20

// ReadJSON reads a JSON file into v.
func ReadJSON(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := bounded.ReadAll(f, MaxJSON)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
