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
	"surprisal.dev/plugins/protocol"
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
		files, err := w.weights(t.Context(), &m, []place{{dir: t.TempDir()}, {dir: dir}}, nil)
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
		{"gguf", "b", "is not a file; use the path of a GGUF file"},
		{"gguf", "x.gguf", `path "x.gguf": no such file or directory; check the path`},
		{"gguf", "s3:/AKIA:SeKrEt@bucket/x.gguf", `path "...": no such file or directory; check the path`},
		{"safetensors", "a.gguf", "is not a directory; use the directory that contains config.json"},
		{"safetensors", "c", "config.json not found in the directory"},
	} {
		if got := names(spec.Weights{Format: test.format, Path: test.path}); !strings.Contains(got, test.want) {
			t.Errorf("%s %s: got %q, want %q", test.format, test.path, got, test.want)
		}
	}
}

// The log has a warning if digests cannot be saved.
func TestUnsavedDigests(t *testing.T) {
	t.Parallel()
	dir, state := t.TempDir(), t.TempDir()
	writeFiles(t, dir, map[string]string{"a.gguf": "gguf"})
	time.Sleep(2100 * time.Millisecond) // Digests of recently changed files are not cached.
	var log bytes.Buffer
	w := &Workspace{state: state, options: Options{Remember: true}, digests: digests.Open(state), log: hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: &log})}
	if _, err := w.weights(t.Context(), &spec.Weights{Format: "gguf", Path: "a.gguf"}, []place{{dir: dir}}, nil); err != nil {
		t.Fatal(err)
	}
	// A file cannot replace a directory.
	if err := os.Mkdir(filepath.Join(state, "digests.json"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.saveDigests(t.Context())
	if !strings.Contains(log.String(), "[WARN]") || !strings.Contains(log.String(), "digests.json") {
		t.Errorf("the log is %q", &log)
	}
}

// Of several directories, the first one with the files of a model is used, even if the files are not valid.
func TestWeightsOfTheFirst(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	writeFiles(t, first, map[string]string{"both.gguf": "first", "dir/x": ""})
	writeFiles(t, second, map[string]string{"both.gguf": "second", "dir/config.json": "{}", "later.gguf": "second"})
	w := &Workspace{digests: digests.New()}
	for name, want := range map[string]string{"both.gguf": filepath.Join(first, "both.gguf"), "later.gguf": filepath.Join(second, "later.gguf")} {
		files, err := w.weights(t.Context(), &spec.Weights{Format: "gguf", Path: name}, []place{{dir: first}, {dir: second}}, nil)
		if err != nil || len(files) != 1 || files[0].Path != want || files[0].Name != name {
			t.Errorf("%s: %+v, %v; want %s", name, files, err, want)
		}
	}
	if files, err := w.weights(t.Context(), &spec.Weights{Format: "safetensors", Path: "dir"}, []place{{dir: first}, {dir: second}}, nil); err == nil || !strings.Contains(err.Error(), "config.json not found") {
		t.Errorf("found %+v, %v", files, err)
	}
}

// Providers cache digests of files in a marked state directory if the command may write there. Otherwise they only read
// them.
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
			r, err := w.request([]byte(`{"path":"a"}`), place{"/dir", "/confine"}, network)
			if err != nil || r.Source.Confine != "/confine" || r.Cache != test.cache || r.CacheReadOnly != test.readOnly || r.Network != network || r.Source.Dir != "/dir" || string(r.Source.Config) != `{"path":"a"}` {
				t.Errorf("%+v: %+v", test, r)
			}
		}
	}
}

// Weights and tables that lead out of the directory of --confine are not read, whenever the link was made.
func TestConfinedFiles(t *testing.T) {
	top := t.TempDir()
	writeFiles(t, top, map[string]string{"out/a.gguf": "secret", "out/config.json": "{}", "in/m/config.json": "{}", "in/b.gguf": "b"})
	for name, target := range map[string]string{"a.gguf": "../out/a.gguf", "far": "../out", "m/x.safetensors": "../../out/a.gguf"} {
		if err := os.Symlink(target, filepath.Join(top, "in", name)); err != nil {
			t.Fatal(err)
		}
	}
	in := place{filepath.Join(top, "in"), filepath.Join(top, "in")}
	w := &Workspace{Dir: in.dir, options: Options{Confine: in.confine}, digests: digests.New()}
	for _, m := range []spec.Weights{{Format: "gguf", Path: "a.gguf"}, {Format: "safetensors", Path: "far"}, {Format: "safetensors", Path: "m"}} {
		if files, err := w.weights(t.Context(), &m, []place{in}, nil); err == nil || !strings.Contains(err.Error(), " is outside of the directory ") {
			t.Errorf("%+v: %v, %v", m, files, err)
		}
	}
	if _, err := w.weights(t.Context(), &spec.Weights{Format: "gguf", Path: "b.gguf"}, []place{in}, nil); err != nil {
		t.Error(err)
	}
	_, err := w.table(t.Context(), &spec.Scores{Path: "a.gguf", Protocol: "p"}, false, []place{in}, nil)
	_, pinned := w.resolveTable(t.Context(), []byte(`{"path": "a.gguf"}`))
	for _, err := range []error{err, pinned} {
		if err == nil || !strings.Contains(err.Error(), " is outside of the directory ") {
			t.Errorf("a table: %v", err)
		}
	}
}

// A plugin cannot be told a path that is not valid UTF-8.
func TestPathsThatAreNotUTF8(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"m/config.json": "{}", "m/x\xff.safetensors": ""})
	w := &Workspace{digests: digests.New()}
	_, weights := w.weights(t.Context(), &spec.Weights{Format: "safetensors", Path: "m"}, []place{{dir: dir}}, nil)
	_, request := w.request(nil, place{dir: dir + "/\xff"}, false)
	for _, err := range []error{weights, request} {
		if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), `\xff`) || !strings.Contains(err.Error(), "is not valid UTF-8; rename") {
			t.Errorf("error %v of kind %q", err, protocol.KindOf(err))
		}
	}
}
