package family_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/torch/family"
)

// TestOlderConfigurations checks that the fields of transformers 4 and those of transformers 5 describe the same model.
func TestOlderConfigurations(t *testing.T) {
	older, err := filepath.Glob("../../../testdata/torch/golden/*/config.v4.json")
	if err != nil || len(older) == 0 {
		t.Fatalf("no configurations: %v", err)
	}
	for _, path := range older {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			newer := read(t, strings.Replace(path, ".v4", "", 1))
			if d := cmp.Diff(newer.Architecture, read(t, path).Architecture); d != "" {
				t.Errorf("(-newer +older):\n%s", d)
			}
		})
	}
}

func read(t *testing.T, path string) family.Model {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, path, string(data))
}

func parse(t *testing.T, name, text string) family.Model {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var values map[string]any
	if err := d.Decode(&values); err != nil {
		t.Fatal(err)
	}
	m, err := family.FromConfig(name, values)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
