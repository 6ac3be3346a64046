package workspace

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/digests"
	"surprisal.dev/runner/spec"
)

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWeights(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{
		"a.gguf": "gguf", "b/config.json": "{}", "b/model.safetensors": "weights", "b/notes.txt": "no part of it", "b/.cache.json": "{}", "b/old.json/x": "", "b/old.safetensors/x": "", "c/model.safetensors": "weights",
	})
	w := &Workspace{digests: digests.New()}
	names := func(m spec.Weights) string {
		files, err := w.weights(t.Context(), &m, []string{t.TempDir(), dir})
		if err != nil {
			return err.Error()
		}
		var all []string
		for _, f := range files {
			if !strings.HasPrefix(f.Digest, "sha256:") || !filepath.IsAbs(f.Path) {
				t.Errorf("file %+v", f)
			}
			all = append(all, f.Name)
		}
		return strings.Join(all, " ")
	}
	for _, test := range []struct{ format, path, want string }{
		{"gguf", "a.gguf", "a.gguf"},
		{"safetensors", "b", "config.json model.safetensors"},
		{"safetensors", filepath.Join(dir, "b"), "config.json model.safetensors"},
		{"gguf", "b", "is not a file; name a GGUF file"},
		{"gguf", "x.gguf", `path "x.gguf": there is no such file or folder; check the path`},
		{"safetensors", "a.gguf", "is not a folder; name the folder that holds config.json"},
		{"safetensors", "c", "holds no config.json; name the folder of a model"},
	} {
		if got := names(spec.Weights{Format: test.format, Path: test.path}); !strings.Contains(got, test.want) {
			t.Errorf("%s %s: found %q, wanted %q", test.format, test.path, got, test.want)
		}
	}
}

// Where digests cannot be saved, the log says so.
func TestUnsavedDigests(t *testing.T) {
	t.Parallel()
	dir, state := t.TempDir(), t.TempDir()
	writeFiles(t, dir, map[string]string{"a.gguf": "gguf"})
	time.Sleep(2100 * time.Millisecond) // a file has to settle
	var log bytes.Buffer
	w := &Workspace{state: state, options: Options{Remember: true}, digests: digests.Open(state), log: hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: &log})}
	if _, err := w.weights(t.Context(), &spec.Weights{Format: "gguf", Path: "a.gguf"}, []string{dir}); err != nil {
		t.Fatal(err)
	}
	// No file can take the place of a directory.
	if err := os.Mkdir(filepath.Join(state, "digests.json"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.saveDigests(t.Context())
	if !strings.Contains(log.String(), "[WARN]") || !strings.Contains(log.String(), "digests.json") {
		t.Errorf("the log is %q", &log)
	}
}

// Of several directories the first that has a model's files counts, also where they are not what they should be.
func TestWeightsOfTheFirst(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	writeFiles(t, first, map[string]string{"both.gguf": "first", "folder/x": ""})
	writeFiles(t, second, map[string]string{"both.gguf": "second", "folder/config.json": "{}", "later.gguf": "second"})
	w := &Workspace{digests: digests.New()}
	for name, want := range map[string]string{"both.gguf": filepath.Join(first, "both.gguf"), "later.gguf": filepath.Join(second, "later.gguf")} {
		files, err := w.weights(t.Context(), &spec.Weights{Format: "gguf", Path: name}, []string{first, second})
		if err != nil || len(files) != 1 || files[0].Path != want || files[0].Name != name {
			t.Errorf("%s: %+v, %v; want %s", name, files, err, want)
		}
	}
	if files, err := w.weights(t.Context(), &spec.Weights{Format: "safetensors", Path: "folder"}, []string{first, second}); err == nil || !strings.Contains(err.Error(), "holds no config.json") {
		t.Errorf("found %+v, %v", files, err)
	}
}

// What providers learn of files is kept in a state directory of ours, where a command may write there, and only read elsewhere.
func TestRequest(t *testing.T) {
	marked, empty, foreign := t.TempDir(), t.TempDir(), t.TempDir()
	writeFiles(t, marked, map[string]string{stateMarker: `{"layout":1,"kind":"state"}`})
	writeFiles(t, foreign, map[string]string{"thesis.md": "mine"})
	for _, test := range []struct {
		state    string
		remember bool
		cache    string
		readOnly bool
	}{
		{marked, true, marked, false}, {marked, false, marked, true}, {empty, true, empty, true}, {foreign, true, "", true}, {filepath.Join(empty, "none"), true, "", true},
	} {
		w := &Workspace{state: test.state, options: Options{Remember: test.remember}}
		for _, network := range []bool{true, false} {
			r := w.request([]byte(`{"path":"a"}`), "/dir", network)
			if r.Cache != test.cache || r.CacheReadOnly != test.readOnly || r.Network != network || r.Source.Dir != "/dir" || string(r.Source.Config) != `{"path":"a"}` {
				t.Errorf("%+v: %+v", test, r)
			}
		}
	}
}
