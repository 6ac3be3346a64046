package confine

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

// top returns a directory with the files in/a, in/sub/b and out/secret.
func top(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "in/a"), "a")
	write(t, filepath.Join(dir, "in/sub/b"), "b")
	write(t, filepath.Join(dir, "out/secret"), "secret")
	return dir
}

func TestOpen(t *testing.T) {
	dir := top(t)
	in := filepath.Join(dir, "in")
	link(t, filepath.Join(in, "sub/b"), filepath.Join(in, "absolute"))
	link(t, "../out/secret", filepath.Join(in, "leak"))
	link(t, "../out", filepath.Join(in, "far"))
	if err := syscall.Mkfifo(filepath.Join(in, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	const outside = " is outside of the directory "
	for _, test := range []struct{ dir, file, content, problem string }{
		{in, "a", "a", ""},
		{in, in + "/sub/../a", "a", ""},
		{in, "absolute", "b", ""},
		{"", in + "/leak", "secret", ""},
		{in, "leak", "", ", a link to " + dir + "/out/secret,"},
		{in, "far/secret", "", outside},
		{in, "../out/secret", "", outside},
		{in, "pipe", "", "it is not a regular file (p"},
		{"", in + "/pipe", "", "it is not a regular file (p"},
		{in, "sub", "", "it is not a regular file (d"},
		{in + "/none", "a", "", "cannot read the directory "},
	} {
		f, err := Open(test.dir, test.file)
		if err != nil {
			if test.problem == "" || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("%s: error %v, want %q", test.file, err, test.problem)
			}
			continue
		}
		content, err := io.ReadAll(f)
		if string(content) != test.content || err != nil || test.problem != "" {
			t.Errorf("%s: read %q, %v; want %q", test.file, content, err, test.problem)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := Open(in, "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := ReadDir(in, "far"); err == nil || !strings.Contains(err.Error(), outside) {
		t.Errorf("a directory outside: %v", err)
	}
	if entries, err := ReadDir(in, "."); err != nil || len(entries) != 6 || entries[0].Name() != "a" {
		t.Errorf("the directory itself: %v, %v", entries, err)
	}
	if _, err := fs.Stat(FS(in, in), "leak"); err == nil || !strings.Contains(err.Error(), outside) {
		t.Errorf("a file outside: %v", err)
	}
}

// A file, or a directory of its path, becomes a link out of the directory after the check.
func TestReplacedBetween(t *testing.T) {
	for name, replace := range map[string]func(t *testing.T, dir string){
		"file": func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Remove(filepath.Join(dir, "in/sub/b")); err != nil {
				t.Fatal(err)
			}
			link(t, "../../out/secret", filepath.Join(dir, "in/sub/b"))
		},
		"directory": func(t *testing.T, dir string) {
			t.Helper()
			if err := os.RemoveAll(filepath.Join(dir, "in/sub")); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "out/b"), "secret")
			link(t, "../out", filepath.Join(dir, "in/sub"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := top(t)
			in, file := filepath.Join(dir, "in"), filepath.Join(dir, "in/sub/b")
			root, checked, err := locate(in, file)
			if err != nil {
				t.Fatal(err)
			}
			replace(t, dir)
			if content, err := os.ReadFile(filepath.Join(root, checked)); err != nil || string(content) != "secret" {
				t.Fatalf("the path leads to %q, %v", content, err)
			}
			err = openInside(root, checked, file, func(o opener, name string) error {
				f, err := o.OpenFile(name, os.O_RDONLY, 0)
				if err == nil {
					t.Errorf("opened %s", f.Name())
					_ = f.Close()
				}
				return err
			})
			if err == nil || !strings.Contains(err.Error(), " is outside of the directory ") {
				t.Errorf("error %v", err)
			}
		})
	}
}
