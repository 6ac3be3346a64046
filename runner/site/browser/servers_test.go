//go:build browser

package browser_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// whole serves files without ranges, as some servers do.
func whole(dir string) http.Handler {
	files := http.FileServer(http.Dir(dir))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Range")
		files.ServeHTTP(w, r)
	})
}

func testServers(t *testing.T, f *fixture) {
	t.Run("without ranges", func(t *testing.T) {
		x := f.open(t, serve(t, whole(f.site)))
		x.visit(document("books/opticks", "Isaac.Newton-Opticks.txt", 400))
		x.contains("main", "sends whole files")
		x.contains(".figures", "byte-4gram")
	})
	t.Run("a directory below", func(t *testing.T) {
		x := f.open(t, serve(t, http.StripPrefix("/some/where", http.FileServer(http.Dir(f.site))))+"some/where/")
		x.visit(gap + "/datasets")
		x.contains("tbody", "books/opticks")
	})
	t.Run("a missing file", func(t *testing.T) {
		x := f.broken(t, os.Remove)
		x.visit(gap + "/datasets")
		x.contains(".notice", "no such file")
		x.contains(".notice", "data/")
		x.visit(gap + "/buckets")
		x.contains("tbody", "text/word")
		x.Problems() // The browser reports the missing file too.
	})
	t.Run("a truncated file", func(t *testing.T) {
		x := f.broken(t, func(path string) error { return os.Truncate(path, 5000) })
		x.visit(gap + "/datasets")
		x.contains(".notice", "it was cut")
	})
	t.Run("a damaged file", func(t *testing.T) {
		x := f.broken(t, func(path string) error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, make([]byte, info.Size()), 0o644)
		})
		x.visit(gap + "/datasets")
		x.contains(".notice", "not an intact Parquet file")
	})
}

// broken serves a copy of the site whose table of datasets is damaged.
func (f *fixture) broken(t *testing.T, damage func(path string) error) *tab {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(f.site)); err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile(filepath.Join(dir, "site.json"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(manifest), `"datasets":{"path":"`)
	if !found {
		_, rest, found = strings.Cut(strings.NewReplacer(" ", "", "\n", "").Replace(string(manifest)), `"datasets":{"path":"`)
	}
	if !found {
		t.Fatalf("no table of datasets in %s", manifest)
	}
	path, _, _ := strings.Cut(rest, `"`)
	if err := damage(filepath.Join(dir, path)); err != nil {
		t.Fatal(err)
	}
	return f.open(t, serve(t, http.FileServer(http.Dir(dir))))
}
