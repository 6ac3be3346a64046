package spec_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cuelang.org/go/cmd/cue/cmd"
	"github.com/google/go-cmp/cmp"

	. "surprisal.dev/runner/spec"
)

// vet runs the cue command on the package in the working directory, without a registry.
func vet(t *testing.T) (output string, err error) {
	t.Helper()
	t.Setenv("CUE_REGISTRY", "127.0.0.1:1")
	t.Setenv("CUE_CACHE_DIR", filepath.Join(t.TempDir(), "none"))
	c, err := cmd.New([]string{"vet", "-c", "."})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	c.SetOut(&b)
	c.SetErr(&b)
	err = c.Run(t.Context())
	return b.String(), err
}

func TestInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tides", "first")
	written, err := Init(dir, "first-2.0", plugins().Sections)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"README.md", "cue.mod/module.cue",
		"cue.mod/pkg/surprisal.dev/experiment/dataset.cue", "cue.mod/pkg/surprisal.dev/experiment/drift.cue", "cue.mod/pkg/surprisal.dev/experiment/experiment.cue",
		"cue.mod/pkg/surprisal.dev/experiment/gap.cue", "cue.mod/pkg/surprisal.dev/experiment/gate.cue", "cue.mod/pkg/surprisal.dev/experiment/model.cue",
		"cue.mod/pkg/surprisal.dev/experiment/outliers.cue", "cue.mod/pkg/surprisal.dev/experiment/scaling.cue",
		"cue.mod/pkg/surprisal.dev/experiment/series.cue", "cue.mod/pkg/surprisal.dev/experiment/sliding.cue",
		"experiment.cue", "text/heldout.txt", "text/train.txt",
	}
	if diff := cmp.Diff(want, written); diff != "" {
		t.Error(diff)
	}
	e, err := Load(t.Context(), dir, plugins())
	if err != nil {
		t.Fatal(err)
	}
	if e.Name != "first-2.0" || len(e.Datasets) != 2 || len(e.Models) != 3 || bytes.Count(e.Sections["gap"], []byte(`"name"`)) != 3 || len(e.Warnings) != 0 {
		t.Errorf("the scaffold is %+v", e)
	}

	t.Chdir(dir)
	if output, err := vet(t); err != nil {
		t.Errorf("cue vet: %v\n%s", err, output)
	}
	source, err := os.ReadFile("experiment.cue")
	if err != nil {
		t.Fatal(err)
	}
	typo := strings.Replace(string(source), "tags:", "tag:", 1)
	if err := os.WriteFile("experiment.cue", []byte(typo), 0o644); err != nil {
		t.Fatal(err)
	}
	if output, err := vet(t); err == nil || !strings.Contains(err.Error()+output, "tag: field not allowed") {
		t.Errorf("cue vet accepts a typo: %v\n%s", err, output)
	}
}

func TestInitOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "README.md"), "mine")
	_, err := Init(dir, "a", plugins().Sections)
	want := "README.md: the file already exists and is not overwritten; use another directory, or move the file"
	if err == nil || err.Error() != want {
		t.Errorf("found %v; want %s", err, want)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v %v: something was written", entries, err)
	}
}

func TestInitNames(t *testing.T) {
	for _, name := range []string{"", "a b", "a/b", "-a", "a@b", strings.Repeat("a", 101)} {
		if _, err := Init(t.TempDir(), name, plugins().Sections); err == nil {
			t.Errorf("Init accepts the name %q", name)
		}
	}
	for _, name := range []string{
		"2026", "true", "null", "for", "if", "in", "let", "import", "package", "func", "string", "int8", "len", "and", "div",
		"experiment", "name", "models", "a.b-c+d", "1.5", strings.Repeat("a", 100),
	} {
		dir := t.TempDir()
		if _, err := Init(dir, name, plugins().Sections); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		e, err := Load(t.Context(), dir, plugins())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if e.Name != name {
			t.Errorf("%s is called %s", name, e.Name)
		}
	}
}

// TestInitInModule adds a second experiment to a module, which keeps its module file and copy of the language.
func TestInitInModule(t *testing.T) {
	root := t.TempDir()
	if _, err := Init(root, "one", plugins().Sections); err != nil {
		t.Fatal(err)
	}
	written, err := Init(filepath.Join(root, "two"), "two", plugins().Sections)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"README.md", "experiment.cue", "text/heldout.txt", "text/train.txt"}, written); diff != "" {
		t.Error(diff)
	}
	t.Chdir(filepath.Join(root, "two"))
	if output, err := vet(t); err != nil {
		t.Errorf("cue vet: %v\n%s", err, output)
	}
}

// TestRefresh updates a copy of the language from another version of the program.
func TestRefresh(t *testing.T) {
	dir := t.TempDir()
	if _, err := Init(dir, "a", plugins().Sections); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "cue.mod/pkg/surprisal.dev/experiment")
	writeFile(t, filepath.Join(copied, "old.cue"), "package experiment\n\n#Experiment: old!: string\n")
	writeFile(t, filepath.Join(copied, "gap.cue"), "package experiment\n\n#Gap: string\n#Matrix: string\n")
	e, err := Load(t.Context(), dir, plugins())
	if err != nil || len(e.Warnings) != 1 || !strings.HasPrefix(e.Warnings[0].String(), "cue.mod/pkg/surprisal.dev/experiment/old.cue: ") {
		t.Fatalf("%+v %v", e, err)
	}
	if _, err := Refresh(dir, plugins().Sections); err != nil {
		t.Fatal(err)
	}
	if e, err = Load(t.Context(), dir, plugins()); err != nil || len(e.Warnings) != 0 {
		t.Errorf("%+v %v", e, err)
	}
	if data, err := os.ReadFile(filepath.Join(copied, "old.cue.unused")); err != nil || !strings.Contains(string(data), "old!") {
		t.Errorf("old.cue.unused contains %q, %v", data, err)
	}
	// A copy without one of the files is also stale. Refresh in a subdirectory updates the same copy, and no other
	// files.
	if err := os.Remove(filepath.Join(copied, "gap.cue")); err != nil {
		t.Fatal(err)
	}
	if e, err = Load(t.Context(), dir, plugins()); err != nil || len(e.Warnings) != 1 || !strings.HasPrefix(e.Warnings[0].String(), "cue.mod/pkg/surprisal.dev/experiment: this copy") {
		t.Errorf("%+v %v", e, err)
	}
	writeFile(t, filepath.Join(copied, "notes.md"), "mine")
	writeFile(t, filepath.Join(dir, "README.md"), "mine")
	files, err := Refresh(filepath.Join(dir, "text"), plugins().Sections)
	if err != nil || len(files) != 10 || files[0] != "../cue.mod/pkg/surprisal.dev/experiment/dataset.cue" || files[3] != "../cue.mod/pkg/surprisal.dev/experiment/gap.cue" {
		t.Errorf("updated %q, %v", files, err)
	}
	if e, err = Load(t.Context(), dir, plugins()); err != nil || len(e.Warnings) != 0 {
		t.Errorf("%+v %v", e, err)
	}
	for _, name := range []string{filepath.Join(copied, "notes.md"), filepath.Join(dir, "README.md")} {
		if data, err := os.ReadFile(name); err != nil || string(data) != "mine" {
			t.Errorf("%s holds %q, %v", name, data, err)
		}
	}
	mine := t.TempDir()
	writeFile(t, filepath.Join(mine, "mine.cue"), "package mine\n")
	if err := errors.Join(os.RemoveAll(copied), os.Symlink(mine, copied)); err != nil {
		t.Fatal(err)
	}
	if _, err := Refresh(dir, plugins().Sections); err == nil {
		t.Error("Refresh follows a link")
	}
	if entries, err := os.ReadDir(mine); err != nil || len(entries) != 1 {
		t.Errorf("Refresh leaves %v %v where a link leads to", entries, err)
	}
	if _, err := Refresh(t.TempDir(), plugins().Sections); err == nil {
		t.Error("Refresh outside of a module does something")
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// No file is written to a directory that a link leads to.
func TestInitFollowsNoLink(t *testing.T) {
	for _, name := range []string{"cue.mod", "text"} {
		dir, elsewhere := t.TempDir(), t.TempDir()
		if err := os.Symlink(elsewhere, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		_, err := Init(dir, "a", plugins().Sections)
		if _, ok := errors.AsType[Errors](err); !ok || !strings.Contains(err.Error(), "symbolic link to") {
			t.Errorf("%s: found error %v", name, err)
		}
		for _, at := range []string{dir, elsewhere} {
			entries, err := os.ReadDir(at)
			if err != nil || len(entries) > 0 && (at == elsewhere || len(entries) > 1) {
				t.Errorf("%s: %s holds %v, %v", name, at, entries, err)
			}
		}
	}
}

// TestRefreshFollowsNoLinks checks that Refresh writes to no file that a link or another name leads to.
func TestRefreshFollowsNoLinks(t *testing.T) {
	for name, link := range map[string]func(victim, name string) error{"symbolic": os.Symlink, "dangling": os.Symlink, "hard": os.Link} {
		t.Run(name, func(t *testing.T) {
			dir, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
			if _, err := Init(dir, "a", plugins().Sections); err != nil {
				t.Fatal(err)
			}
			if name != "dangling" {
				writeFile(t, victim, "precious")
			}
			copied := filepath.Join(dir, "cue.mod/pkg/surprisal.dev/experiment/gap.cue")
			if err := errors.Join(os.Remove(copied), link(victim, copied)); err != nil {
				t.Fatal(err)
			}
			_, err := Refresh(dir, plugins().Sections)
			if want := "cue.mod/pkg/surprisal.dev/experiment/gap.cue: not a regular file, and not replaced; remove it"; name != "hard" && (err == nil || err.Error() != want) {
				t.Errorf("Refresh: %v; want %s", err, want)
			}
			data, err := os.ReadFile(victim)
			if name == "dangling" {
				if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the target of the link: %q, %v", data, err)
				}
			} else if err != nil || string(data) != "precious" {
				t.Errorf("the file contains %q, %v", data, err)
			}
		})
	}
}
