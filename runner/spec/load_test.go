package spec_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/kinds"
	. "surprisal.dev/runner/spec"
)

var update = flag.Bool("update", false, "update the expected output in testdata")

// plugins are typical schemas of plugins, with required fields, defaults, lists, bounds and definitions.
func plugins() Options {
	return Options{
		Sections: action.Sections(kinds.All()),
		Providers: map[string]Schema{
			"text": {CUE: `
				package text

				// #Config is the configuration of the provider text.
				#Config: {
					// path is a file or glob, or a list of them.
					path!: string | [string, ...string]
					split: *"file" | "paragraphs" | "lines"
				}`},
			"jsonl": {CUE: `#Config: path!: string`},
		},
		Backends: map[string]Schema{
			"ngram": {Trains: true, CUE: `
				#Order: int & >=1 & <=12
				#Config: {
					train!:    string | [string, ...string]
					order:     *3 | #Order
					tokenizer: *"byte" | "word"
					// window follows order unless it is set.
					window:    *(2 * order) | int
					discount?: number & >0 & <1
					smooth: {method: *"kn" | "wb", floor: number | *0}
				}`},
			"talk": {CUE: `#Config: voice: *"low" | string`},
			"echo": {CUE: `#Config: {loss: number | *1.0, dtype: *"float32" | "bfloat16"}`},
		},
	}
}

// TestSpecs loads each spec in testdata and compares the experiment or its mistakes with the files experiment.json,
// warnings and errors in the archive. The comment of an archive may set the directory ("dir: DIR") and tags ("tag:
// NAME=VALUE").
func TestSpecs(t *testing.T) {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.ToSlash(strings.TrimPrefix(file, "testdata"+string(filepath.Separator))), ".txtar")
		t.Run(name, func(t *testing.T) {
			archive, err := txtar.ParseFile(filepath.Join(wd, file))
			if err != nil {
				t.Fatal(err)
			}
			o, dir, at := plugins(), t.TempDir(), "."
			for line := range strings.Lines(string(archive.Comment)) {
				if key, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && key == "dir" {
					at = filepath.FromSlash(value)
				} else if ok && key == "tag" {
					o.Tags = append(o.Tags, value)
				}
			}
			inputs, want := splitArchive(archive)
			writeFiles(t, dir, inputs)
			t.Chdir(dir)
			// Reading a spec does not need a home directory, a cache or a registry.
			for _, name := range []string{"HOME", "XDG_CACHE_HOME", "CUE_CACHE_DIR", "TMPDIR"} {
				t.Setenv(name, "/nonexistent")
			}
			t.Setenv("CUE_REGISTRY", "127.0.0.1:1")
			got := outcome(t, at, o, Load)
			if diff := cmp.Diff(got, outcome(t, at, o, bounded(t, time.Minute, 1<<30).Load)); diff != "" {
				t.Errorf("another process reads otherwise: here - there +\n%s", diff)
			}
			if diff := cmp.Diff(want, got); diff != "" && !*update {
				t.Errorf("want - got +\n%s", diff)
			} else if diff != "" {
				writeArchive(t, filepath.Join(wd, file), archive.Comment, inputs, got)
			}
			if strings.HasPrefix(name, "bad/") != (got["errors"] != "") {
				t.Errorf("%s: errors %q", name, got["errors"])
			}
		})
	}
}

// outcome returns the result of loading directory dir, as the files of a txtar archive.
func outcome(t *testing.T, dir string, o Options, load func(context.Context, string, Options) (*Experiment, error)) map[string]string {
	t.Helper()
	e, err := load(t.Context(), dir, o)
	if err != nil {
		if _, ok := errors.AsType[Errors](err); !ok {
			t.Fatalf("not a mistake of the spec: %v", err)
		}
		return map[string]string{"errors": err.Error() + "\n"}
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	warnings := e.Warnings
	e.Dir, e.Warnings = "", nil
	if err := encoder.Encode(e); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{"experiment.json": b.String()}
	for _, w := range warnings {
		got["warnings"] += w.String() + "\n"
	}
	return got
}

var outputs = map[string]bool{"experiment.json": true, "warnings": true, "errors": true}

func splitArchive(a *txtar.Archive) (inputs []txtar.File, want map[string]string) {
	want = map[string]string{}
	for _, f := range a.Files {
		if outputs[f.Name] {
			want[f.Name] = string(f.Data)
		} else {
			inputs = append(inputs, f)
		}
	}
	return inputs, want
}

func writeArchive(t *testing.T, file string, comment []byte, inputs []txtar.File, got map[string]string) {
	t.Helper()
	a := &txtar.Archive{Comment: comment, Files: inputs}
	for _, name := range []string{"errors", "warnings", "experiment.json"} {
		if got[name] != "" {
			a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(got[name])})
		}
	}
	if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

func writeFiles(t *testing.T, dir string, files []txtar.File) {
	t.Helper()
	for _, f := range files {
		name := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			t.Fatal(fmt.Errorf("%s: %w", f.Name, err))
		}
	}
}
