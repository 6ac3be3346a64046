package workspace

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"surprisal.dev/runner/plan"
)

// PlanAt makes the plan of the spec as it was at a git revision, without actions where there was no such spec. Sources that its lock file names are
// what that says; others that the revision does not hold are read from the working tree.
func (w *Workspace) PlanAt(ctx context.Context, revision string) (_ *plan.Plan, err error) {
	tmp, err := os.MkdirTemp("", "surprisal-revision-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	dir, err := w.checkOut(ctx, revision, tmp)
	if err != nil {
		return nil, err
	}
	if dir == "" {
		return &plan.Plan{}, nil
	}
	e, err := w.load(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("the spec at %s: %w", revision, err)
	}
	p, err := w.planOf(ctx, e, true, dir, w.Dir)
	if err != nil {
		return nil, fmt.Errorf("the spec at %s: %w", revision, err)
	}
	return p, nil
}

// checkOut writes what a revision holds of the spec's CUE module to tmp and returns the spec's folder there, "" if it holds
// no CUE of that folder.
func (w *Workspace) checkOut(ctx context.Context, revision, tmp string) (string, error) {
	top, err := w.git(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return "", invalid("%s is in no git repository, so there is no %s to compare with: %v", w.Dir, revision, err)
	}
	if _, err := w.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}"); err != nil {
		return "", invalid("%q is no revision of the git repository; give a branch, a tag or a commit", revision)
	}
	names, err := w.git(ctx, "ls-tree", "--name-only", revision)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(strings.Split(string(names), "\n"), func(name string) bool { return path.Ext(name) == ".cue" }) {
		return "", nil
	}
	root := strings.TrimSpace(string(top))
	prefix, err := w.git(ctx, "rev-parse", "--show-prefix")
	if err != nil {
		return "", err
	}
	spec := filepath.FromSlash(strings.TrimSpace(string(prefix)))
	module := moduleRoot(root, spec)
	archive, err := w.git(ctx, "-C", root, "archive", "--format=tar", revision, "--", filepath.ToSlash(filepath.Join(".", module)))
	if err != nil {
		return "", err
	}
	return filepath.Join(tmp, spec), unpack(tar.NewReader(bytes.NewReader(archive)), tmp)
}

// moduleRoot returns the folder of the CUE module that the spec is in, relative to the repository; the spec's own folder
// if it is in none.
func moduleRoot(root, spec string) string {
	for dir := filepath.Clean(spec); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(root, dir, "cue.mod")); err == nil {
			return dir
		}
		if dir == "." {
			return filepath.Clean(spec)
		}
	}
}

func (w *Workspace) git(ctx context.Context, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, "git", append([]string{"-C", w.Dir}, args...)...)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

func unpack(archive *tar.Reader, dir string) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(h.Name, 0o755)
		case tar.TypeSymlink:
			err = root.Symlink(h.Linkname, h.Name)
		case tar.TypeReg:
			if err = root.MkdirAll(filepath.Dir(h.Name), 0o755); err == nil {
				err = unpackFile(root, h.Name, archive)
			}
		}
		if err != nil {
			return err
		}
	}
}

func unpackFile(root *os.Root, name string, content io.Reader) error {
	f, err := root.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}
