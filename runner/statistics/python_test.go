//go:build python

package statistics

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"testing"
)

// The committed reference values are those of the packages of testdata/python/requirements.txt.
func TestReference(t *testing.T) {
	interpreter := os.Getenv("SURPRISAL_PYTHON")
	if interpreter == "" {
		t.Fatal("SURPRISAL_PYTHON is not set; run `just test`, or set it to a Python with testdata/python/requirements.txt installed")
	}
	command := exec.Command(interpreter, "testdata/reference.py")
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(committed, &want); err != nil {
		t.Fatal(err)
	}
	equal(t, "", got, want)
}

// equal compares values of JSON, with numbers to 9 digits: processors differ in the last.
func equal(t *testing.T, at string, got, want any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		object, _ := got.(map[string]any)
		if len(object) != len(want) {
			t.Errorf("%s: got %d fields, want %d", at, len(object), len(want))
		}
		for name, v := range want {
			equal(t, at+"."+name, object[name], v)
		}
	case []any:
		list, _ := got.([]any)
		if len(list) != len(want) {
			t.Errorf("%s: got %d values, want %d", at, len(list), len(want))
			return
		}
		for i, v := range want {
			equal(t, at, list[i], v)
		}
	case float64:
		if v, ok := got.(float64); !ok || math.Abs(v-want) > 1e-9*max(math.Abs(want), 1e-6) {
			t.Errorf("%s: got %v, want %v", at, got, want)
		}
	default:
		if got != want {
			t.Errorf("%s: got %v, want %v", at, got, want)
		}
	}
}
