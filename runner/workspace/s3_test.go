//go:build s3

package workspace_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/internal/s3test"
	"surprisal.dev/plugins/bucket"
	"surprisal.dev/runner/site"
	"surprisal.dev/runner/site/sitetest"
	"surprisal.dev/runner/workspace"
)

// The site of results in a bucket is that of the same results in a directory, also for someone who only has the bucket.
func TestS3Site(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "results"), 0o777); err != nil {
		t.Fatal(err)
	}
	address := s3test.Serve(t, root)
	t.Setenv(bucket.Endpoints, address)
	f := newSiteDirectory(t)
	at := "s3://results/team?use_path_style=true&endpoint=http://" + address
	f.run(f.openWith(workspace.Options{Store: at}))
	first, second := filepath.Join(t.TempDir(), "site"), filepath.Join(t.TempDir(), "site")
	// Another state directory has no files of the store.
	w := f.openWith(workspace.Options{Store: at, State: filepath.Join(t.TempDir(), "state"), Remember: true})
	exportTo(t, first, site.Options{}, w)
	exportTo(t, second, site.Options{}, f.openWith(workspace.Options{Store: at}))
	if diff := cmp.Diff(sitetest.Everything(t, first), sitetest.Everything(t, second)); diff != "" {
		t.Error(diff)
	}
	s := sitetest.Open(t, first)
	if len(s.Entry("test/gap/words-big").Files) == 0 || len(s.Leaks("aardwolf")) == 0 {
		t.Error("the site has no text")
	}
}
