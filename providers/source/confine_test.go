package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"surprisal.dev/plugins/digests"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/providers/source/sourcetest"
)

// Files outside of the directory that a source is confined to are not read, and not listed in errors.
func TestConfined(t *testing.T) {
	top := sourcetest.Dir(t, map[string]string{"in/a.txt": "a", "in/sub/b.txt": "b", "out/secret.txt": "secret"})
	for name, target := range map[string]string{
		"link.txt": "sub/b.txt", "leak.txt": "../out/secret.txt", "far": "../out", "absolute.txt": filepath.Join(top, "in/a.txt"),
	} {
		if err := os.Symlink(target, filepath.Join(top, "in", name)); err != nil {
			t.Fatal(err)
		}
	}
	const outside = " is outside of the directory "
	for path, want := range map[string]string{
		"a.txt": "", "sub/**": "", "link.txt": "", "absolute.txt": "", "[al][ib]*.txt": "",
		"leak.txt": outside, "l*.txt": outside, "far/*.txt": outside, "{far,sub}/*.txt": outside, "../out/secret.txt": outside,
		"far/s.txt": outside, "../out/s.txt": outside,
	} {
		s := sourcetest.Source(filepath.Join(top, "in"), pathConfig(t, path))
		s.Confine = filepath.Join(top, "in")
		_, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: s})
		switch {
		case want == "" && err == nil:
		case want == "" || err == nil || !strings.Contains(err.Error(), want) || protocol.KindOf(err) != protocol.InvalidInput:
			t.Errorf("%s: error %v of kind %q, want %q", path, err, protocol.KindOf(err), want)
		case strings.Contains(err.Error(), `"secret.txt"`):
			t.Errorf("%s: the error lists files outside: %v", path, err)
		}
	}
}

// A file that becomes a link out of the directory after it was found is not opened.
func TestConfinedReplaced(t *testing.T) {
	for _, path := range []string{"a.txt", "*.txt"} {
		top := sourcetest.Dir(t, map[string]string{"in/a.txt": "a", "out/secret.txt": "secret"})
		s := sourcetest.Source(filepath.Join(top, "in"), pathConfig(t, path))
		s.Confine = s.Dir
		err := withFiles(t.Context(), s, path, false, func(found *set) error {
			file := filepath.Join(s.Dir, "a.txt")
			if err := os.Remove(file); err != nil {
				return err
			}
			if err := os.Symlink("../out/secret.txt", file); err != nil {
				return err
			}
			files, err := found.resolve(t.Context(), Location{}, digests.New())
			if err == nil {
				t.Errorf("found %v", files)
			}
			return err
		})
		if err == nil || !strings.Contains(err.Error(), " is outside of the directory ") || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s: error %v", path, err)
		}
	}
}
