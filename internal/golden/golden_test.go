package golden

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each step is a call with the digests of two results, on the file of the previous steps.
func TestCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "testdata", "golden.json")
	for _, step := range []struct {
		name, version, a, b string
		write               bool
		want                string // part of the problem, "" for none
	}{
		{"nothing is recorded", "1", "aa", "bb", false, `is of version "", the code of version "1"`},
		{"the first record", "1", "aa", "bb", true, ""},
		{"the same", "1", "aa", "bb", false, ""},
		{"a result of one platform only", "1", "aa", "", false, ""},
		{"a changed result", "1", "aa", "b2", false, `b: the result changed (SHA-256 b2, recorded bb) and the version is still "1"`},
		{"a changed result is not recorded under its version", "1", "a2", "b2", true, `raise the version`},
		{"nothing was written", "1", "aa", "bb", false, ""},
		{"a raised version", "2", "a2", "b2", false, `is of version "1", the code of version "2"`},
		{"a raised version, recorded", "2", "a2", "", true, ""},
		{"a result that is new", "2", "a2", "b2", false, "b: no digest in"},
		{"a result that is new, recorded", "2", "a2", "b2", true, ""},
		{"all of the raised version", "2", "a2", "b2", false, ""},
	} {
		digests := map[string]string{"a": step.a}
		if step.b != "" {
			digests["b"] = step.b
		}
		err := errors.Join(check(path, step.version, digests, step.write)...)
		if step.want == "" && err != nil || step.want != "" && (err == nil || !strings.Contains(err.Error(), step.want)) {
			t.Fatalf("%s: got %v, want %q", step.name, err, step.want)
		}
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(check(path, "2", nil, true)...); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a damaged file: %v", err)
	}
}
