package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
	"gocloud.dev/blob"
	"golang.org/x/sync/errgroup"

	"surprisal.dev/internal/address"
	"surprisal.dev/internal/confine"
	"surprisal.dev/internal/glob"
	"surprisal.dev/plugins/digests"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
)

// set is the files that a path names, in reading order.
type set struct {
	entries []entry
	// bucket holds the files; nil if they are local.
	bucket *blob.Bucket
}

// withFiles calls fn with the files that path, relative to the directory of from, names.
func withFiles(ctx context.Context, from protocol.Source, path string, network bool, fn func(*set) error) error {
	scheme, rest, isURL := strings.Cut(path, "://")
	switch {
	case !isURL:
		s, err := findLocal(ctx, from, path)
		if shown := address.Printable(path); shown != path && protocol.KindOf(err) == protocol.InvalidInput {
			return sdk.Invalid("path %q: cannot read such files; if it is a URL, use s3://BUCKET/KEY or gs://BUCKET/KEY, and set "+
				"credentials in the environment", shown)
		}
		if err != nil {
			return err
		}
		return fn(s)
	case scheme == "file":
		name, err := url.PathUnescape(rest)
		if err != nil || !strings.HasPrefix(name, "/") {
			return sdk.Invalid(`path %q: expected "file:///" and an absolute path`, address.Printable(path))
		}
		s, err := findLocal(ctx, from, name)
		if err != nil {
			return err
		}
		return fn(s)
	case scheme == "s3" || scheme == "gs":
		at, err := locate(path)
		if err != nil {
			return err
		}
		if !network {
			return sdk.NeedsNetwork("path %q is remote; run `runner pin` to record its content in the lock file", address.Printable(at.Where()+"/"+at.Key))
		}
		s, err := findRemote(ctx, at)
		if err != nil {
			return err
		}
		err = fn(s)
		if closeErr := s.bucket.Close(); err == nil {
			err = closeErr
		}
		return err
	default:
		return sdk.Invalid("path %q: unknown scheme %q; schemes are file, gs and s3", address.Printable(path), address.Printable(scheme))
	}
}

// findLocal finds the files that path, relative to the directory of from, names.
func findLocal(ctx context.Context, from protocol.Source, path string) (*set, error) {
	base, pattern := doublestar.SplitPattern(filepath.ToSlash(path))
	full := func(name string) string {
		if filepath.IsAbs(name) {
			return filepath.Clean(name)
		}
		return filepath.Join(from.Dir, name)
	}
	one, isGlob := full(path), strings.ContainsAny(path, `*?[{\`)
	info, err := confine.Stat(from.Confine, one)
	switch {
	case err == nil && info.IsDir():
		return nil, sdk.Invalid("path %q is a directory; name the files in it, as in %q", path, filepath.ToSlash(filepath.Join(path, "**")))
	case err == nil:
		return &set{entries: []entry{{name: filepath.Base(one), label: one, path: one, confine: from.Confine}}}, nil
	case errors.Is(err, syscall.ENAMETOOLONG) && isGlob: // its parts may be short enough
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
		return nil, unreadable(one, err)
	case !isGlob:
		return nil, missing(from.Confine, path, one, "file")
	}
	matching, err := glob.Parse(pattern)
	if err != nil {
		return nil, sdk.Invalid("path %.200q %v", path, err)
	}

	root := full(base)
	switch info, err := confine.Stat(from.Confine, root); {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return nil, missing(from.Confine, path, root, "directory")
	case err != nil:
		return nil, unreadable(root, err)
	case !info.IsDir():
		return nil, unreadable(root, syscall.ENOTDIR)
	}
	s := &set{}
	// "**" must not find the journal of the run that reads it.
	isState := func(name string) bool { return name == stateDir }
	err = matching.Files(ctx, confine.FS(from.Confine, root), isState, func(name string) error {
		file := filepath.Join(root, name)
		info, err := confine.Stat(from.Confine, file)
		if err != nil {
			return unreadable(file, err)
		}
		if !info.IsDir() {
			s.entries = append(s.entries, entry{name: name, label: file, path: file, confine: from.Confine})
		}
		return nil
	})
	if pathErr, ok := errors.AsType[*glob.PathError](err); ok {
		return nil, unreadable(filepath.Join(root, pathErr.Name), pathErr.Err)
	}
	if err != nil {
		return nil, err
	}
	if len(s.entries) == 0 {
		return nil, sdk.Invalid("path %q: no file under %s matches%s", path, root, advise(nearby(from.Confine, root, filepath.Base(pattern)), "check the glob"))
	}
	s.sort()
	return s, nil
}

// stateDir is where the runner keeps its state, next to a spec.
const stateDir = ".surprisal"

// sort puts the entries in reading order.
func (s *set) sort() {
	slices.SortFunc(s.entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
}

// missing explains that full, the file or directory that path refers to, does not exist.
func missing(confined, path, full, kind string) error {
	dir, name := filepath.Dir(full), filepath.Base(full)
	for {
		info, err := confine.Stat(confined, dir)
		if err == nil && !info.IsDir() {
			return sdk.Invalid("path %q: %s is a file, not a directory", path, dir)
		}
		if err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir, name, kind = filepath.Dir(dir), filepath.Base(dir), "directory"
	}
	link := filepath.Join(dir, name)
	if info, err := os.Lstat(link); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(link)
		if err != nil {
			return unreadable(link, err)
		}
		return sdk.Invalid("path %q: the link %s leads to %q, which does not exist", path, link, target)
	}
	return sdk.Invalid("path %q: no %s %q under %s%s", path, kind, name, dir, advise(nearby(confined, dir, name), "check the path"))
}

// nearby lists the entries of dir that are most similar to name, for the end of a sentence.
func nearby(confined, dir, name string) string {
	list, err := confine.ReadDir(confined, dir)
	if err != nil {
		return fmt.Sprintf(" (%v)", err)
	}
	if len(list) == 0 {
		return ", which is empty"
	}
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Name()
	}
	return ", which contains " + Candidates(name, names)
}

func unreadable(file string, err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	return sdk.Invalid("cannot read %s: %v", file, err)
}

// resolve hashes the files, several at a time.
func (s *set) resolve(ctx context.Context, where Location, known *digests.Cache) ([]protocol.File, error) {
	if where.SHA256 != "" && len(s.entries) != 1 {
		return nil, sdk.Invalid("path %q matches %d files, but sha256 pins one; omit sha256: the plan holds the digest of "+
			"every local file, and the lock file that of every remote one", where.Path, len(s.entries))
	}
	for _, e := range s.entries {
		if !utf8.ValidString(e.name) {
			return nil, sdk.Invalid("%s: the name of the file is not valid UTF-8; rename it, or use a path that does not match it", e.label)
		}
	}
	files := make([]protocol.File, len(s.entries))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, e := range s.entries {
		group.Go(func() (err error) {
			files[i], err = e.digest(groupCtx, known)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if where.SHA256 != "" && files[0].Digest != "sha256:"+where.SHA256 {
		return nil, sdk.Invalid("%s: its sha256 is %s, but the spec expects %s; download or copy the file again, or correct the spec",
			s.entries[0].label, strings.TrimPrefix(files[0].Digest, "sha256:"), where.SHA256)
	}
	return files, nil
}

// compare checks that the files have the pinned names.
func (s *set) compare(path string, pinned []protocol.File) error {
	then, now := make([]string, len(pinned)), make([]string, len(s.entries))
	for i, f := range pinned {
		then[i] = f.Name
	}
	for i, e := range s.entries {
		now[i] = e.name
	}
	if slices.Equal(now, then) {
		return nil
	}
	return sdk.Changed("path %q: the files changed since planning from %s to %s; run `runner plan` again", path, list(then), list(now))
}
