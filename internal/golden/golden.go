// Package golden compares the results of a package with recorded digests.
//
// Results are stored under keys that contain the version of the code. If a result changed without a new version, old
// and new results would be mixed. Therefore the digests of a package's results on small inputs are committed in
// testdata/golden.json, together with the version of the code. Results that people read are committed as files.
package golden

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const path = "testdata/golden.json"

var update = flag.Bool("update", false, "write the files of testdata that tests compare")

// file is the content of golden.json.
type file struct {
	Version string            `json:"version"`
	Digests map[string]string `json:"digests"` // hexadecimal SHA-256 by the name of the result
}

// Check fails the test unless each result, by name, has the digest that is recorded for it under this version. With the
// flag -update it records the digests instead, but fails for a result that changed under the same version. Recorded
// names that are not among the results stay, because they belong to other platforms.
//
// Only one test of a package may call Check. The package's tests must not define another flag named update.
func Check(t *testing.T, version string, results map[string][]byte) {
	t.Helper()
	digests := make(map[string]string, len(results))
	for name, result := range results {
		sum := sha256.Sum256(result)
		digests[name] = hex.EncodeToString(sum[:])
	}
	for _, problem := range check(path, version, digests, *update) {
		t.Error(problem)
	}
}

// File fails the test unless the file testdata/name has the given content. With the flag -update it writes the file.
func File(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", filepath.FromSlash(name))
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if d := cmp.Diff(string(want), string(got)); d != "" || err != nil {
		t.Errorf("%s: %v: %s", name, err, d)
	}
}

func check(path, version string, digests map[string]string, write bool) []error {
	recorded, err := read(path)
	if err != nil {
		return []error{err}
	}
	if recorded.Version != version {
		if !write {
			return []error{fmt.Errorf("%s is of version %q, the code of version %q; write its digests with `go test -run Golden -update .`",
				path, recorded.Version, version)}
		}
		recorded = file{Version: version}
	}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(digests)) {
		switch old, ok := recorded.Digests[name]; {
		case ok && old != digests[name]:
			problems = append(problems, fmt.Errorf("%s: the result changed (SHA-256 %s, recorded %s) and the version is still %q: "+
				"stored results would be mixed with new ones; raise the version, then run `go test -run Golden -update .`",
				name, digests[name], old, version))
		case !ok && !write:
			problems = append(problems, fmt.Errorf("%s: no digest in %s; write it with `go test -run Golden -update .`", name, path))
		}
	}
	if !write || len(problems) > 0 {
		return problems
	}
	if recorded.Digests == nil {
		recorded.Digests = map[string]string{}
	}
	maps.Copy(recorded.Digests, digests)
	if err := record(path, recorded); err != nil {
		return []error{err}
	}
	return nil
}

// read returns the content of golden.json, or the zero file if there is none.
func read(path string) (f file, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return file{}, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err != nil {
		return file{}, fmt.Errorf("read %s: %w", path, err)
	}
	return f, nil
}

func record(path string, f file) error {
	data, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
