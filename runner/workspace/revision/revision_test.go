package revision_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/workspace/revision"
)

// repository is a git repository with a spec in the directory x/spec, which is a CUE module.
type repository struct {
	t   *testing.T
	dir string
}

func newRepository(t *testing.T) repository {
	t.Helper()
	r := repository{t, t.TempDir()}
	r.git("", "init", "--quiet", "--initial-branch", "main")
	if err := os.MkdirAll(r.spec(), 0o755); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r repository) spec() string { return filepath.Join(r.dir, "x", "spec") }

func (r repository) git(input string, args ...string) string {
	r.t.Helper()
	c := exec.CommandContext(r.t.Context(), "git", append([]string{"-C", r.dir}, args...)...)
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.org", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.org")
	c.Stdin = strings.NewReader(input)
	out, err := c.Output()
	if err != nil {
		r.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// object stores a blob and returns its id.
func (r repository) object(content string) string {
	r.t.Helper()
	return r.git(content, "hash-object", "-w", "--stdin")
}

// commit creates a branch main with files, links ("-> TARGET") and submodules ("@ ID").
func (r repository) commit(files map[string]string) {
	r.t.Helper()
	var index strings.Builder
	for name, content := range files {
		mode := "100644"
		if id, ok := strings.CutPrefix(content, "@ "); ok {
			fmt.Fprintf(&index, "160000 %s\t%s\n", id, name)
			continue
		}
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			mode, content = "120000", target
		}
		fmt.Fprintf(&index, "%s %s\t%s\n", mode, r.object(content), name)
	}
	r.git("", "read-tree", "--empty")
	r.git(index.String(), "update-index", "--index-info")
	r.branch(r.git("", "write-tree"))
}

// branch sets main to a commit of a tree.
func (r repository) branch(tree string) {
	r.t.Helper()
	r.git("", "update-ref", "refs/heads/main", r.git("", "commit-tree", tree, "-m", "one"))
}

// copy copies main for a spec that names the given paths. It returns the content of each copied file by its path in the
// repository, with links as in commit.
func (r repository) copy(paths ...string) (map[string]string, error) {
	r.t.Helper()
	tree, err := revision.Open(r.t.Context(), r.spec(), "main")
	if err != nil {
		return nil, err
	}
	if !tree.HasPackage() {
		return nil, nil
	}
	to := r.t.TempDir()
	c, err := tree.Copy(r.t.Context(), to, "surprisal.lock")
	if err == nil {
		err = c.Add(r.t.Context(), paths)
	}
	if err != nil {
		return nil, err
	}
	top := filepath.Join(c.Dir, "..", "..")
	if depth := strings.Count(top, "/") - strings.Count(to, "/"); depth < strings.Count(r.dir, "/") {
		r.t.Errorf("the depth of the copy is %d, so that ../../.. may lead out of it", depth)
	}
	found := map[string]string{}
	if err := filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			found[name] = "-> " + target
			return err
		}
		content, err := os.ReadFile(path)
		found[name] = string(content)
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	return found, nil
}

// TestCopy checks that only the files that a spec names or needs are copied.
func TestCopy(t *testing.T) {
	t.Parallel()
	const outside = "-> not in the repository at this revision"
	r := newRepository(t)
	files := map[string]string{
		"top.cue": "outside of the module", "x/cue.mod/module.cue": "module", "x/shared/s.cue": "shared", "x/shared/s.txt": "data",
		"x/spec/a.cue": "spec", "x/spec/surprisal.lock": "lock", "x/spec/a.txt": "a", "x/spec/b.txt": "b", "x/spec/sub/c.txt": "c",
		"data/d/1.txt": "1", "data/d/2.bin": "2", "data/e.txt": "e", "data/l.cue": "language", "data/to-e": "-> e.txt",
		"x/spec/b[1].txt": "a name like a glob", "data/d0/3.txt": "3", "data/d.md": "d", "data/d-e/4.txt": "4",
		"x/spec/module": "@ " + strings.Repeat("1", 40), "x/spec/module.cue/x": "@ " + strings.Repeat("2", 40),
	}
	links := map[string]string{
		"x/spec/in": "-> ../../data", "x/spec/e.txt": "-> in/to-e", "x/spec/absolute": "-> /etc", "x/spec/up": "-> ../../../etc",
		"x/spec/round": "-> round", "x/spec/long": "-> " + strings.Repeat("x/", 4000), "x/spec/up.cue": "-> in/../../../up.cue",
	}
	for name, target := range links {
		files[name] = target
	}
	r.commit(files)
	// Every copy has the files that CUE reads and the links in the module, which do not lead outside.
	base := map[string]string{
		"x/cue.mod/module.cue": "module", "x/shared/s.cue": "shared", "x/spec/a.cue": "spec", "x/spec/surprisal.lock": "lock",
		"data/l.cue": "language", "data/to-e": "-> e.txt", "x/spec/in": "-> ../../data", "x/spec/e.txt": "-> in/to-e",
		"x/spec/absolute": outside, "x/spec/up": outside, "x/spec/round": outside, "x/spec/long": outside, "x/spec/up.cue": outside,
	}
	for _, c := range []struct {
		named string
		adds  []string
	}{
		{"", nil},
		{"none.txt", nil},
		{"/etc/passwd", nil},
		{"s3://bucket/a.txt", nil},
		{"../../../../etc/passwd", nil},
		{"absolute/passwd", nil},
		{"up/passwd", nil},
		{"a.txt", []string{"x/spec/a.txt"}},
		{"sub/../a.txt", []string{"x/spec/a.txt"}},
		{"b[1].txt", []string{"x/spec/b[1].txt"}},
		{"b[0-9].txt", nil},
		{"module", nil},
		{"[", nil},
		{"../spec/sub", []string{"x/spec/sub/c.txt"}},
		{"../../data/d*/*.txt", []string{"data/d/1.txt", "data/d0/3.txt", "data/d-e/4.txt"}},
		{"*.txt", []string{"x/spec/a.txt", "x/spec/b.txt", "x/spec/b[1].txt", "data/e.txt"}},
		{"**/*.txt", []string{"x/spec/a.txt", "x/spec/b.txt", "x/spec/b[1].txt", "x/spec/sub/c.txt", "data/e.txt"}},
		{"e.txt", []string{"data/e.txt"}},
		{"in/d/*.txt", []string{"data/d/1.txt"}},
		{"../../data/d", []string{"data/d/1.txt", "data/d/2.bin"}},
		{"../shared/{s,t}.txt", []string{"x/shared/s.txt"}},
	} {
		want := map[string]string{}
		for name, content := range base {
			want[name] = content
		}
		for _, name := range c.adds {
			want[name] = files[name]
		}
		got, err := r.copy(c.named)
		if err != nil {
			t.Errorf("%q: %v", c.named, err)
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", c.named, d)
		}
	}
}

// TestModule checks that the CUE files of the spec's module are copied, or those of its directory if it is not in a
// module, or nothing if the directory has no package.
func TestModule(t *testing.T) {
	t.Parallel()
	chain := map[string]string{"x/spec/a.cue": "a", "x/spec/end": "end"}
	linked := map[string]string{"x/spec/a.cue": "a", "x/spec/h00": "-> not in the repository at this revision"}
	for i := range 41 {
		chain[fmt.Sprintf("x/spec/h%02d", i)] = fmt.Sprintf("-> h%02d", i+1)
		if i > 0 {
			linked[fmt.Sprintf("x/spec/h%02d", i)] = fmt.Sprintf("-> h%02d", i+1)
		}
	}
	chain["x/spec/h40"], linked["x/spec/h40"] = "-> end", "-> end"
	for name, c := range map[string]struct{ files, want map[string]string }{
		"no package": {map[string]string{"x/spec/sub/a.cue": "a", "x/spec-old/b.cue": "b", "x/spec/a.txt": "a", "x/a.cue": "a"}, nil},
		"no module": {map[string]string{"top.cue": "t", "x/a.cue": "a", "x/spec/a.cue": "a", "x/spec/sub/b.cue": "b", "x/spec0/c.cue": "c"},
			map[string]string{"x/spec/a.cue": "a", "x/spec/sub/b.cue": "b"}},
		"module at the top": {map[string]string{"cue.mod/module.cue": "m", "top.cue": "t", "x/spec/a.cue": "a", "x/spec0/c.cue": "c", "y": "y"},
			map[string]string{"cue.mod/module.cue": "m", "top.cue": "t", "x/spec/a.cue": "a", "x/spec0/c.cue": "c"}},
		"separate module": {map[string]string{"cue.mod/module.cue": "m", "x/spec/cue.mod/module.cue": "n", "x/spec/a.cue": "a", "top.cue": "t"},
			map[string]string{"x/spec/cue.mod/module.cue": "n", "x/spec/a.cue": "a"}},
		"a long chain of links": {chain, linked},
	} {
		r := newRepository(t)
		r.commit(c.files)
		got, err := r.copy()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestBounds checks that trees that are too large are rejected before a file is written.
func TestBounds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tree  func(r repository) string
		paths []string
		want  string
	}{
		"a bomb of names": {func(r repository) string {
			tree := r.object("")
			kind := "100644 blob"
			for range 10 {
				var list strings.Builder
				for i := range 10 {
					fmt.Fprintf(&list, "%s %s\t%d\n", kind, tree, i)
				}
				tree, kind = r.git(list.String(), "mktree", "--missing"), "040000 tree"
			}
			return tree
		}, nil, "reading main from git: its tree exceeds the limit of 1,048,576 files and directories, or of 256 MiB for their names; " +
			"compare with a smaller revision"},
		"a bomb of empty directories": {func(r repository) string {
			tree := r.git("", "mktree")
			for range 12 {
				var list strings.Builder
				for i := range 10 {
					fmt.Fprintf(&list, "040000 tree %s\t%d\n", tree, i)
				}
				tree = r.git(list.String(), "mktree")
			}
			return tree
		}, nil, "reading main from git: its tree exceeds the limit of 1,048,576 files and directories, or of 256 MiB for their names; " +
			"compare with a smaller revision"},
		"many CUE files": {func(r repository) string { return r.many(".cue", 100_001, "package x\n") }, nil,
			"main: the CUE module around the specification exceeds the limit of 100,000 files with 100,002 files; " +
				"move the specification to a module with fewer CUE files, a directory with its own cue.mod"},
		"many files": {func(r repository) string { return r.many(".txt", 100_000, "") }, []string{"many/*"},
			"main: the set of files that the specification names without a pin exceeds the limit of 100,000 files with 100,001 files; " +
				"compare with a revision whose lock file has the sources (`runner pin`), because their files are not read, or name fewer files"},
		"many that are not named": {func(r repository) string { return r.many(".txt", 100_000, "") }, []string{"many/1.txt"}, ""},
		"many bytes": {func(r repository) string { return r.many(".txt", 65, strings.Repeat("x", 16<<20)) }, []string{"many"},
			"main: the set of files that the specification names without a pin exceeds the limit of 1.0 GiB with x/spec/many/8.txt, one of 66 files; "},
		"many links": {func(r repository) string {
			var list strings.Builder
			target := r.object("a.cue")
			for i := range 100_001 {
				fmt.Fprintf(&list, "120000 blob %s\t%d\n", target, i)
			}
			return r.git(list.String(), "mktree", "--missing")
		}, nil, "reading main from git: its tree has 100,001 links, more than the limit of 100,000; compare with a revision that has fewer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			r.branch(c.tree(r))
			_, err := r.copy(c.paths...)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want) || protocol.KindOf(err) != protocol.InvalidInput):
				t.Errorf("found error %v, want %q", err, c.want)
			}
		})
	}
}

// many creates a tree with a CUE file and n equal files in x/spec/many.
func (r repository) many(ext string, n int, content string) string {
	r.t.Helper()
	var list strings.Builder
	id := r.object(content)
	for i := range n {
		fmt.Fprintf(&list, "100644 blob %s\t%d%s\n", id, i, ext)
	}
	directory := r.git(list.String(), "mktree", "--missing")
	spec := r.git(fmt.Sprintf("040000 tree %s\tmany\n100644 blob %s\ta.cue\n", directory, r.object("package x\n")), "mktree", "--missing")
	return r.git("040000 tree "+r.git("040000 tree "+spec+"\tspec\n", "mktree", "--missing")+"\tx\n", "mktree", "--missing")
}

// TestTime checks that a step that takes too long ends with an error. It is not parallel, because it
// changes the limit and the PATH.
func TestTime(t *testing.T) { //nolint:paralleltest
	const want = "reading main from git exceeds the limit of 20ms; compare with a smaller revision, " +
		"or one with fewer links and simpler globs"
	check := func(err error) {
		t.Helper()
		if err == nil || err.Error() != want || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("found error %v, want %q", err, want)
		}
	}
	r := newRepository(t)
	r.commit(map[string]string{"x/spec/a.cue": "a", "x/spec/b.txt": "b"})
	tree, err := revision.Open(t.Context(), r.spec(), "main")
	if err != nil {
		t.Fatal(err)
	}
	c, err := tree.Copy(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	revision.SetTime(t, 20*time.Millisecond)
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "git"), []byte("#!/bin/sh\nsleep 1000000 &\nwait\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	check(c.Add(t.Context(), []string{"*.txt"}))
	_, err = revision.Open(t.Context(), r.spec(), "main")
	check(err)
}

// TestContained checks that a repository whose objects are elsewhere is rejected.
func TestContained(t *testing.T) {
	t.Parallel()
	other := newRepository(t)
	for name, c := range map[string]struct {
		change func(r repository) error
		want   string
	}{
		"own objects": {func(repository) error { return nil }, ""},
		"a file": {func(r repository) error {
			dir := filepath.Join(r.dir, ".git")
			return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, []byte("gitdir: "+other.dir+"/.git\n"), 0o644))
		}, ".git leads to " + other.dir},
		"a link": {func(r repository) error {
			dir := filepath.Join(r.dir, ".git")
			return errors.Join(os.RemoveAll(dir), os.Symlink(filepath.Join(other.dir, ".git"), dir))
		}, ".git "},
		"alternates": {func(r repository) error {
			return os.WriteFile(filepath.Join(r.dir, ".git/objects/info/alternates"), []byte(other.dir+"/.git/objects\n"), 0o644)
		}, "has objects of other repositories (objects/info/alternates)"},
		"linked packs": {func(r repository) error {
			packs := filepath.Join(r.dir, ".git/objects/pack")
			return errors.Join(os.RemoveAll(packs), os.Symlink(filepath.Join(other.dir, ".git/objects/pack"), packs))
		}, "contains the link "},
	} {
		r := newRepository(t)
		if err := c.change(r); err != nil {
			t.Fatal(err)
		}
		err := revision.Contained(t.Context(), r.spec())
		if c.want == "" && err != nil || c.want != "" && (protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
