package artifact

import (
	"os"
	"path/filepath"
	"testing"
)

// Text in a JSON file controls neither a terminal nor a CI system, and keeps its value.
func TestWriteJSONIsVisible(t *testing.T) {
	file, text := filepath.Join(t.TempDir(), "x.json"), "a\u202e\u009b##[error]b"
	if err := WriteJSON(file, text); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if want := `"a\u202e\u009b#\u0023[error]b"` + "\n"; err != nil || string(data) != want {
		t.Errorf("wrote %s, %v; want %s", data, err, want)
	}
	var got string
	if err := ReadJSON(file, &got); err != nil || got != text {
		t.Errorf("read %q, %v", got, err)
	}
}
