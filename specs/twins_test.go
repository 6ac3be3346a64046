package specs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// torchVariable names the directory of a runner and of runner-backend-torch. Without it, twins that need the torch backend
// are only looked for.
const torchVariable = "SURPRISAL_SPECS_TORCH"

// link matches the name of a twin in the last column of README.md.
var link = regexp.MustCompile(`\]\(\.\./examples/([a-z]+)/experiment\.cue\)`)

// twins returns the twins of each spec by README.md.
func twins(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	of := map[string][]string{}
	for line := range strings.Lines(string(page)) {
		name, rest, ok := strings.Cut(strings.TrimPrefix(line, "| ["), "](")
		if !ok || !strings.HasPrefix(rest, name+"/experiment.cue)") {
			continue
		}
		for _, match := range link.FindAllStringSubmatch(rest, -1) {
			of[name] = append(of[name], match[1])
		}
	}
	return of
}

// Each spec has a row of README.md with a twin that is there.
func TestTwinsExist(t *testing.T) {
	t.Parallel()
	of := twins(t)
	for _, dir := range directories(t) {
		if len(of[dir]) == 0 {
			t.Errorf("README.md names no twin of %s", dir)
		}
		for _, twin := range of[dir] {
			if _, err := os.Stat(filepath.Join("../examples", twin, "experiment.cue")); err != nil {
				t.Error(err)
			}
		}
	}
}

// Twins run: those of n-gram models always, the others where the torch backend is.
func TestTwinsRun(t *testing.T) {
	t.Parallel()
	// What the end of a run must say.
	want := map[string]string{
		"suite":    "gap word-vs-byte: ",
		"gate":     "gate tuesday-checked: FAIL",
		"drift":    "drift nothing",
		"families": "outliers smoke",
	}
	for _, names := range twins(t) {
		for _, name := range names {
			if want[name] == "" {
				t.Errorf("no test runs the twin %s", name)
			}
		}
	}
	for name, line := range want {
		torch := os.Getenv(torchVariable)
		if torch == "" && name == "families" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copyOf(t, name)
			c := runner(t, "run", dir)
			if name == "families" {
				c = exec.CommandContext(t.Context(), filepath.Join(torch, "runner"), "run", dir, "-t", "models=tiny")
			}
			var stderr bytes.Buffer
			c.Stderr = &stderr
			out, err := c.Output()
			// Some gates of these fail.
			if exit, ok := errors.AsType[*exec.ExitError](err); (name == "gate" || name == "drift") && ok && exit.ExitCode() == 4 {
				err = nil
			}
			if err != nil || !strings.Contains(string(out), line) {
				t.Errorf("%v; want %q in\n%s\n%s", err, line, out, &stderr)
			}
		})
	}
}

// copyOf returns a copy of an example, with the links that its recipe in the justfile makes.
func copyOf(t *testing.T, name string) string {
	t.Helper()
	examples, err := filepath.Abs("../examples")
	if err != nil {
		t.Fatal(err)
	}
	// testdata lies where paths of the examples expect it.
	root := t.TempDir()
	dir := filepath.Join(root, "examples", name)
	if err := os.CopyFS(dir, without(os.DirFS(filepath.Join(examples, name)))); err != nil {
		t.Fatal(err)
	}
	goroot := exec.CommandContext(t.Context(), "go", "env", "GOROOT")
	goroot.Dir, goroot.Env = "/", append(os.Environ(), "GOTOOLCHAIN=local")
	out, err := goroot.Output()
	if err != nil {
		t.Fatal(err)
	}
	links := map[string]string{
		filepath.Join(dir, "text"): strings.TrimSpace(string(out)), filepath.Join(dir, "ours"): filepath.Join(examples, "../docs"),
		filepath.Join(root, "testdata"): filepath.Join(examples, "../testdata"),
	}
	if texts := os.Getenv("SURPRISAL_TEXTS"); texts != "" {
		links[filepath.Join(dir, "texts")] = texts
	}
	for from, to := range links {
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// without leaves out what is not part of the repository: links and results.
func without(files fs.FS) fs.FS { return repositoryFiles{files} }

type repositoryFiles struct{ fs.FS }

// ReadDir implements fs.ReadDirFS.
func (r repositoryFiles) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(r.FS, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		return e.Name() == ".surprisal" || e.Type()&fs.ModeSymlink != 0
	}), err
}
