package site

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

// Who may not read a site may not read what replaces it, also while that is written.
func TestReplaceKeepsAccess(t *testing.T) {
	for name, mode := range map[string]fs.FileMode{"private": 0o700, "group": 0o750, "set-group-ID": 0o770 | fs.ModeSetgid} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "site")
			if err := errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, mode)); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"one", "two"} {
				err := replace(t.Context(), dir, func(out *output) error {
					info, err := out.root.Stat(".")
					if err == nil && info.Mode().Perm() != 0o700 {
						t.Errorf("while it is written, the site has the mode %v", info.Mode())
					}
					return errors.Join(err, fill(want)(out))
				})
				if err != nil {
					t.Fatal(err)
				}
				wantWord(t, dir, want)
				info, err := os.Stat(dir)
				if err != nil || info.Mode() != mode|fs.ModeDir {
					t.Errorf("the directory has the mode %v (%v), want %v", info.Mode(), err, mode)
				}
			}
		})
	}
}

// A user can set the groups of which it is a member.
func TestReplaceKeepsGroup(t *testing.T) {
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range groups {
		dir := filepath.Join(t.TempDir(), "site")
		if err := errors.Join(replace(t.Context(), dir, fill("one")), os.Chown(dir, -1, group), replace(t.Context(), dir, fill("two"))); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(dir)
		if err != nil || groupOf(info) != group {
			t.Errorf("the directory has the group %d (%v), want %d", groupOf(info), err, group)
		}
	}
}

// /proc is a mount point and /sys takes no files, also from the superuser.
func TestReplaceRefusesPlaces(t *testing.T) {
	root, err := os.OpenRoot("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	_, err = place{parent: root, name: "proc"}.inspect(t.Context())
	wantInvalid(t, err, "it is a mount point, which cannot be replaced; name a directory within it")
	wantInvalid(t, replace(t.Context(), "/sys/site", fill("one")), "the directory /sys is not writable: a new site is made next to the old one")
	wantInvalid(t, replace(t.Context(), "/sys/above/site", fill("one")), "the directory /sys/above cannot be made: make one above it writable")
}

// A full device is one sentence without the temporary name of a file. /dev/full is always full.
func TestWriteFileFull(t *testing.T) {
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = writeFile(f, func(w io.Writer) error {
		_, err := io.WriteString(w, strings.Repeat("x", 1<<20))
		return err
	})
	if !errors.Is(err, syscall.ENOSPC) || err.Error() != "write a file of the site: no space left on device" {
		t.Errorf("got %v", err)
	}
	if f, err = os.OpenFile("/dev/full", os.O_WRONLY, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err = writeFile(f, func(w io.Writer) error {
		_, err := io.WriteString(w, "x")
		return err
	}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("an error of the last bytes is lost: %v", err)
	}
}
