package store_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"surprisal.dev/runner/store"
)

const mountVariable = "SURPRISAL_STORE_TEST_MOUNT"

// withDisk runs the calling test again in a process that may mount, with a separate disk of the given size at dir. It
// returns false in the first process, where the test ends.
func withDisk(t *testing.T, size string) (dir string, inside bool) {
	if dir := os.Getenv(mountVariable); dir != "" {
		if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
			t.Fatal(err)
		}
		return dir, true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mountVariable+"="+t.TempDir())
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
	return "", false
}

// On a full disk a write fails completely, with advice. After space is freed, writing continues.
func TestFullDisk(t *testing.T) {
	disk, inside := withDisk(t, "2m")
	if !inside {
		return
	}
	dir := filepath.Join(disk, "store")
	s := open(t, dir)
	begin(t, s, "r")
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 256<<10), 0o666); err != nil {
		t.Fatal(err)
	}
	var keys []string
	var failed error
	for i := 0; failed == nil; i++ {
		r, err := record(t.Context(), s, i, strings.Repeat(string(rune('a'+i)), 150_000))
		if failed = err; err == nil {
			keys = append(keys, r.Key)
		}
	}
	if !errors.Is(failed, syscall.ENOSPC) || !strings.Contains(failed.Error(), dir) || !strings.Contains(failed.Error(), "free some space") {
		t.Errorf("a full disk: %v", failed)
	}
	if len(keys) < 5 {
		t.Errorf("only %d actions fit", len(keys))
	}
	for _, path := range files(t, filepath.Join(dir, "tmp")) {
		if !strings.HasSuffix(path, ".lock") {
			t.Errorf("left %s", path)
		}
	}
	verify(t, s)
	for _, key := range keys {
		if !hit(t, s, key) {
			t.Errorf("action %s is gone", key)
		}
	}
	into := filepath.Join(disk, "export")
	r, err := s.GetRecord(t.Context(), keys[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Export(t.Context(), r, into); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("export to a full disk: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(disk, "*export*")); err != nil || len(left) != 0 {
		t.Errorf("a failed export left %v, %v", left, err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	keys = append(keys, mustRecord(t, s, "after", strings.Repeat("z", 150_000)).Key)
	finish(t, s, "r", keys...)
	verify(t, s)
}

// A store on a read-only disk can be read, and writes fail with advice.
func TestReadOnlyDisk(t *testing.T) {
	disk, inside := withDisk(t, "4m")
	if !inside {
		return
	}
	dir := filepath.Join(disk, "store")
	w := open(t, dir)
	begin(t, w, "r")
	r := mustRecord(t, w, 1, "content")
	finish(t, w, "r", r.Key)
	// The files of a killed writer cannot be swept and must not matter.
	c := start(t, "write", dir)
	c.line(t)
	c.kill(t)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	if !hit(t, s, r.Key) {
		t.Error("no hit")
	}
	if got := read(t, s, r.Outputs[0].Digest); got != "content" {
		t.Errorf("read %q", got)
	}
	if _, err := s.LocalPath(t.Context(), r.Outputs[0].Digest, ""); err != nil {
		t.Error(err)
	}
	if runs, err := s.Runs(t.Context()); err != nil || len(runs) != 2 {
		t.Errorf("Runs: %v, %v", runs, err)
	}
	verify(t, s)
	if err := s.Export(t.Context(), r, filepath.Join(t.TempDir(), "export")); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"Begin":  s.Begin(t.Context(), store.Run{ID: "r2"}),
		"Tag":    s.Tag(t.Context(), "t", "r"),
		"GC":     func() error { _, err := s.GC(t.Context(), store.GCOptions{}); return err }(),
		"Export": s.Export(t.Context(), r, filepath.Join(disk, "export")),
	} {
		if !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), disk) || !strings.Contains(err.Error(), "is read-only") {
			t.Errorf("%s on a read-only disk: %v", name, err)
		}
	}
}

// A file on another disk cannot be renamed into the store, so it is copied and removed.
func TestFileOnAnotherDisk(t *testing.T) {
	disk, inside := withDisk(t, "4m")
	if !inside {
		return
	}
	s := open(t, t.TempDir())
	begin(t, s, "r")
	path := filepath.Join(disk, "file")
	if err := os.WriteFile(path, []byte("content"), 0o666); err != nil {
		t.Fatal(err)
	}
	digest, _, err := s.PutFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, digest); got != "content" {
		t.Errorf("read %q", got)
	}
	if left := files(t, disk); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	absent := "sha256:" + strings.Repeat("0", 64)
	if err := store.Adopt(t.Context(), s, absent, f); err == nil || !strings.Contains(err.Error(), "changed after it was hashed") {
		t.Errorf("a file that changed: %v", err)
	}
	if _, err := s.Open(t.Context(), absent); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was published: %v", err)
	}
}
