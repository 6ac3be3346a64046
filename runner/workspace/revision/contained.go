package revision

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"surprisal.dev/plugins/protocol"
)

// Contained returns an error unless the repository around directory dir has its objects in its own working tree. The
// author of an archive can make .git, or a part of it, lead to another repository of the person who unpacks it.
func Contained(ctx context.Context, dir string) error {
	var out []byte
	err := limited(ctx, "the repository", func(ctx context.Context) (err error) {
		out, err = git{dir}.ask(ctx, "rev-parse", "--path-format=absolute", "--show-toplevel", "--git-common-dir")
		return err
	})
	if protocol.KindOf(err) != "" {
		return err
	}
	if err != nil {
		return protocol.Invalid("%s is not in a git repository with a working tree: %v; commit the experiment to a repository, or plan without --against",
			dir, err)
	}
	top, common, _ := strings.Cut(strings.TrimSuffix(string(out), "\n"), "\n")
	repository := filepath.Join(top, ".git")
	refuse := func(found string) error {
		return protocol.Invalid("%s %s, which --confine does not allow; run without --confine if you trust the repository", repository, found)
	}
	if common != repository {
		return refuse("leads to " + common)
	}
	for _, name := range []string{"objects/info/alternates", "objects/info/http-alternates"} {
		if _, err := os.Lstat(filepath.Join(repository, name)); !errors.Is(err, fs.ErrNotExist) {
			return refuse("has objects of other repositories (" + name + ")")
		}
	}
	return filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeSymlink != 0 {
			return refuse("contains the link " + path)
		}
		return err
	})
}
