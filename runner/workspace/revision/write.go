package revision

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"surprisal.dev/plugins/protocol"
)

// leadsOut replaces the target of links that lead out of the repository, form a cycle, or whose target is missing. No
// file has this name, so that using such a link is an error that its target does not exist.
const leadsOut = "not in the repository at this revision"

// Copy is a part of a Tree on disk.
type Copy struct {
	tree *Tree
	// Dir is the path of the copy of the directory that was opened.
	Dir string
	// top is the path of the copy of the top of the repository.
	top string
}

// Copy copies the files that CUE may read for the package in the directory to the directory to: the CUE files of its
// module, all links in it, and the CUE files that these lead to. It also copies the files of the directory that others
// names. The copy is as deep in to as the repository is on disk, so that a path out of the repository leads nowhere.
func (t *Tree) Copy(ctx context.Context, to string, others ...string) (*Copy, error) {
	c := &Copy{tree: t, top: filepath.Join(to, strings.TrimSuffix(t.real, string(filepath.Separator)+filepath.FromSlash(t.dir)))}
	c.Dir = filepath.Join(c.top, filepath.FromSlash(t.dir))
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, err
	}
	return c, limited(ctx, t.revision, func(ctx context.Context) error {
		t.enqueueAll(ctx, t.module(), func(name string) bool { return path.Ext(name) == ".cue" }, map[string]bool{})
		for _, name := range others {
			t.enqueueNamed(ctx, name)
		}
		return c.write(ctx, "the CUE module around the specification",
			"move the specification to a module with fewer CUE files, a directory with its own cue.mod")
	})
}

// Add copies the files at paths in the spec: files, directories and globs, relative to its directory. It ignores paths
// that the revision does not have.
func (c *Copy) Add(ctx context.Context, paths []string) error {
	return limited(ctx, c.tree.revision, func(ctx context.Context) error {
		for _, name := range paths {
			c.tree.enqueueNamed(ctx, name)
		}
		return c.write(ctx, "the set of files that the specification names without a pin",
			"compare with a revision whose lock file has the sources (`runner pin`), because their files are not read, or name fewer files")
	})
}

// write writes the files that were queued, unless they exceed the limits. what describes them in errors.
func (c *Copy) write(ctx context.Context, what, advice string) (err error) {
	t := c.tree
	defer func() {
		if _, ok := errors.AsType[*protocol.Error](err); !ok && err != nil {
			err = fmt.Errorf("reading %s from git: %w", t.revision, err)
		}
	}()
	if err := ctx.Err(); err != nil {
		return err // Not all files were queued.
	}
	files := t.pending
	t.pending = nil
	if t.count += int64(len(files)); t.count > maxFiles {
		return protocol.Invalid("%s: %s exceeds the limit of %s files with %s files; %s",
			t.revision, what, humanize.Comma(maxFiles), humanize.Comma(t.count), advice)
	}
	sizes, err := t.sizes(ctx, files)
	if err != nil {
		return err
	}
	for i, size := range sizes {
		if size < 0 {
			return fmt.Errorf("%s: its content is missing from the repository; fetch it with git", protocol.Visible(files[i].name))
		}
		// The sum cannot overflow: the sizes so far are below the limit.
		if t.bytes += size; t.bytes > maxBytes {
			return protocol.Invalid("%s: %s exceeds the limit of %s with %s, one of %s files; %s",
				t.revision, what, humanize.IBytes(maxBytes), files[i].name, humanize.Comma(t.count), advice)
		}
	}
	root, err := os.OpenRoot(c.top)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	var regular []*file
	for _, f := range files {
		if err := root.MkdirAll(path.Dir(f.name), 0o755); err != nil {
			return err
		}
		if !f.link {
			regular = append(regular, f)
			continue
		}
		target := f.target
		if _, ok := t.follow(ctx, f.name); !ok {
			target = leadsOut
		}
		if err := root.Symlink(target, f.name); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err // A target may be wrong.
	}
	return t.contents(ctx, regular, func(f *file, content io.Reader) error { return copyFile(root, f.name, content) })
}

func copyFile(root *os.Root, name string, content io.Reader) error {
	// O_EXCL fails on duplicate names, which git does not create.
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// ids returns the ids of files, one per line.
func ids(files []*file) string {
	var ids strings.Builder
	for _, f := range files {
		ids.WriteString(f.id)
		ids.WriteByte('\n')
	}
	return ids.String()
}

// sizes returns the sizes of files in bytes, or -1 for files whose content is missing from the repository.
func (t *Tree) sizes(ctx context.Context, files []*file) ([]int64, error) {
	if len(files) == 0 {
		return nil, nil
	}
	sizes := make([]int64, len(files))
	return sizes, t.git.stream(ctx, ids(files), func(out *bufio.Reader) (err error) {
		for i, f := range files {
			if sizes[i], err = header(out, f); err != nil {
				return fmt.Errorf("%s: %w", protocol.Visible(f.name), err)
			}
		}
		return nil
	}, "cat-file", "--batch-check")
}

// contents calls each with the content of every file, in order.
func (t *Tree) contents(ctx context.Context, files []*file, each func(f *file, content io.Reader) error) error {
	if len(files) == 0 {
		return nil
	}
	return t.git.stream(ctx, ids(files), func(out *bufio.Reader) error {
		for _, f := range files {
			size, err := header(out, f)
			if err == nil && size < 0 {
				err = errors.New("its content is missing from the repository; fetch it with git")
			}
			if err == nil {
				err = each(f, io.LimitReader(out, size))
			}
			if err == nil {
				_, err = out.Discard(1) // the line break
			}
			if err != nil {
				return fmt.Errorf("%s: %w", protocol.Visible(f.name), err)
			}
		}
		return nil
	}, "cat-file", "--batch")
}

// header reads the line that git cat-file prints for a file: its id, type and size. It returns the size in bytes, or -1
// if the content is missing from the repository.
func header(out *bufio.Reader, f *file) (int64, error) {
	line, err := out.ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(line)
	if len(fields) == 2 && fields[0] == f.id && fields[1] == "missing" {
		return -1, nil
	}
	if len(fields) != 3 || fields[0] != f.id || fields[1] != "blob" {
		return 0, fmt.Errorf("unexpected output of git cat-file: %q", line)
	}
	return strconv.ParseInt(fields[2], 10, 64)
}
