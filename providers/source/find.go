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

	"github.com/bmatcuk/doublestar/v4"
	"gocloud.dev/blob"
	"golang.org/x/sync/errgroup"

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

// withFiles calls fn with the files that path names.
func withFiles(ctx context.Context, dir, path string, network bool, fn func(*set) error) error {
	scheme, rest, isURL := strings.Cut(path, "://")
	switch {
	case !isURL:
		s, err := findLocal(ctx, dir, path)
		if err != nil {
			return err
		}
		return fn(s)
	case scheme == "file":
		name, err := url.PathUnescape(rest)
		if err != nil || !strings.HasPrefix(name, "/") {
			return sdk.Invalid(`path %q: expected "file:///" and an absolute path`, path)
		}
		s, err := findLocal(ctx, dir, name)
		if err != nil {
			return err
		}
		return fn(s)
	case scheme == "s3" || scheme == "gs":
		if !network {
			return sdk.NeedsNetwork("path %q is remote; run `runner pin` to record its content in the lock file", path)
		}
		s, err := findRemote(ctx, path)
		if err != nil {
			return err
		}
		err = fn(s)
		if closeErr := s.bucket.Close(); err == nil {
			err = closeErr
		}
		return err
	default:
		return sdk.Invalid("path %q: unknown scheme %q; schemes are file, gs and s3", path, scheme)
	}
}

// findLocal finds the files that path, relative to dir, names.
func findLocal(ctx context.Context, dir, path string) (*set, error) {
	base, pattern := doublestar.SplitPattern(filepath.ToSlash(path))
	full := func(name string) string {
		if filepath.IsAbs(name) {
			return filepath.Clean(name)
		}
		return filepath.Join(dir, name)
	}
	one := full(path)
	info, err := os.Stat(one)
	switch {
	case err == nil && info.IsDir():
		return nil, sdk.Invalid("path %q is a directory; name the files in it, as in %q", path, filepath.ToSlash(filepath.Join(path, "**")))
	case err == nil:
		return &set{entries: []entry{{name: filepath.Base(one), label: one, path: one}}}, nil
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
		return nil, unreadable(one, err)
	case !strings.ContainsAny(path, `*?[{\`):
		return nil, missing(path, one, "file")
	case !doublestar.ValidatePattern(pattern):
		return nil, sdk.Invalid(`path %q: not a glob: a "[" or "{" is not closed, or it ends with "\"; put "\" before a character to make it literal`, path)
	}

	root := full(base)
	if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, missing(path, root, "directory")
	} else if err != nil {
		return nil, unreadable(root, err)
	}
	s := &set{}
	err = doublestar.GlobWalk(sources{os.DirFS(root)}, pattern, func(name string, _ fs.DirEntry) error {
		file := filepath.Join(root, name)
		info, err := os.Stat(file)
		if err != nil {
			return unreadable(file, err)
		}
		if !info.IsDir() {
			s.entries = append(s.entries, entry{name: name, label: file, path: file})
		}
		return ctx.Err()
	}, doublestar.WithFailOnIOErrors(), doublestar.WithNoFollow())
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, unreadable(filepath.Join(root, pathErr.Path), pathErr.Err)
	}
	if err != nil {
		return nil, err
	}
	if len(s.entries) == 0 {
		return nil, sdk.Invalid("path %q: no file under %s matches%s", path, root, advise(nearby(root, filepath.Base(pattern)), "check the glob"))
	}
	s.sort()
	return s, nil
}

// stateDir is where the runner keeps its state, next to a spec.
const stateDir = ".surprisal"

// sources is a file tree without the runner's own state: "**" must not find the journal of the run that reads it.
type sources struct{ fs.FS }

func (s sources) Open(name string) (fs.File, error) {
	if isState(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return s.FS.Open(name)
}

func (s sources) ReadDir(name string) ([]fs.DirEntry, error) {
	if isState(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	list, err := fs.ReadDir(s.FS, name)
	return slices.DeleteFunc(list, func(e fs.DirEntry) bool { return e.Name() == stateDir }), err
}

func isState(name string) bool { return slices.Contains(strings.Split(name, "/"), stateDir) }

// sort puts the entries in reading order. A glob with several ** can match a file more than once.
func (s *set) sort() {
	slices.SortFunc(s.entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	s.entries = slices.CompactFunc(s.entries, func(a, b entry) bool { return a.name == b.name })
}

// missing explains that full, the file or directory that path refers to, does not exist.
func missing(path, full, kind string) error {
	if info, err := os.Lstat(full); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(full)
		if err != nil {
			return unreadable(full, err)
		}
		return sdk.Invalid("path %q: the link %s leads to %q, which does not exist", path, full, target)
	}
	dir, name := filepath.Dir(full), filepath.Base(full)
	for {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			return sdk.Invalid("path %q: %s is a file, not a directory", path, dir)
		}
		if err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir, name, kind = filepath.Dir(dir), filepath.Base(dir), "directory"
	}
	return sdk.Invalid("path %q: no %s %q under %s%s", path, kind, name, dir, advise(nearby(dir, name), "check the path"))
}

// nearby lists the entries of dir that are most similar to name, for the end of a sentence.
func nearby(dir, name string) string {
	list, err := os.ReadDir(dir)
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
