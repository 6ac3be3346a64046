package workspace_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/ngram"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/providers/text"
	"surprisal.dev/runner/store"
	"surprisal.dev/runner/workspace"
)

// tree describes the entries below a directory: files by their content, links and directories by their type.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		all[path] = e.Type().String()
		if e.Type().IsRegular() {
			data, err := os.ReadFile(path)
			all[path] += string(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// try opens a directory and does work there. It returns the error of either.
func (f *directory) try(state string, work func(*workspace.Workspace) error) error {
	f.t.Helper()
	w, err := workspace.Open(f.t.Context(), workspace.Options{
		Dir: f.dir, State: state, Log: hclog.NewNullLogger(), Remember: true,
		Builtins: workspace.Builtins{
			Providers: map[string]sdk.Provider{"text": text.New()}, Backends: map[string]sdk.Backend{"ngram": ngram.New()},
		},
	})
	if err != nil {
		return err
	}
	return errors.Join(work(w), w.Close())
}

func (f *directory) commands(state string) map[string]func() error {
	return map[string]func() error{
		"run": func() error {
			return f.try(state, func(w *workspace.Workspace) error {
				p, err := w.Plan(f.t.Context())
				if err != nil {
					return err
				}
				_, err = w.Run(f.t.Context(), p, options)
				return err
			})
		},
		"plan": func() error {
			return f.try(state, func(w *workspace.Workspace) error {
				p, err := w.Plan(f.t.Context())
				return errors.Join(err, w.Resolve(f.t.Context(), p))
			})
		},
		"status": func() error {
			_, err := workspace.LastRun(f.dir, state)
			return err
		},
		"gc": func() error {
			return f.try(state, func(w *workspace.Workspace) error {
				_, err := w.GC(f.t.Context(), store.GCOptions{KeepLast: 1})
				return err
			})
		},
	}
}

// Links in a repository are not followed: their targets do not change, and the error names the link.
func TestPlantedLinks(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		".surprisal", ".surprisal/reports", ".surprisal/runs", ".surprisal/store", ".surprisal/cache", ".surprisal/digests.json",
		".surprisal/digests.lock", ".surprisal/.gitignore", ".surprisal/state.json",
	} {
		f := newDirectory(t)
		outside := filepath.Join(t.TempDir(), "outside")
		for _, file := range []string{"gap/big-small/report.md", "tmp/mine", "20200101-000000.000-00000000/log.jsonl"} {
			path := filepath.Join(outside, file)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("the user's"), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		target := outside
		if filepath.Ext(name) != "" && name != ".surprisal" {
			target = filepath.Join(outside, "empty")
			if err := os.WriteFile(target, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		link := filepath.Join(f.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(link), 0o755), os.Symlink(target, link)); err != nil {
			t.Fatal(err)
		}
		before := tree(t, outside)
		for command, do := range f.commands("") {
			err := do()
			if protocol.KindOf(err) != protocol.InvalidInput || command != "status" && !strings.Contains(err.Error(), link+" is a symbolic link") {
				t.Errorf("%s is a link, and %s returned %v", name, command, err)
			}
			if d := cmp.Diff(before, tree(t, outside)); d != "" {
				t.Errorf("%s is a link, and %s changed its target:\n%s", name, command, d)
			}
		}
	}
}

// A link deeper in the reports does not lead outside either.
func TestPlantedLinkAmongReports(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"gap", "gap/big-small"} {
		f := newDirectory(t)
		outside := t.TempDir()
		if err := os.WriteFile(filepath.Join(outside, "report.md"), []byte("the user's"), 0o644); err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(f.dir, ".surprisal/reports", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(link), 0o755), os.Symlink(outside, link)); err != nil {
			t.Fatal(err)
		}
		before := tree(t, outside)
		if err := f.commands("")["run"](); err == nil || !strings.Contains(err.Error(), "report of gap big-small: ") {
			t.Errorf("%s is a link, and run returned %v", name, err)
		}
		if d := cmp.Diff(before, tree(t, outside)); d != "" {
			t.Errorf("%s is a link, and run changed its target:\n%s", name, d)
		}
	}
}

// Files that a user put among the reports stay, and the error explains what to do. Once they are moved, the report is
// exported.
func TestUsersFileAmongReports(t *testing.T) {
	t.Parallel()
	f := newDirectory(t)
	f.runs()
	note := ".surprisal/reports/gap/big-small/notes.md"
	f.write(note, "mine")
	f.replace("order: 3", "order: 2")
	run := f.commands("")["run"]
	if err := run(); protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), "it contains notes.md, which is not part of the artifact; move it away") {
		t.Errorf("found error %v", err)
	}
	if data, err := os.ReadFile(filepath.Join(f.dir, note)); err != nil || string(data) != "mine" {
		t.Errorf("the note is now %q, %v", data, err)
	}
	f.remove(note)
	if err := run(); err != nil {
		t.Error(err)
	}
	w := f.open()
	if _, s, err := w.Latest(t.Context()); err != nil || len(s.Published) != 1 {
		t.Errorf("published %v, %v", s.Published, err)
	}
}

// A directory that is not a state directory is not changed.
func TestForeignState(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"thesis.md": "is not a state directory: it contains thesis.md but not state.json", "state.json": "state.json is damaged",
		"newer": "has layout 2 of a newer runner", "large": "state.json is damaged",
	} {
		f := newDirectory(t)
		state := t.TempDir()
		name, data := content, "mine"
		if content == "large" {
			name, data = "state.json", `{"layout":1,"kind":"state"}`+strings.Repeat(" ", 64<<10)
		}
		if content == "newer" {
			name, data = "state.json", fmt.Sprintf(`{"layout":%d,"kind":"state"}`, 2)
		}
		if err := os.WriteFile(filepath.Join(state, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
		before := tree(t, state)
		for _, command := range []string{"run", "gc"} {
			if err := f.commands(state)[command](); protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %s returned %v", content, command, err)
			}
		}
		if err := f.commands(state)["plan"](); err != nil && content == "thesis.md" {
			t.Error(err)
		}
		if d := cmp.Diff(before, tree(t, state)); d != "" {
			t.Errorf("%s: a foreign directory changed:\n%s", content, d)
		}
	}
}
