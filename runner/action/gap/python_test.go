//go:build python

package gap

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// python runs a script of testdata/gap with the interpreter that SURPRISAL_PYTHON names, which has the packages of
// testdata/python/requirements.txt.
func python(t *testing.T, script string, args ...string) []byte {
	t.Helper()
	interpreter := os.Getenv("SURPRISAL_PYTHON")
	if interpreter == "" {
		t.Fatal("SURPRISAL_PYTHON is not set; run `just test`, or set it to a Python with testdata/python/requirements.txt installed")
	}
	command := exec.Command(interpreter, append([]string{filepath.Join("..", "..", "..", "testdata", "gap", script)}, args...)...)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return out
}

// The report's numbers equal those of the independent reference, on fuzzed documents: split characters, clipped
// segments, empty spans, unscored bytes, all whitespace classes, combining marks, ties.
func TestAgainstReference(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dir := t.TempDir()
			a, b := hostile(t, dir, seed, 40)
			out := t.TempDir()
			if _, err := Compare(t.Context(), a, b, out, Options{Scratch: t.TempDir(), literals: 50}); err != nil {
				t.Fatal(err)
			}
			python(t, "reference.py", filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "reference.json"))
			within(t, "", load(t, filepath.Join(dir, "reference.json")), load(t, filepath.Join(out, "summary.json")))
		})
	}
}

func load(t *testing.T, path string) (v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// within checks that got contains everything in want: floats within a relative error of 1e-12, the rest exactly.
func within(t *testing.T, at string, want, got any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		object, _ := got.(map[string]any)
		for name, v := range want {
			found, ok := object[name]
			if !ok {
				t.Errorf("%s.%s: got none", at, name)
			}
			within(t, at+"."+name, v, found)
		}
	case []any:
		list, _ := got.([]any)
		if len(list) != len(want) {
			t.Errorf("%s: got %d records, want %d", at, len(list), len(want))
			return
		}
		for i := range want {
			within(t, fmt.Sprintf("%s[%d]", at, i), want[i], list[i])
		}
	case float64:
		if found, ok := got.(float64); !ok || math.Abs(found-want) > 1e-12*math.Abs(want) {
			t.Errorf("%s: got %v, want %v", at, got, want)
		}
	default:
		if got != want {
			t.Errorf("%s: got %v, want %v", at, got, want)
		}
	}
}
