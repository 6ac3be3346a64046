package workspace

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
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
	confine := ""
	if w.options.Confine != "" {
		confine = tmp
	}
	e, err := w.load(ctx, dir, confine)
	if err != nil {
		return nil, fmt.Errorf("the spec at %s: %w", revision, err)
	}
	p, err := w.planOf(ctx, e, true, dir, w.Dir)
	if err != nil {
		return nil, fmt.Errorf("the spec at %s: %w", revision, err)
	}
	return p, nil
}

// checkOut writes what a revision holds of the spec's CUE module to tmp and returns the spec's directory there, "" if it
// holds no CUE of that directory. It takes the files as they were committed: attributes that leave files out or change
// them, and filters, which are programs, do not count.
func (w *Workspace) checkOut(ctx context.Context, revision, tmp string) (string, error) {
	prefix, err := w.git(ctx, "rev-parse", "--show-prefix")
	if err != nil {
		return "", invalid("%s is in no git repository, so there is no %s to compare with: %v", w.Dir, revision, err)
	}
	commit, err := w.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	if err != nil {
		return "", invalid("%q is no revision of the git repository; give a branch, a tag or a commit", revision)
	}
	tree, err := w.git(ctx, "ls-tree", "-r", "-z", "--full-tree", strings.TrimSpace(string(commit)))
	if err != nil {
		return "", err
	}
	files, err := parseTree(tree)
	if err != nil {
		return "", err
	}
	dir := path.Clean(strings.TrimSuffix(string(prefix), "\n"))
	files = moduleAround(files, dir)
	if files == nil {
		return "", nil
	}
	if err := w.writeFiles(ctx, files, tmp); err != nil {
		return "", fmt.Errorf("reading %s from git: %w", revision, err)
	}
	return filepath.Join(tmp, filepath.FromSlash(dir)), nil
}

// treeFile is a file of a revision: its path in the repository, the id of its content, and whether it is a link.
type treeFile struct {
	name, id string
	link     bool
}

// parseTree parses what git ls-tree -r -z prints. Submodules are left out.
func parseTree(tree []byte) ([]treeFile, error) {
	var files []treeFile
	for line := range strings.SplitSeq(strings.TrimSuffix(string(tree), "\x00"), "\x00") {
		head, name, ok := strings.Cut(line, "\t")
		fields := strings.Fields(head)
		if line == "" {
			continue
		}
		if !ok || len(fields) != 3 {
			return nil, fmt.Errorf("git ls-tree printed %q", line)
		}
		if fields[1] == "blob" {
			files = append(files, treeFile{name, fields[2], fields[0] == "120000"})
		}
	}
	return files, nil
}

// moduleAround returns the files of the CUE module that directory dir is in, or those of dir if it is in none; nil if dir
// has no CUE file itself.
func moduleAround(files []treeFile, dir string) []treeFile {
	roots := map[string]bool{}
	found := false
	for _, f := range files {
		if parent, ok := strings.CutSuffix(f.name, "cue.mod/module.cue"); ok && (parent == "" || strings.HasSuffix(parent, "/")) {
			roots[path.Clean(parent)] = true
		}
		found = found || path.Dir(f.name) == dir && path.Ext(f.name) == ".cue"
	}
	if !found {
		return nil
	}
	root := dir
	for at := dir; ; at = path.Dir(at) {
		if roots[at] {
			root = at
			break
		}
		if at == "." {
			break
		}
	}
	var in []treeFile
	for _, f := range files {
		if root == "." || strings.HasPrefix(f.name, root+"/") {
			in = append(in, f)
		}
	}
	return in
}

// writeFiles writes files of the repository to dir.
func (w *Workspace) writeFiles(ctx context.Context, files []treeFile, dir string) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var ids, stderr strings.Builder
	for _, f := range files {
		fmt.Fprintln(&ids, f.id)
	}
	c := w.gitCommand(ctx, "cat-file", "--batch")
	c.Stdin, c.Stderr = strings.NewReader(ids.String()), &stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	contents := bufio.NewReader(out)
	for _, f := range files {
		if err = writeFile(root, f, contents); err != nil {
			err = fmt.Errorf("%s: %w", f.name, err)
			stop()
			break
		}
	}
	if waitErr := c.Wait(); err == nil && waitErr != nil {
		err = fmt.Errorf("git cat-file: %w: %s", waitErr, strings.TrimSpace(stderr.String()))
	}
	return err
}

// writeFile writes the file whose content comes next from git cat-file --batch: a line with its id, type and size, the
// content, and a line end.
func writeFile(root *os.Root, file treeFile, contents *bufio.Reader) error {
	line, err := contents.ReadString('\n')
	if err != nil {
		return err
	}
	fields := strings.Fields(line)
	if len(fields) != 3 || fields[0] != file.id || fields[1] != "blob" {
		return fmt.Errorf("the repository has no content for it (%s); fetch it with git", strings.TrimSpace(line))
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return err
	}
	content := io.LimitReader(contents, size)
	if err := root.MkdirAll(filepath.Dir(file.name), 0o755); err != nil {
		return err
	}
	if file.link {
		target, err := io.ReadAll(content)
		if err == nil {
			err = root.Symlink(string(target), file.name)
		}
		if err != nil {
			return err
		}
	} else if err := copyFile(root, file.name, content); err != nil {
		return err
	}
	_, err = contents.Discard(1)
	return err
}

func copyFile(root *os.Root, name string, content io.Reader) error {
	f, err := root.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// git runs git and returns what it prints.
func (w *Workspace) git(ctx context.Context, args ...string) ([]byte, error) {
	c := w.gitCommand(ctx, args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// gitCommand prepares git so that it starts no program that the repository's configuration names, reaches no network, not
// even for objects that a partial clone lacks, and takes no directory for a repository that is not checked out as one.
func (w *Workspace) gitCommand(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "git", append([]string{
		"-C", w.Dir, "--no-pager", "--no-optional-locks",
		"-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull, "-c", "safe.bareRepository=explicit",
	}, args...)...)
	c.Env = append(os.Environ(), "GIT_ALLOW_PROTOCOL=none", "GIT_NO_LAZY_FETCH=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	return c
}
