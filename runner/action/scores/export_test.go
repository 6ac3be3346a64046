package scores

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

var (
	_ action.Exporter = Kind{}
	_ action.Exporter = score.Kind{}
)

// An export has Marin's columns with the labels of each dataset, and the other files as they are.
func TestExport(t *testing.T) {
	dir, scratch := t.TempDir(), t.TempDir()
	found, err := Import(t.Context(), write(t, row("a", "s", 3, "d", 0, 2), row("b/x", "s", 9, "ef", 0, 1, 1)), dir, scratch, "theirs")
	if err != nil {
		t.Fatal(err)
	}
	var all, one []store.File
	for _, name := range Files(found) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		all = append(all, store.File{Name: name, Digest: path})
		if of, ok := strings.CutPrefix(name, "b/x/"); ok {
			one = append(one, store.File{Name: of, Digest: path})
		}
	}
	labels := plan.Labels{Dataset: "mine", Tags: []string{"x"}}
	for _, of := range []struct {
		kind  action.Exporter
		files []store.File
		want  map[string][]string // the tags of each dataset, by its directory
	}{
		{Kind{}, all, map[string][]string{"a": {"a", "t"}, "b/x": {"b/x", "t"}}},
		{score.Kind{}, one, map[string][]string{"": {"x"}}},
	} {
		to := t.TempDir()
		files := action.NewFiles(of.files, func(_ context.Context, path string) (string, error) { return path, nil })
		names, err := of.kind.Export(t.Context(), files, labels, to)
		if err != nil || !slices.Equal(names, files.Names()) {
			t.Fatalf("got %q, %v, want %q", names, err, files.Names())
		}
		for _, f := range of.files {
			path := filepath.Join(to, filepath.FromSlash(f.Name))
			directory, name := filepath.ToSlash(filepath.Dir(f.Name)), filepath.Base(f.Name)
			if name != artifact.ScoredFile {
				want, err := os.ReadFile(f.Digest)
				got, readErr := os.ReadFile(path)
				if err != nil || readErr != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: got %d bytes, want the file as it is (%v, %v)", f.Name, len(got), err, readErr)
				}
				continue
			}
			key := strings.TrimPrefix(directory, ".")
			checkExported(t, path, cmp.Or(key, labels.Dataset), of.want[key])
		}
	}
}

func checkExported(t *testing.T, path, dataset string, tags []string) {
	t.Helper()
	in, err := artifact.OpenExported(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	n := 0
	for d, err := range in.All() {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if d.Dataset != dataset || !slices.Equal(d.Tags, tags) || len(d.PerByteLoss) != len(d.Text) {
			t.Errorf("got dataset %q, tags %q and %d losses, want %q, %q and %d", d.Dataset, d.Tags, len(d.PerByteLoss), dataset, tags, len(d.Text))
		}
	}
	if n != 1 {
		t.Errorf("%s: got %d rows, want 1", dataset, n)
	}
}
