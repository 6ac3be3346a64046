package workspace

import (
	"os"
	"path/filepath"
	"testing"
)

func TestIgnoreState(t *testing.T) {
	for _, test := range []struct{ name, before, want string }{
		{"as a killed run left it", "", "*\n"},
		{"as a user wrote it", "runs\n", "runs\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, ".gitignore")
			writeFiles(t, dir, map[string]string{".gitignore": test.before})
			if err := ignoreState(openRoot(t, dir)); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != test.want {
				t.Errorf("found %q, wanted %q (%v)", got, test.want, err)
			}
		})
	}
	dir := t.TempDir()
	if err := ignoreState(openRoot(t, dir)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, ".gitignore")); err != nil || string(got) != "*\n" {
		t.Errorf("found %q, wanted a pattern for everything (%v)", got, err)
	}
}

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := root.Close(); err != nil {
			t.Error(err)
		}
	})
	return root
}
