package revision

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/dustin/go-humanize"

	"surprisal.dev/internal/glob"
	"surprisal.dev/plugins/protocol"
)

// Limits of reading a revision.
const (
	// maxListed and maxListedBytes bound the names of files and directories in the whole tree. A few git objects can
	// represent more files than fit in memory, or more directories without files than git lists in a lifetime.
	maxListed      = 1 << 20
	maxListedBytes = 256 << 20
	// maxFiles and maxBytes bound the files that are copied in total.
	maxFiles = 100_000
	maxBytes = 1 << 30
)

const (
	// maxTarget is the maximum length of a link's target in bytes, as on Linux.
	maxTarget = 4096
	// maxHops is the maximum number of links that are followed for a name.
	maxHops = 40
)

// maxTime bounds each step of reading a revision: listing it, and each copy of files. Git, links that lead to links, and
// globs with many alternatives could take longer than anyone waits. Tests change it.
var maxTime = 3 * time.Minute

// Tree is the content of a repository at a revision. Names in it are slash-separated paths from the top of the
// repository.
type Tree struct {
	git      git
	revision string
	// dir is the name of the directory that was opened, and real its path on disk, without links.
	dir, real string
	// files are all files and links of the repository, sorted by name.
	files []*file
	// pending are the files to write next. count and bytes count the files that were written so far.
	pending      []*file
	count, bytes int64
}

// file is a file or a link at a revision. Submodules are omitted.
type file struct {
	name, id string
	link     bool
	// target is the target of a link, or "" if it is too long or missing from the repository.
	target string
	queued bool
}

// Open lists the content of the repository that contains directory dir at a revision.
func Open(ctx context.Context, dir, revision string) (*Tree, error) {
	t := &Tree{git: git{dir}, revision: revision}
	return t, limited(ctx, revision, t.open)
}

func (t *Tree) open(ctx context.Context) error {
	prefix, err := t.git.ask(ctx, "rev-parse", "--show-prefix")
	if errors.Is(err, exec.ErrNotFound) {
		return protocol.Invalid("--against needs git, which is not installed: install git, or plan without --against")
	}
	if err != nil {
		return protocol.Invalid("%s is not in a git repository, so there is no %s to compare with: %v; commit the experiment to a repository, "+
			"or plan without --against", t.git.dir, t.revision, err)
	}
	t.dir = path.Clean(strings.TrimSuffix(string(prefix), "\n"))
	if t.real, err = filepath.EvalSymlinks(t.git.dir); err != nil {
		return err
	}
	commit, err := t.git.ask(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", t.revision+"^{commit}")
	if err != nil {
		return t.unknown(ctx)
	}
	return t.read(ctx, strings.TrimSpace(string(commit)))
}

// unknown is the error of a revision that the repository does not have.
func (t *Tree) unknown(ctx context.Context) error {
	commits, err := t.git.ask(ctx, "rev-list", "--all", "--max-count=1")
	if err == nil && len(bytes.TrimSpace(commits)) == 0 {
		return protocol.Invalid("the git repository of %s has no commits, so there is no %s to compare with; commit the experiment first, "+
			"or plan without --against", t.git.dir, t.revision)
	}
	if shallow, err := t.git.ask(ctx, "rev-parse", "--is-shallow-repository"); err == nil && strings.TrimSpace(string(shallow)) == "true" {
		return protocol.Invalid("git revision %q is not in this shallow clone; clone with the whole history: `fetch-depth: 0` of actions/checkout, "+
			"`GIT_DEPTH: 0` of GitLab, or `git fetch --unshallow`", t.revision)
	}
	return protocol.Invalid("unknown git revision %q: use a branch, a tag or a commit; `git branch --all` and `git tag` list branches and tags", t.revision)
}

// read lists the content of a commit.
func (t *Tree) read(ctx context.Context, commit string) error {
	// -t lists directories, too. Without it, git is silent while it reads directories without files.
	err := t.git.stream(ctx, "", t.list, "ls-tree", "-r", "-t", "-z", "--full-tree", commit)
	if err == nil {
		err = t.readLinks(ctx)
	}
	if err != nil {
		return fmt.Errorf("reading %s from git: %w", t.revision, err)
	}
	return nil
}

// list reads the output of git ls-tree -r -t -z.
func (t *Tree) list(out *bufio.Reader) error {
	limited := &io.LimitedReader{R: out, N: maxListedBytes}
	lines := bufio.NewScanner(limited)
	lines.Buffer(nil, maxListedBytes)
	lines.Split(func(data []byte, _ bool) (int, []byte, error) {
		if i := bytes.IndexByte(data, 0); i >= 0 {
			return i + 1, data[:i], nil
		}
		return 0, nil, nil
	})
	listed := 0
	for ; listed <= maxListed && lines.Scan(); listed++ {
		line := lines.Text()
		head, name, ok := strings.Cut(line, "\t")
		fields := strings.Fields(head)
		if !ok || len(fields) != 3 {
			return fmt.Errorf("unexpected output of git ls-tree: %q", line)
		}
		if fields[1] == "blob" {
			t.files = append(t.files, &file{name: name, id: fields[2], link: fields[0] == "120000"})
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if listed > maxListed || limited.N == 0 {
		return protocol.Invalid("its tree exceeds the limit of %s files and directories, or of %s for their names; "+
			"compare with a smaller revision", humanize.Comma(maxListed), humanize.IBytes(maxListedBytes))
	}
	slices.SortFunc(t.files, func(a, b *file) int { return strings.Compare(a.name, b.name) })
	return nil
}

// readLinks reads the targets of all links.
func (t *Tree) readLinks(ctx context.Context) error {
	var links []*file
	for _, f := range t.files {
		if f.link {
			links = append(links, f)
		}
	}
	if len(links) > maxFiles {
		return protocol.Invalid("its tree has %s links, more than the limit of %s; compare with a revision that has fewer",
			humanize.Comma(int64(len(links))), humanize.Comma(maxFiles))
	}
	sizes, err := t.sizes(ctx, links)
	if err != nil {
		return err
	}
	var short []*file
	for i, f := range links {
		if sizes[i] >= 0 && sizes[i] <= maxTarget {
			short = append(short, f)
		}
	}
	return t.contents(ctx, short, func(f *file, content io.Reader) error {
		target, err := io.ReadAll(content)
		f.target = string(target)
		return err
	})
}

// HasPackage reports whether the revision has CUE files in the directory itself.
func (t *Tree) HasPackage() bool {
	return slices.ContainsFunc(t.below(t.dir), func(f *file) bool { return path.Dir(f.name) == t.dir && path.Ext(f.name) == ".cue" })
}

// module returns the root of the CUE module that contains the directory, or the directory if there is none.
func (t *Tree) module() string {
	for at := t.dir; ; at = path.Dir(at) {
		if t.find(path.Join(at, "cue.mod/module.cue")) != nil {
			return at
		}
		if at == "." {
			return t.dir
		}
	}
}

func (t *Tree) search(name string) int {
	i, _ := slices.BinarySearchFunc(t.files, name, func(f *file, name string) int { return strings.Compare(f.name, name) })
	return i
}

// find returns a file or link, or nil if there is none.
func (t *Tree) find(name string) *file {
	if i := t.search(name); i < len(t.files) && t.files[i].name == name {
		return t.files[i]
	}
	return nil
}

// below returns the files and links in a directory, at any depth.
func (t *Tree) below(dir string) []*file {
	if dir == "." {
		return t.files
	}
	return t.files[t.search(dir+"/"):t.search(dir+"0")] // "0" comes next after "/"
}

// follow returns the name that results when every link in a name is followed, and adds these links to those to write.
// It returns false if they lead out of the repository, form a cycle, or have an unknown target, or when the context is
// done.
func (t *Tree) follow(ctx context.Context, name string) (real string, ok bool) {
	real, left := ".", strings.Split(name, "/")
	for hops := 0; len(left) > 0; {
		at := path.Join(real, left[0])
		left = left[1:]
		if at == ".." {
			return "", false
		}
		f := t.find(at)
		if f == nil || !f.link {
			real = at
			continue
		}
		t.enqueue(f)
		if hops++; hops > maxHops || f.target == "" || path.IsAbs(f.target) || ctx.Err() != nil {
			return "", false
		}
		left = append(strings.Split(f.target, "/"), left...)
	}
	return real, true
}

// enqueue adds a file to those to write next, unless it was queued before.
func (t *Tree) enqueue(f *file) {
	if !f.queued {
		f.queued = true
		t.pending = append(t.pending, f)
	}
}

// enqueueAll adds the file that name refers to. For a directory, it adds all selected files, all links, and the selected
// files that these lead to. It returns false if there is no such file or directory, or when the context is done.
func (t *Tree) enqueueAll(ctx context.Context, name string, selected func(name string) bool, seen map[string]bool) bool {
	real, ok := t.follow(ctx, name)
	if !ok || seen[real] {
		return ok
	}
	seen[real] = true
	all := t.below(real)
	if f := t.find(real); f != nil {
		all = []*file{f}
	}
	for _, f := range all {
		if ctx.Err() != nil {
			return false
		}
		if f.link {
			t.enqueueAll(ctx, f.name, selected, seen)
		} else if selected(f.name) {
			t.enqueue(f)
		}
	}
	return len(all) > 0
}

// enqueueNamed adds the files at a path in a spec: a file, a directory or a glob, relative to the directory. It adds only
// some of them when the context is done.
func (t *Tree) enqueueNamed(ctx context.Context, named string) {
	if named == "" || path.IsAbs(named) || strings.Contains(named, "://") {
		return
	}
	if t.enqueueAll(ctx, path.Join(t.dir, named), func(string) bool { return true }, map[string]bool{}) {
		return
	}
	base, pattern := doublestar.SplitPattern(named)
	dir, ok := t.follow(ctx, path.Join(t.dir, base))
	matching, err := glob.Parse(pattern)
	if !ok || err != nil {
		return
	}
	for _, f := range t.below(dir) {
		if ctx.Err() != nil {
			return
		}
		if !matching.Match(strings.TrimPrefix(f.name, dir+"/")) {
			continue
		}
		if real, ok := t.follow(ctx, f.name); ok {
			if at := t.find(real); at != nil {
				t.enqueue(at)
			}
		}
	}
}
