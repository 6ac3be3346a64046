package store_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/store"
)

// ExportTo replaces only files that it wrote.
func TestExportTo(t *testing.T) {
	s := open(t, t.TempDir())
	begin(t, s, "r")
	first, second := mustRecord(t, s, 1, "one", "two"), mustRecord(t, s, 2, "uno")
	dir, outside := t.TempDir(), t.TempDir()
	writeTree(t, outside, map[string]string{"letter.txt": "dear", "g/letter.txt": "dear"})
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	export := func(r *store.Record, name string) error { return s.ExportTo(t.Context(), r, root, name) }
	holds := func(name string, want ...string) {
		t.Helper()
		left := map[string]bool{}
		for _, path := range files(t, filepath.Join(dir, name)) {
			rel, err := filepath.Rel(filepath.Join(dir, name), path)
			if err != nil {
				t.Fatal(err)
			}
			left[rel] = true
		}
		expected := map[string]bool{}
		for _, name := range want {
			expected[filepath.FromSlash(name)] = true
		}
		if diff := cmp.Diff(expected, left); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for range 2 {
		if err := export(first, "reports/g"); err != nil {
			t.Fatal(err)
		}
		holds("reports", "g/.artifact", "g/out/0.txt", "g/out/1.txt")
	}
	// The partial directory of a killed export is removed, but not a user's directory with a similar name.
	writeTree(t, dir, map[string]string{"reports/.g.00112233aabbccdd.partial/x": "x", "reports/.g.partial/letter.txt": "dear"})
	if err := export(second, "reports/g"); err != nil {
		t.Fatal(err)
	}
	holds("reports", "g/.artifact", "g/out/0.txt", ".g.partial/letter.txt")
	if r, err := store.Exported(filepath.Join(dir, "reports", "g")); err != nil || r.Key != second.Key {
		t.Errorf("Exported: %v, %v", r, err)
	}
	// A missing file is written again.
	if err := os.Remove(filepath.Join(dir, "reports", "g", "out", "0.txt")); err != nil {
		t.Fatal(err)
	}
	if err := export(second, "reports/g"); err != nil {
		t.Fatal(err)
	}
	holds("reports/g", ".artifact", "out/0.txt")

	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "g"), filepath.Join(dir, "reports", "linked")); err != nil {
		t.Fatal(err)
	}
	writeTree(t, dir, map[string]string{"reports/mine/letter.txt": "dear", "reports/file": "dear", "reports/bad/.artifact": "{"})
	if err := export(first, "reports/changed"); err != nil {
		t.Fatal(err)
	}
	writeTree(t, dir, map[string]string{"reports/changed/out/0.txt": "my own words"})
	for _, name := range []string{"added", "below", "link"} {
		if err := export(first, "reports/"+name); err != nil {
			t.Fatal(err)
		}
	}
	writeTree(t, dir, map[string]string{"reports/added/out/letter.txt": "dear", "reports/below/drafts/": ""})
	if err := os.Remove(filepath.Join(dir, "reports/link/out/0.txt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "letter.txt"), filepath.Join(dir, "reports/link/out/0.txt")); err != nil {
		t.Fatal(err)
	}
	before, beforeOutside := readTree(t, dir), readTree(t, outside)
	for name, want := range map[string]string{
		"link/g": "escapes", "reports/linked": "it is a file or a link", "reports/mine": "contains no artifact", "reports/file": "it is a file or a link",
		"reports/bad": "contains no artifact", "reports/changed": "its file out/0.txt was changed", "reports/added": "it contains out/letter.txt, which is not part",
		"reports/below": "it contains the directory drafts", "reports/link": "its file out/0.txt was changed",
		"reports/g/report.md": "it would be inside reports/g, which is another artifact", "reports": "contains no artifact", "../x": "is not a relative path",
	} {
		if err := export(second, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("export to %s: %v; want an error with %q", name, err, want)
		} else if name != "link/g" && protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("export to %s: %v is not InvalidInput", name, err)
		}
	}
	if diff := cmp.Diff(before, readTree(t, dir)); diff != "" {
		t.Errorf("it changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(beforeOutside, readTree(t, outside)); diff != "" {
		t.Errorf("what links lead to changed (-before +after):\n%s", diff)
	}
}

// ExportTo leaves an existing artifact unchanged only if all its files are the same.
func TestExportToReplaces(t *testing.T) {
	s := open(t, t.TempDir())
	begin(t, s, "r")
	first := mustRecord(t, s, 1, "one", "two")
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	export := func(r *store.Record) fs.FileInfo {
		t.Helper()
		if err := s.ExportTo(t.Context(), r, root, "a/g"); err != nil {
			t.Fatal(err)
		}
		info, err := root.Stat("a/g/.artifact")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := store.ExportedIn(root, "a/g"); err != nil || !sameRecord(r, got) {
			t.Errorf("exported %+v, %v; want %+v", got, err, r)
		}
		return info
	}
	before := export(first)
	if !os.SameFile(before, export(first)) {
		t.Error("the same artifact was written again")
	}
	// The same key may have other outputs, with different names, contents or number.
	for _, outputs := range [][]store.File{
		{first.Outputs[0], {Name: "out/1.txt", Digest: put(t, s, "2wo"), Bytes: 3}},
		{first.Outputs[0], {Name: "deep/er/x", Digest: first.Outputs[1].Digest, Bytes: 3}, {Name: "deep/y", Digest: first.Outputs[0].Digest, Bytes: 3}},
		{{Name: "deep", Digest: first.Outputs[0].Digest, Bytes: 3}},
		{},
	} {
		other := *first
		other.Outputs = outputs
		export(&other)
		want := []string{".artifact"}
		for _, f := range outputs {
			want = append(want, f.Name)
		}
		var got []string
		for name := range readTree(t, filepath.Join(dir, "a", "g")) {
			if !strings.HasSuffix(name, "/") {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("the artifact holds %q, want %q", got, want)
		}
	}
	if left := readTree(t, filepath.Join(dir, "a")); len(left) != 2 {
		t.Errorf("next to the artifact there is %v", left)
	}
}

// A record with files elsewhere, or with a duplicate file, is invalid, and none of its files is removed.
func TestForgedArtifact(t *testing.T) {
	s := open(t, t.TempDir())
	begin(t, s, "r")
	r := mustRecord(t, s, 1, "one")
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	digest := protocol.Digest([]byte("dear"))
	for _, outputs := range []string{
		`{"name":"../letter.txt","digest":"` + digest + `"}`, `{"name":"a","digest":"sha256:x"}`,
		`{"name":"a","digest":"` + digest + `"},{"name":"a","digest":"` + digest + `"}`,
	} {
		writeTree(t, dir, map[string]string{"letter.txt": "dear", "g/.artifact": `{"outputs":[` + outputs + `]}`})
		before := readTree(t, dir)
		if err := s.ExportTo(t.Context(), r, root, "g"); protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), "contains no artifact (g/.artifact: ") {
			t.Errorf("export over %s: %v", outputs, err)
		}
		if _, err := store.Exported(filepath.Join(dir, "g")); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Exported of %s: %v", outputs, err)
		}
		if diff := cmp.Diff(before, readTree(t, dir)); diff != "" {
			t.Errorf("it changed (-before +after):\n%s", diff)
		}
	}
	for _, none := range []string{dir, filepath.Join(dir, "absent")} {
		if got, err := store.Exported(none); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Exported of no artifact: %v, %v", got, err)
		}
	}
}

// Export accepts an empty or absent directory only, and leaves nothing if it is canceled.
func TestExportPlaces(t *testing.T) {
	s := open(t, t.TempDir())
	begin(t, s, "r")
	r := mustRecord(t, s, 1, "one")
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"empty/": "", "file": "dear", "full/letter.txt": "dear", "within/directory/": ""})
	if err := s.Export(t.Context(), r, filepath.Join(dir, "done")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("empty", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	before := readTree(t, dir)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Export(canceled, r, filepath.Join(dir, "new")); !errors.Is(err, context.Canceled) {
		t.Errorf("Export that was canceled: %v", err)
	}
	bad := *r
	bad.Outputs = []store.File{{Name: "../x", Digest: r.Outputs[0].Digest, Bytes: 3}}
	if err := s.Export(t.Context(), &bad, filepath.Join(dir, "new")); err == nil || !strings.Contains(err.Error(), "is not a relative path") {
		t.Errorf("Export of an output outside the artifact: %v", err)
	}
	for name, want := range map[string]string{
		"file": "it is a file or a link", "link": "it is a file or a link", "full": "it is not empty", "within": "it is not empty", "done": "it is not empty",
	} {
		path := filepath.Join(dir, name)
		if err := s.Export(t.Context(), r, path); protocol.KindOf(err) != protocol.InvalidInput || !strings.HasPrefix(err.Error(), "export "+r.Name+" to "+path+": "+want) {
			t.Errorf("Export to %s: %v; want an error with %q", name, err, want)
		}
	}
	if diff := cmp.Diff(before, readTree(t, dir)); diff != "" {
		t.Errorf("it changed (-before +after):\n%s", diff)
	}
	if err := s.Export(t.Context(), r, filepath.Join(dir, "empty")); err != nil {
		t.Error(err)
	}
	if got, err := store.Exported(filepath.Join(dir, "empty")); err != nil || !sameRecord(r, got) {
		t.Errorf("exported %+v, %v; want %+v", got, err, r)
	}
}

// sameRecord reports whether an exported record equals that of the store, except for space in its descriptor.
func sameRecord(want, exported *store.Record) bool {
	got := *exported
	var err error
	got.Descriptor, err = store.Canonical(exported.Descriptor)
	return err == nil && cmp.Equal(want, &got)
}
