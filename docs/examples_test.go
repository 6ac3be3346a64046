package docs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The drifts of examples/drift tell a change of the text from a change of the model.
func TestExamples(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	spec, err := os.ReadFile("../examples/drift/experiment.cue")
	if err := errors.Join(err, os.WriteFile(filepath.Join(dir, "experiment.cue"), spec, 0o644),
		os.Symlink(strings.TrimSpace(string(root)), filepath.Join(dir, "text"))); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(filepath.Join(build(t), "runner"), "run", dir)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	var exit *exec.ExitError
	if _, err := command.Output(); !errors.As(err, &exit) || exit.ExitCode() != 4 {
		t.Fatalf("want the exit code 4 of a gate that fails, got %v\n%s", err, stderr.String())
	}
	for name, want := range map[string]struct{ explains, larger, tokenizers, gate string }{
		"nothing": {explains: "cannot tell"},
		"text":    {explains: "text"},
		"model":   {explains: "model", larger: "model", tokenizers: "same"},
		"both":    {explains: "text and model", larger: "text", tokenizers: "same", gate: "fail"},
	} {
		data, err := os.ReadFile(filepath.Join(dir, ".surprisal/reports/drift", name, "summary.json"))
		if err != nil {
			t.Fatal(err)
		}
		var s struct {
			Explains, Larger, Tokenizers string
			Gate                         struct{ Answer string }
		}
		if err := json.Unmarshal(data, &s); err != nil {
			t.Fatal(err)
		}
		if s.Explains != want.explains || s.Larger != want.larger || s.Tokenizers != want.tokenizers || s.Gate.Answer != want.gate {
			t.Errorf("%s: got %+v, want %+v", name, s, want)
		}
	}
}
