package workspace_test

import (
	"os"
	"path/filepath"
	"testing"
)

// TestPlanAtRunsNothing checks that a comparison with a revision does not start programs of the repository's
// configuration and ignores its attributes.
func TestPlanAtRunsNothing(t *testing.T) {
	f := newDirectory(t)
	f.write(".gitignore", ".surprisal\n")
	f.write(".gitattributes", "*.cue export-ignore\n*.txt filter=evil diff=evil export-subst\n")
	f.write("corpus.txt", "the cat sat on the mat\nthe dog sat on the cat $Format:%H$")
	f.git("init", "--quiet")
	f.commit("first")
	ran := filepath.Join(t.TempDir(), "ran")
	f.write(".git/evil", "#!/bin/sh\necho \"$0 $*\" >>"+ran+"\nexec cat\n")
	evil := filepath.Join(f.dir, ".git", "evil")
	if err := os.Chmod(evil, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, hook := range []string{"post-index-change", "reference-transaction", "post-checkout"} {
		if err := os.Symlink(evil, filepath.Join(f.dir, ".git", "hooks", hook)); err != nil {
			t.Fatal(err)
		}
	}
	for key, value := range map[string]string{
		"core.fsmonitor": evil, "core.pager": evil, "core.sshCommand": evil, "core.alternateRefsCommand": evil,
		"core.editor": evil, "diff.external": evil, "diff.evil.textconv": evil, "diff.evil.command": evil,
		"filter.evil.smudge": evil, "filter.evil.clean": evil, "filter.evil.process": evil, "filter.evil.required": "true",
		"pager.rev-parse": evil, "pager.ls-tree": evil, "pager.cat-file": evil, "tar.tar.command": evil,
		"alias.cat-file": "!" + evil,
	} {
		f.git("config", key, value)
	}
	if got := f.against("HEAD"); len(got) > 0 {
		t.Errorf("a revision that is checked out changes %q", got)
	}

	// A partial clone would fetch missing objects from the configured remote.
	f.git("config", "core.repositoryFormatVersion", "1")
	f.git("config", "extensions.partialClone", "origin")
	f.git("config", "remote.origin.promisor", "true")
	f.git("config", "remote.origin.url", f.dir)
	f.git("config", "remote.origin.uploadpack", evil)
	f.git("config", "protocol.allow", "always")
	objects, err := filepath.Glob(filepath.Join(f.dir, ".git", "objects", "[0-9a-f][0-9a-f]", "*"))
	if err != nil || len(objects) == 0 {
		t.Fatal(objects, err)
	}
	refused := 0
	for _, object := range objects {
		if err := os.Rename(object, object+".away"); err != nil {
			t.Fatal(err)
		}
		if _, err := f.open().PlanAt(t.Context(), "HEAD"); err != nil {
			refused++
		}
		if err := os.Rename(object+".away", object); err != nil {
			t.Fatal(err)
		}
	}
	if refused == 0 {
		t.Error("no object is needed")
	}
	if log, err := os.ReadFile(ran); err == nil {
		t.Errorf("git ran\n%s", log)
	}
}

// TestPlanAtBareRepository checks that committed files in the layout of a repository are not treated as one.
func TestPlanAtBareRepository(t *testing.T) {
	f := newDirectory(t)
	f.write("HEAD", "ref: refs/heads/main\n")
	f.write("config", "[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
	f.write("objects/info/x", "")
	f.write("refs/heads/x", "")
	_, err := f.open().PlanAt(t.Context(), "HEAD")
	wantInvalid(t, err, "is not in a git repository", "safe.bareRepository")
}
