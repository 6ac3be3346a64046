package site

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"surprisal.dev/plugins/protocol"
)

// fill writes a site with a word.
func fill(word string) func(*output) error {
	return func(out *output) error {
		if _, err := out.json(map[string]string{"word": word}); err != nil {
			return err
		}
		return out.named("index.html", func(w io.Writer) error {
			_, err := io.WriteString(w, word)
			return err
		})
	}
}

// word returns the word of a site, after a check of all its files, or the error of reading it.
func word(t *testing.T, dir string) (string, error) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	m, err := readMarker(root)
	if err != nil {
		return "", err
	}
	if err := m.check(t.Context(), root); err != nil {
		return "", err
	}
	for name := range m.Files {
		if _, err := root.Stat(name); err != nil {
			return "", err
		}
	}
	data, err := root.ReadFile("index.html")
	return string(data), err
}

func wantWord(t *testing.T, dir, want string) {
	t.Helper()
	if got, err := word(t, dir); got != want || err != nil {
		t.Errorf("the site has %q, want %q (%v)", got, want, err)
	}
}

// wantOnly fails if the directory above a site has anything else.
func wantOnly(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(entries) != 1 {
		t.Errorf("next to the site there are %v (%v)", entries, err)
	}
}

func TestReplace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "above", "site")
	for _, want := range []string{"one", "two", "three"} {
		if err := replace(t.Context(), dir, fill(want)); err != nil {
			t.Fatal(err)
		}
		wantWord(t, dir, want)
		wantOnly(t, dir)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := errors.Join(os.Mkdir(empty, 0o755), replace(t.Context(), empty, fill("one"))); err != nil {
		t.Fatal(err)
	}
	wantWord(t, empty, "one")
}

// Where directories cannot be exchanged at once, two renames replace the site.
func TestReplaceByRenames(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "above", "site")
	without := replacing{exchange: func(*os.Root, string, string) error { return errors.ErrUnsupported }}
	for _, want := range []string{"one", "two", "three"} {
		if err := without.replace(t.Context(), dir, fill(want)); err != nil {
			t.Fatal(err)
		}
		wantWord(t, dir, want)
		wantOnly(t, dir)
	}
	// An export was killed between the two renames.
	old := filepath.Join(filepath.Dir(dir), ".site.0123456789abcdef.old")
	if err := os.Rename(dir, old); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("failed")
	if err := without.replace(t.Context(), dir, func(*output) error { return failed }); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	wantWord(t, dir, "three")
	wantOnly(t, dir)
}

// A failed export leaves the old site, and no other files.
func TestReplaceFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "above", "site")
	if err := replace(t.Context(), dir, fill("one")); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("no space left on device")
	err := replace(t.Context(), dir, func(out *output) error {
		return errors.Join(fill("two")(out), out.named("more", func(io.Writer) error { return failed }))
	})
	if !errors.Is(err, failed) {
		t.Error(err)
	}
	wantWord(t, dir, "one")
	wantOnly(t, dir)
}

// refusal is a directory that no export may replace: that of a site or an empty one, after a change.
type refusal struct {
	site    bool
	change  func(dir string) error
	message string
}

func refusals() map[string]refusal {
	write := func(name, content string) func(dir string) error {
		return func(dir string) error {
			path := filepath.Join(dir, name)
			return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644))
		}
	}
	link := func(name, target string) func(dir string) error {
		return func(dir string) error { return os.Symlink(target, filepath.Join(dir, name)) }
	}
	return map[string]refusal{
		"another directory": {change: write("thesis.tex", "all my work"), message: "is not a site"},
		"an empty marker":   {change: write(markerFile, ""), message: "not one that this program wrote"},
		"another marker":    {change: write(markerFile, `{"format":1,"kind":"surprisal site"}`), message: "not one that this program wrote"},
		"a marker of other files": {
			change: func(dir string) error {
				return errors.Join(write(markerFile, `{"format":1,"kind":"surprisal site","files":{"index.html":"00"}}`)(dir), write("thesis.tex", "x")(dir))
			}, message: "contains thesis.tex",
		},
		"a marker with a path outside": {
			change:  write(markerFile, `{"format":1,"kind":"surprisal site","files":{"../outside":"00"}}`),
			message: "not one that this program wrote",
		},
		"a marker that is a link": {change: link(markerFile, "/etc/passwd"), message: "is not a file"},
		"an added file":           {site: true, change: write("data/thesis.tex", "x"), message: "contains data/thesis.tex"},
		"an added directory":      {site: true, change: write("drafts/thesis.tex", "x"), message: "contains the directory drafts"},
		"an added link":           {site: true, change: link("link", "/etc"), message: "contains link"},
		"a changed file":          {site: true, change: write("index.html", "my own page"), message: "index.html was changed"},
		"a file that is a link now": {site: true, change: func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "index.html")), link("index.html", "/etc/passwd")(dir))
		}, message: "index.html is a link"},
		"a directory that is a link":  {change: func(dir string) error { return errors.Join(os.Remove(dir), os.Symlink("/etc", dir)) }, message: "is a file or a link"},
		"a file instead of directory": {change: func(dir string) error { return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o644)) }, message: "is a file or a link"},
	}
}

// A directory with anything that no export wrote is refused, and stays as it is.
func TestReplaceRefuses(t *testing.T) {
	for name, c := range refusals() {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "site")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if c.site {
				if err := replace(t.Context(), dir, fill("one")); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.change(dir); err != nil {
				t.Fatal(err)
			}
			before := list(t, dir)
			wantInvalid(t, replace(t.Context(), dir, fill("two")), c.message)
			if after := list(t, dir); !slices.Equal(before, after) {
				t.Errorf("the directory had %q and now has %q", before, after)
			}
			wantOnly(t, dir)
		})
	}
}

func wantInvalid(t *testing.T, err error, message string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), message) || protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("got %v, want %q", err, message)
	}
}

// list lists what is at a path, with sizes.
func list(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		all = append(all, path+" "+info.Mode().String()+" "+info.ModTime().Format(time.RFC3339Nano))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
