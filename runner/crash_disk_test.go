//go:build slow && linux

package main_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const diskVariable = "SURPRISAL_CRASH_TEST_DISK"

// withDisk runs the calling test again in a process that may mount disks, and reports whether this is that process.
// There disk is an empty directory to mount one on.
func (s *suite) withDisk(t *testing.T) (disk string, inside bool) {
	t.Helper()
	if disk := os.Getenv(diskVariable); disk != "" {
		if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		return disk, true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.v")
	cmd.Env = append(os.Environ(), diskVariable+"="+t.TempDir(), binaryVariable+"="+s.binary, fmt.Sprintf("%s=%d", seedVariable, s.seed))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Fatalf("%v: mounting a disk needs root with CAP_SYS_ADMIN or unprivileged user namespaces; allow one of them", err)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	return "", false
}

func mount(t *testing.T, dir string, flags uintptr, size int64) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatal(err)
	}
}

// plenty is a disk on which everything fits.
const plenty = 64 << 20

// A run on a disk that fills up fails with advice and leaves no partial files. With more space the next run resumes.
func (s *suite) fullDisk(t *testing.T) {
	t.Parallel()
	disk, inside := s.withDisk(t)
	if !inside {
		return
	}
	random := rand.New(rand.NewPCG(s.seed, 1))
	for i := range 6 {
		// From almost nothing to almost everything fits.
		room := page * (4 + int64(i)*s.bytes/page/6 + random.Int64N(s.bytes/page/7))
		whole := i%2 == 1
		t.Run(fmt.Sprintf("room for %d of %d bytes, spec on it %v", room, s.bytes, whole), func(t *testing.T) {
			p := s.placeOnDisk(t, disk, whole)
			mount(t, disk, syscall.MS_REMOUNT, used(t, disk)+room)
			_, output := p.do(1, "run")
			if !strings.Contains(output, "no space left on device") || !strings.Contains(output, disk) || !strings.Contains(output, "free some space") ||
				!whole && !strings.Contains(output, "store "+p.store) {
				t.Error(output)
			}
			p.noProcesses()
			mount(t, disk, syscall.MS_REMOUNT, plenty)
			p.verify()
			p.do(0, "status")
			p.do(0, "run")

			mount(t, disk, syscall.MS_REMOUNT, used(t, disk))
			stdout, output := p.do(0, "run")
			if !strings.Contains(stdout, "nothing to do") || !strings.Contains(output, "could not be recorded") || !strings.Contains(output, "no space left") {
				t.Errorf("a cached run:\n%s%s", stdout, output)
			}
			p.mustEqual(s.reference)
		})
	}
}

// placeOnDisk mounts a disk and makes a place with its store, or with the whole directory of its spec, on that disk.
func (s *suite) placeOnDisk(t *testing.T, disk string, whole bool) *place {
	t.Helper()
	mount(t, disk, 0, plenty)
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	if whole {
		return newPlace(t, s.binary, filepath.Join(disk, "dir"))
	}
	p := newPlace(t, s.binary, "")
	p.store = filepath.Join(disk, "store")
	return p
}

// used returns the number of used bytes of a disk.
func used(t *testing.T, disk string) int64 {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(disk, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Blocks-s.Bfree) * s.Bsize
}

// On a read-only disk existing results can be used. A run that needs new ones fails and changes nothing.
func (s *suite) readOnlyDisk(t *testing.T) {
	t.Parallel()
	disk, inside := s.withDisk(t)
	if !inside {
		return
	}
	for _, whole := range []bool{false, true} {
		t.Run(fmt.Sprintf("spec on it %v", whole), func(t *testing.T) {
			p := s.placeOnDisk(t, disk, whole)
			p.do(0, "run")
			mount(t, disk, syscall.MS_REMOUNT|syscall.MS_RDONLY, plenty)
			before := p.contents()

			stdout, stderr := p.do(0, "run")
			if !strings.Contains(stdout, "nothing to do") || !strings.Contains(stderr, "could not be recorded") || !strings.Contains(stderr, "read-only") {
				t.Errorf("a cached run:\n%s%s", stdout, stderr)
			}
			p.verify()
			for _, command := range [][]string{
				{"plan"}, {"status"}, {"logs"}, {"show"}, {"show", "gap", "word-vs-byte"}, {"explain", "gap", "word-vs-byte"},
				{"export", "train", "word-ngram", filepath.Join(filepath.Dir(p.binary), "export")},
			} {
				if stdout, _ := p.do(0, command...); stdout == "" && command[0] != "logs" {
					t.Errorf("runner %s prints nothing", command)
				}
			}

			// Shorter documents need new work.
			c := p.start("run", "-t", "bytes=100")
			if code, output := c.wait(), c.stderr.String(); code != 1 || !strings.Contains(output, "read-only") || !strings.Contains(output, p.store) ||
				!strings.Contains(output, "choose a store on another") {
				t.Errorf("exit code %d\n%s%s", code, &c.stdout, output)
			}
			p.noProcesses()
			if diff := cmp.Diff(before, p.contents()); diff != "" {
				t.Errorf("a read-only disk has changed:\n%s", diff)
			}
		})
	}
}
