package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/store"
)

// ExportTo replaces what it wrote, and nothing else.
func TestExportTo(t *testing.T) {
	s := open(t, t.TempDir())
	begin(t, s, "r")
	first, second := mustRecord(t, s, 1, "one", "two"), mustRecord(t, s, 2, "uno")
	dir, outside := t.TempDir(), t.TempDir()
	lay(t, outside, map[string]string{"letter.txt": "dear", "g/letter.txt": "dear"})
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
		wanted := map[string]bool{}
		for _, name := range want {
			wanted[filepath.FromSlash(name)] = true
		}
		if diff := cmp.Diff(wanted, left); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for range 2 {
		if err := export(first, "reports/g"); err != nil {
			t.Fatal(err)
		}
		holds("reports", "g/.artifact", "g/out/0.txt", "g/out/1.txt")
	}
	// What a killed export left goes, a directory of the user's does not, though it is called alike.
	lay(t, dir, map[string]string{"reports/.g.00112233aabbccdd.partial/x": "x", "reports/.g.partial/letter.txt": "dear"})
	if err := export(second, "reports/g"); err != nil {
		t.Fatal(err)
	}
	holds("reports", "g/.artifact", "g/out/0.txt", ".g.partial/letter.txt")
	if r, err := store.Exported(filepath.Join(dir, "reports", "g")); err != nil || r.Key != second.Key {
		t.Errorf("Exported: %v, %v", r, err)
	}
	// A file of it that is gone is written again.
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
	lay(t, dir, map[string]string{"reports/mine/letter.txt": "dear", "reports/file": "dear", "reports/bad/.artifact": "{"})
	if err := export(first, "reports/changed"); err != nil {
		t.Fatal(err)
	}
	lay(t, dir, map[string]string{"reports/changed/out/0.txt": "my own words"})
	for _, name := range []string{"added", "below", "link"} {
		if err := export(first, "reports/"+name); err != nil {
			t.Fatal(err)
		}
	}
	lay(t, dir, map[string]string{"reports/added/out/letter.txt": "dear", "reports/below/drafts/": ""})
	if err := os.Remove(filepath.Join(dir, "reports/link/out/0.txt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "letter.txt"), filepath.Join(dir, "reports/link/out/0.txt")); err != nil {
		t.Fatal(err)
	}
	before, beforeOutside := laid(t, dir), laid(t, outside)
	for name, want := range map[string]string{
		"link/g": "escapes", "reports/linked": "it is a file or a link", "reports/mine": "holds no artifact", "reports/file": "it is a file or a link",
		"reports/bad": "holds no artifact", "reports/changed": "its file out/0.txt was changed", "reports/added": "it holds out/letter.txt, which is not part",
		"reports/below": "it holds the directory drafts", "reports/link": "its file out/0.txt was changed",
		"reports/g/report.md": "it would lie within reports/g, which is another artifact", "reports": "holds no artifact", "../x": "is not a relative path",
	} {
		if err := export(second, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("export to %s: %v; want an error with %q", name, err, want)
		} else if name != "link/g" && protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("export to %s: %v is not InvalidInput", name, err)
		}
	}
	if diff := cmp.Diff(before, laid(t, dir)); diff != "" {
		t.Errorf("it changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(beforeOutside, laid(t, outside)); diff != "" {
		t.Errorf("what links lead to changed (-before +after):\n%s", diff)
	}
}
