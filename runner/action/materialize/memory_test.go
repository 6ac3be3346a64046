//go:build slow

package materialize_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/materialize"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/spec"
)

// The memory of reading documents is proportional to the largest. Here the provider reads in the same process.
func TestMemory(t *testing.T) {
	const size = 16_000_000
	actiontest.WithinMemory(t, artifact.MaterializeMemory(size), func() {
		dir := t.TempDir()
		text := strings.Repeat("the text of a large document, again; ", size/37+1)[:size]
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte("small\n"+text+"\nsmall\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		d := lines()
		config := json.RawMessage(`{"path":"f","split":"lines"}`)
		d.Name, d.Source = "key", spec.Source{Provider: "text", Config: config}
		resolved, err := providers["text"].Resolve(t.Context(), protocol.ResolveRequest{Source: protocol.Source{Config: config, Dir: dir}})
		if err != nil {
			t.Fatal(err)
		}
		task := d.task(t, dir, resolved)
		task.Dir, task.Advance = t.TempDir(), func(action.Progress) {}
		if _, err := (materialize.Kind{}).Work(t.Context(), task); err != nil {
			t.Fatal(err)
		}
	})
}
