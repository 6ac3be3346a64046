package site

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"

	"surprisal.dev/internal/bounded"
	"surprisal.dev/internal/filelock"
	"surprisal.dev/plugins/protocol"
)

// marker is the file that marks the directory of a site, and lists what an export wrote. Only that is ever removed.
type marker struct {
	Format int    `json:"format"`
	Kind   string `json:"kind"`
	// Files holds the SHA-256 of each file by its name.
	Files map[string]string `json:"files"`
}

const markerKind = "surprisal site"

// maxMarker bounds the size of a marker in bytes.
const maxMarker = 256 << 20

// place is where a site is written: the directory name within the directory parent.
type place struct {
	parent *os.Root
	name   string
	replacing
}

// replacing is how a site replaces another one.
type replacing struct {
	// exchange swaps two directories at once. The error is errors.ErrUnsupported if the file system cannot.
	exchange func(parent *os.Root, a, b string) error
}

// replace makes the site in dir anew. The function fill writes its files to an empty directory, except the marker. An earlier
// site stays until the new one is complete. replace refuses a directory with anything that an export did not write.
func replace(ctx context.Context, dir string, fill func(*output) error) error {
	return replacing{exchange}.replace(ctx, dir, fill)
}

func (r replacing) replace(ctx context.Context, dir string, fill func(*output) error) (err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return refused(err, "the directory %s cannot be made: make one above it writable, or name another directory", filepath.Dir(dir))
	}
	parent, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, parent.Close()) }()
	p := place{parent, filepath.Base(dir), r}
	if p.name == "." || p.name == string(filepath.Separator) {
		return invalid("it is the root of the file system; name a new directory")
	}
	lock, err := filelock.Acquire(ctx, parent, "."+p.name+".lock")
	if err != nil {
		return refused(err, "the directory %s is not writable: a new site is made next to the old one, so make it writable or name another directory", parent.Name())
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if err := p.recover(); err != nil {
		return err
	}
	old, err := p.inspect(ctx)
	if err != nil {
		return err
	}
	partial := "." + p.name + "." + random() + ".partial"
	if err := p.write(partial, old, fill); err != nil {
		return errors.Join(err, parent.RemoveAll(partial))
	}
	if err := p.keepAccess(partial); err != nil {
		return errors.Join(err, parent.RemoveAll(partial))
	}
	away, err := p.swap(partial, old)
	if err != nil {
		return errors.Join(err, parent.RemoveAll(partial))
	}
	if old == nil {
		return nil
	}
	return p.discard(away, old)
}

// refused returns an invalid input with a message about a directory if an error is one of permissions, or else the error.
func refused(err error, message, dir string) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return invalid(message, dir)
	}
	return err
}

func random() string {
	var b [8]byte
	// Read never returns an error; see crypto/rand.
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// recover finishes what a killed export left: it removes partial sites, and puts back a site that was moved away.
func (p place) recover() error {
	left := regexp.MustCompile(`^\.` + regexp.QuoteMeta(p.name) + `\.[0-9a-f]{16}\.(partial|old)$`)
	names, err := fs.ReadDir(p.parent.FS(), ".")
	if err != nil {
		return err
	}
	for _, entry := range names {
		found := left.FindStringSubmatch(entry.Name())
		if found == nil || !entry.IsDir() {
			continue
		}
		_, err := p.parent.Lstat(p.name)
		switch {
		case found[1] == "old" && errors.Is(err, fs.ErrNotExist):
			err = p.parent.Rename(entry.Name(), p.name)
		case err == nil || errors.Is(err, fs.ErrNotExist):
			err = p.parent.RemoveAll(entry.Name())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inspect returns the marker of the site in the directory, or nil if there is none and the directory is empty or absent.
// It rejects anything that an export did not write.
func (p place) inspect(ctx context.Context) (*marker, error) {
	info, err := p.parent.Lstat(p.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, invalid("it is a file or a link; remove it or name another directory")
	}
	if mounted, err := isMount(p.parent, p.name); err != nil {
		return nil, err
	} else if mounted {
		return nil, invalid("it is a mount point, which cannot be replaced; name a directory within it")
	}
	root, err := p.parent.OpenRoot(p.name)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	m, err := readMarker(root)
	if err != nil {
		return nil, err
	}
	return m, m.check(ctx, root)
}

// readMarker returns the marker of a site.
func readMarker(root *os.Root) (*marker, error) {
	info, err := root.Lstat(markerFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, invalid("it is not empty and is not a site: it has no %s; name a new directory, or move its content away", markerFile)
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, invalid("its %s is not a file, so the directory is not a site of this program; name a new directory", markerFile)
	}
	data, err := bounded.ReadFile(root.FS(), markerFile, maxMarker)
	if err != nil {
		return nil, err
	}
	m := &marker{}
	outside := func(name string) bool { return !fs.ValidPath(name) }
	if err := json.Unmarshal(data, m); err != nil || m.Kind != markerKind || len(m.Files) == 0 || slices.ContainsFunc(slices.Collect(maps.Keys(m.Files)), outside) {
		return nil, invalid("its %s is not one that this program wrote; name a new directory, or move its content away", markerFile)
	}
	return m, nil
}

// check fails if a directory contains anything but the files of the marker, as they were written.
func (m *marker) check(ctx context.Context, root *os.Root) error {
	above := map[string]bool{}
	for name := range m.Files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			above[dir] = true
		}
	}
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case name == "." || name == markerFile:
			return nil
		case d.IsDir() && above[name]:
			return nil
		case d.IsDir():
			return invalid("it contains the directory %s, which is not part of the site; move it away", protocol.Visible(name))
		case m.Files[name] == "":
			return invalid("it contains %s, which is not part of the site; move it away", protocol.Visible(name))
		case !d.Type().IsRegular():
			return invalid("its %s is a link or another special file; move it away", protocol.Visible(name))
		}
		digest, err := digestOf(root, name)
		if err == nil && digest != m.Files[name] {
			err = invalid("its file %s was changed; move it away", protocol.Visible(name))
		}
		return err
	})
}

func digestOf(root *os.Root, name string) (_ string, err error) {
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// write fills a new directory, and marks it as a site. old is the marker of the site that it replaces, or nil.
func (p place) write(partial string, old *marker, fill func(*output) error) (err error) {
	if err := p.parent.Mkdir(partial, 0o777); err != nil {
		return err
	}
	if _, err := p.parent.Lstat(p.name); err == nil {
		// Who may not read the old site may not read the new one while it is written.
		if err := p.parent.Chmod(partial, 0o700); err != nil {
			return err
		}
	}
	root, err := p.parent.OpenRoot(partial)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if err := root.Mkdir(dataDir, 0o777); err != nil {
		return err
	}
	out := &output{root: root, files: map[string]string{}}
	if old != nil {
		from, err := p.parent.OpenRoot(p.name)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, from.Close()) }()
		out.old = &older{from, old.Files}
	}
	if err := fill(out); err != nil {
		return err
	}
	data, err := encode(marker{Format: format, Kind: markerKind, Files: out.files})
	if err != nil {
		return err
	}
	if _, _, err := out.write(markerFile, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}); err != nil {
		return err
	}
	return syncAll(root, slices.Collect(maps.Keys(out.files)))
}

// keepAccess gives a complete site the group and the permissions of the directory that it replaces.
func (p place) keepAccess(partial string) error {
	info, err := p.parent.Lstat(p.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	of, err := p.parent.Lstat(partial)
	if err != nil {
		return err
	}
	if group := groupOf(info); group != groupOf(of) {
		if err := p.parent.Lchown(partial, -1, group); err != nil {
			return fmt.Errorf("keep the group %d of the directory: %w", group, err)
		}
	}
	return p.parent.Chmod(partial, info.Mode()&(fs.ModePerm|fs.ModeSetgid|fs.ModeSticky))
}

func groupOf(info fs.FileInfo) int {
	return int(info.Sys().(*syscall.Stat_t).Gid)
}

// swap puts a complete site in place of the old one, and returns the directory where that is now. After an error, the old
// one is still in place.
func (p place) swap(partial string, old *marker) (away string, err error) {
	if old == nil {
		// An empty directory may be there.
		if err := p.parent.Remove(p.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		return "", p.parent.Rename(partial, p.name)
	}
	err = p.exchange(p.parent, partial, p.name)
	if !errors.Is(err, errors.ErrUnsupported) {
		return partial, err
	}
	away = "." + p.name + "." + random() + ".old"
	if err := p.parent.Rename(p.name, away); err != nil {
		return "", err
	}
	if err := p.parent.Rename(partial, p.name); err != nil {
		return "", errors.Join(err, p.parent.Rename(away, p.name))
	}
	return away, nil
}

// discard removes the old site. What was added to it since it was inspected is kept under a name that no export removes.
func (p place) discard(away string, old *marker) error {
	err := p.removeSite(away, old)
	if err == nil {
		return nil
	}
	kept := "." + p.name + "." + random() + ".kept"
	return fmt.Errorf("the new site is complete, but the rest of the old one cannot be removed and is now %s: %w",
		filepath.Join(p.parent.Name(), kept), errors.Join(err, p.parent.Rename(away, kept)))
}

// removeSite removes the files of a site. A file that was added since it was inspected stays.
func (p place) removeSite(name string, m *marker) error {
	root, err := p.parent.OpenRoot(name)
	if err != nil {
		return err
	}
	defer root.Close()
	dirs := map[string]bool{}
	for file := range m.Files {
		if err := root.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
			dirs[dir] = true
		}
	}
	// Longer names are deeper.
	for _, dir := range slices.SortedFunc(maps.Keys(dirs), func(a, b string) int { return len(b) - len(a) }) {
		if err := root.Remove(dir); err != nil {
			return err
		}
	}
	if err := root.Remove(markerFile); err != nil {
		return err
	}
	return p.parent.Remove(name)
}

func invalid(format string, args ...any) error {
	return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(format, args...)}
}
