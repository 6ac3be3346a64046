//go:build slow && linux

package main_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// An export to a disk that fills up fails, and leaves the old site and nothing else.
func TestCrashSiteFullDisk(t *testing.T) {
	suite := &suite{binary: build(t), seed: uint64(time.Now().UnixNano())}
	disk, inside := suite.withDisk(t)
	if !inside {
		return
	}
	mount(t, disk, 0, plenty)
	defer func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	}()
	s := newSitePlace(t, suite.binary, disk)
	s.do(0, "export", "site", s.site, "--text", "none")
	for _, pages := range []int64{1, 10, 40, 100} {
		mount(t, disk, syscall.MS_REMOUNT, used(t, disk)+pages*page)
		_, output := s.do(1, "export", "site", s.site)
		if !strings.Contains(output, "no space left on device") || !strings.Contains(output, disk) {
			t.Errorf("with %d pages: %s", pages, output)
		}
		if diff := cmp.Diff(s.without, s.files()); diff != "" {
			t.Errorf("with %d pages: %s", pages, diff)
		}
		s.alone()
	}
	mount(t, disk, syscall.MS_REMOUNT, plenty)
	s.do(0, "export", "site", s.site)
	if diff := cmp.Diff(s.with, s.files()); diff != "" {
		t.Error(diff)
	}
}
