package spec_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	. "surprisal.dev/runner/spec"
)

// TestSpecOfAnotherKind checks that CUE files that are not regular files, or that have no bounded size, are not read,
// wherever CUE would look for them.
func TestSpecOfAnotherKind(t *testing.T) {
	kinds := []struct {
		name string
		make func(file string) error
		want string
	}{
		{"pipe", func(file string) error { return syscall.Mkfifo(file, 0o644) }, "not a regular file (prw"},
		{"device", func(file string) error { return os.Symlink("/dev/zero", file) }, "not a regular file (D"},
		{"link to nothing", func(file string) error { return os.Symlink("gone", file) }, `symbolic link to "gone", which does not exist`},
		{"huge", func(file string) error {
			return errors.Join(os.WriteFile(file, nil, 0o644), os.Truncate(file, 1<<40))
		}, "exceed the limit of 32 MiB"},
	}
	for _, file := range []string{"a/b/x.cue", "a/x.cue", "x.cue", "cue.mod/module.cue", "lib/x.cue", "cue.mod/pkg/example.com/lib/x.cue"} {
		for _, kind := range kinds {
			root := t.TempDir()
			dir := filepath.Join(root, "a", "b")
			for _, d := range []string{dir, filepath.Join(root, "lib"), filepath.Join(root, "cue.mod/pkg/example.com/lib")} {
				if err := os.MkdirAll(d, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if file != "cue.mod/module.cue" {
				writeFile(t, filepath.Join(root, "cue.mod/module.cue"), "module: \"example.org/m\"\nlanguage: version: \"v0.17.0\"\n")
			}
			writeFile(t, filepath.Join(dir, "y.cue"), "package x\nimport (\n\"example.org/m/lib\"\nother \"example.com/lib\"\n)\nname: lib.name\nfamily: other.name\n")
			if err := kind.make(filepath.Join(root, file)); err != nil {
				t.Fatal(err)
			}
			_, err := Load(t.Context(), dir, plugins())
			if file == "cue.mod/module.cue" && kind.name == "link to nothing" {
				// Then the directory is not in a module.
				continue
			}
			if _, ok := errors.AsType[Errors](err); !ok || !strings.Contains(err.Error(), kind.want) {
				t.Errorf("%s, %s: found %v; want %s", file, kind.name, err, kind.want)
			}
		}
	}
	// Temporary files of an editor and files other than CUE are ignored.
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "x.cue"), minimal)
	for _, name := range []string{".#x.cue", "_x.cue"} {
		if err := os.Symlink("someone@somewhere", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.json"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(t.Context(), dir, plugins()); err != nil {
		t.Error(err)
	}
}

const minimal = `package x

import "surprisal.dev/experiment"

experiment.#Experiment

name: "x"
datasets: a: source: text: path: "a.txt"
models: m: backend: echo: {}
`

// TestConfine checks that no file outside of the confining directory is read, after links are followed, and that a spec
// that names such a file is rejected.
func TestConfine(t *testing.T) {
	top := t.TempDir()
	root := filepath.Join(top, "root")
	for _, dir := range []string{"root/spec", "root/lib", "root/cue.mod/pkg", "outside", "root-private"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) { writeFile(t, filepath.Join(top, filepath.FromSlash(name)), text) }
	write("root/cue.mod/module.cue", "module: \"example.org/m\"\nlanguage: version: \"v0.17.0\"\n")
	write("root/lib/lib.cue", "package lib\nfamily: \"f\"\n")
	write("outside/lib.cue", "package lib\nfamily: \"secret\"\n")
	write("outside/secret.txt", "secret")
	write("root/inside.txt", "text")
	base := strings.Replace(minimal, "models: m:", "models: m: family: lib.family\nmodels: m:", 1)
	withLib := strings.Replace(base, "import \"surprisal.dev/experiment\"", "import (\n\"surprisal.dev/experiment\"\n\"example.org/m/lib\"\n)", 1)
	tests := []struct{ name, confine, source, link, target, want string }{
		{name: "all inside", confine: "root", source: withLib},
		{name: "the module is outside", confine: "root/spec", source: withLib, want: "no package \"example.org/m/lib\""},
		{name: "the spec is outside", confine: "outside", source: minimal, want: "is outside of"},
		{name: "a linked file", confine: "root", source: minimal, link: "root/spec/y.cue", target: "../../outside/lib.cue", want: "a link to"},
		{name: "a file linked absolutely", confine: "root", source: minimal, link: "root/spec/y.cue", target: top + "/outside/lib.cue", want: "a link to"},
		{name: "a linked package", confine: "root", source: strings.Replace(withLib, "m/lib", "m/far:lib", 1), link: "root/far", target: "../outside", want: "a link to"},
		{name: "a linked dependency", confine: "root", source: strings.Replace(withLib, "example.org/m/lib", "example.com/lib", 1),
			link: "root/cue.mod/pkg/example.com", target: "../../../outside", want: "a link to"},
		{name: "a source inside", confine: "root", source: strings.Replace(minimal, "a.txt", "../inside.txt", 1)},
		{name: "a source outside", confine: "root", source: strings.Replace(minimal, "a.txt", "../../outside/secret.txt", 1), want: "datasets.a.source.text: "},
		{name: "a source in a directory whose name begins the same", confine: "root", source: strings.Replace(minimal, "a.txt", "../../root-private/a.txt", 1), want: "is outside of"},
		{name: "an absolute source", confine: "root", source: strings.Replace(minimal, "a.txt", "/etc/passwd", 1), want: "/etc/passwd is outside of"},
		{name: "a source by URL", confine: "root", source: strings.Replace(minimal, "a.txt", "file:///etc/passwd", 1), want: "/etc/passwd is outside of"},
		{name: "a remote source", confine: "root", source: strings.Replace(minimal, "a.txt", "s3://bucket/a.txt", 1)},
		{name: "a linked source", confine: "root", source: minimal, link: "root/spec/a.txt", target: "../../outside/secret.txt", want: "a link to"},
		{name: "a glob outside", confine: "root", source: strings.Replace(minimal, "a.txt", "../../outside/*.txt", 1), want: "is outside of"},
		{name: "a glob that climbs", confine: "root", source: strings.Replace(minimal, "a.txt", "*/../../../outside/secret.txt", 1), want: "has \"..\" after a wildcard"},
		{name: "a glob below a link", confine: "root", source: strings.Replace(minimal, "a.txt", "far/*.txt", 1), link: "root/spec/far", target: "../../outside", want: "a link to"},
		{name: "a glob inside", confine: "root", source: strings.Replace(minimal, "a.txt", "../*.txt", 1)},
		{name: "a list", confine: "root", source: strings.Replace(minimal, `"a.txt"`, `["a.txt", "../../outside/x"]`, 1), want: "is outside of"},
		{name: "weights outside", confine: "root", source: minimal + "models: w: {backend: echo: {}, weights: gguf: path: \"../../outside/x.gguf\"}\n", want: "models.w.weights.gguf: "},
		{name: "scores outside", confine: "root", source: minimal + "models: w: scores: {path: \"../../outside/x.parquet\", protocol: \"p\"}\n", want: "models.w.scores.path: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			write("root/spec/x.cue", test.source)
			if test.link != "" {
				link := filepath.Join(top, test.link)
				if err := os.Symlink(test.target, link); err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := os.Remove(link); err != nil {
						t.Error(err)
					}
				}()
			}
			o := plugins()
			o.Confine = filepath.Join(top, filepath.FromSlash(test.confine))
			_, err := Load(t.Context(), filepath.Join(root, "spec"), o)
			switch _, ok := errors.AsType[Errors](err); {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (!ok || !strings.Contains(err.Error(), test.want)):
				t.Errorf("found %v; want %s", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret\"") {
				t.Errorf("a file outside was read: %v", err)
			}
		})
	}
}

// The limits of a model override those of a dataset, also if they remove a limit.
func TestLimitsOn(t *testing.T) {
	dataset := Dataset{Limits: Limits{Documents: 7, Bytes: 100}}
	for _, test := range []struct {
		of   *Limits
		want Limits
	}{
		{nil, Limits{Documents: 7, Bytes: 100}},
		{&Limits{Documents: -1, Bytes: -1}, Limits{Documents: 7, Bytes: 100}},
		{&Limits{Documents: 0, Bytes: -1}, Limits{Documents: 0, Bytes: 100}},
		{&Limits{Documents: -1, Bytes: 0}, Limits{Documents: 7, Bytes: 0}},
		{&Limits{Documents: 9, Bytes: 200}, Limits{Documents: 9, Bytes: 200}},
	} {
		if got := (Model{Limits: test.of}).LimitsOn(dataset); got != test.want {
			t.Errorf("%+v on a dataset: %+v, want %+v", test.of, got, test.want)
		}
	}
}
