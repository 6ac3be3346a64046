//go:build slow

package main_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// killedExports is the number of times that an export of a site is killed.
const killedExports = 40

// sitePlace is a place with a site: the directory of the place of the site has nothing else.
type sitePlace struct {
	*place
	site string
	// with and without are the files of the site with all text and without.
	with, without map[string]string
}

func newSitePlace(t *testing.T, binary, dir string) *sitePlace {
	t.Helper()
	s := &sitePlace{place: newPlace(t, binary, ""), site: filepath.Join(dir, "public", "site")}
	s.do(0, "run")
	s.do(0, "export", "site", s.site, "--text", "none")
	s.without = s.files()
	s.do(0, "export", "site", s.site)
	s.with = s.files()
	return s
}

// files returns the digest of every file of the site.
func (s *sitePlace) files() map[string]string {
	s.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(s.site, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files[strings.TrimPrefix(path, s.site)], err = summary(path)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return files
}

// alone fails if anything is next to the site.
func (s *sitePlace) alone() {
	s.t.Helper()
	if entries, err := os.ReadDir(filepath.Dir(s.site)); err != nil || len(entries) != 1 {
		s.t.Errorf("next to the site there are %v (%v)", entries, err)
	}
}

// An export that is killed at any moment leaves a whole site: the old one or the new one. The next export leaves nothing else.
func TestCrashSite(t *testing.T) {
	s := newSitePlace(t, build(t), t.TempDir())
	started := time.Now()
	s.do(0, "export", "site", s.site)
	duration := time.Since(started)
	random := rand.New(rand.NewPCG(uint64(started.UnixNano()), 0))
	old, new, found := s.with, s.without, 0
	for i := range killedExports {
		text := []string{"none", "all"}[i%2]
		c := s.start("export", "site", s.site, "--text", text)
		time.Sleep(time.Duration(random.Int64N(int64(duration))))
		c.signal(t, syscall.SIGKILL)
		c.wait()
		switch got := s.files(); {
		case cmp.Equal(got, old):
		case cmp.Equal(got, new):
			found++
		default:
			t.Fatalf("kill %d: the site is neither of both; against the old one:\n%s", i, cmp.Diff(old, got))
		}
		s.do(0, "export", "site", s.site, "--text", text)
		if diff := cmp.Diff(new, s.files()); diff != "" {
			t.Fatal(diff)
		}
		s.alone()
		old, new = new, old
	}
	t.Logf("%d of %d killed exports had put the new site in place", found, killedExports)
}
