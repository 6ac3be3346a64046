package digests_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"surprisal.dev/plugins/digests"
	"surprisal.dev/plugins/protocol"
)

// old makes a file whose content last changed an hour ago; its inode changes now, which is why wait is for.
func old(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	hour := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, hour, hour); err != nil {
		t.Fatal(err)
	}
}

// wait waits until files that were made before it have settled.
func wait(t *testing.T) {
	t.Helper()
	time.Sleep(2100 * time.Millisecond)
}

func digest(t *testing.T, c *digests.Cache, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, size, err := c.Digest(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != size {
		t.Errorf("size %d of %v, %v", size, info, err)
	}
	return d
}

// forge makes a cache return a different digest for all its entries, to reveal them.
func forge(t *testing.T, dir, from, to string) {
	t.Helper()
	path := filepath.Join(dir, "digests.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(data), from, to)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A digest is remembered as long as its file has not visibly changed, and only if the last change is not recent.
func TestDigest(t *testing.T) {
	t.Parallel()
	dir, state := t.TempDir(), t.TempDir()
	a := filepath.Join(dir, "a")
	one, two := protocol.Digest([]byte("one")), protocol.Digest([]byte("two"))
	old(t, a, "one")

	// Its inode is younger than two seconds, whatever its modification time.
	c := digests.Open(state)
	if got := digest(t, c, a); got != one {
		t.Fatalf("digest %s, want %s", got, one)
	}
	if err := c.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(state, "digests.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a young file was remembered: %v", err)
	}

	wait(t)
	digest(t, c, a)
	if err := c.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	forged := strings.Replace(one, one[7:15], "00000000", 1)
	forge(t, state, one, forged)
	if got := digest(t, c, a); got != one {
		t.Errorf("an open cache answers %s, want the remembered digest", got)
	}
	if got := digest(t, digests.Open(state), a); got != forged {
		t.Errorf("%s was read again: %s", a, got)
	}

	// Same size and modification time, different content: only the change of the inode shows it.
	info, err := os.Stat(a)
	if err != nil {
		t.Fatal(err)
	}
	old(t, a, "two")
	if err := os.Chtimes(a, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if got := digest(t, digests.Open(state), a); got != two {
		t.Errorf("digest %s of the changed file, want %s", got, two)
	}
	// Another file with the same name, size and time of change.
	if err := os.Remove(a); err != nil {
		t.Fatal(err)
	}
	old(t, filepath.Join(dir, "keeps the inode"), "")
	if err := os.WriteFile(a, []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(a, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if got := digest(t, digests.Open(state), a); got != one {
		t.Errorf("digest %s of the new file, want %s", got, one)
	}
}

// A save keeps the last day of a request for a file.
func TestUseByOthers(t *testing.T) {
	t.Parallel()
	dir, state := t.TempDir(), t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	old(t, a, "one")
	old(t, b, "two")
	wait(t)
	c := digests.Open(state)
	digest(t, c, a)
	if err := c.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Another process requests a on a later day, while this one continues.
	today := fmt.Sprint(time.Now().Unix() / (24 * 60 * 60))
	forge(t, state, `"used":`+today, `"used":999999`)
	digest(t, c, b)
	if err := c.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(state, "digests.json"))
	if err != nil || strings.Count(string(data), `"used":999999`) != 1 || strings.Count(string(data), "sha256:") != 2 {
		t.Errorf("%s, %v", data, err)
	}
}

// Unreadable content counts as empty, and is replaced.
func TestDamagedFile(t *testing.T) {
	for _, content := range []string{"", "{", `{"version": 1}`, `{"a": {"bytes": 3}}`} {
		state := t.TempDir()
		path := filepath.Join(state, "a")
		old(t, path, "one")
		old(t, filepath.Join(state, "digests.json"), content)
		if got := digest(t, digests.Open(state), path); got != protocol.Digest([]byte("one")) {
			t.Errorf("%q: digest %s", content, got)
		}
	}
	c := digests.Open(filepath.Join(t.TempDir(), "no such directory"))
	if err := c.Save(t.Context()); err != nil {
		t.Errorf("nothing was learned, and Save fails: %v", err)
	}
}

func TestCanceled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	old(t, path, "one")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := digests.New().Digest(ctx, f); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

const (
	savers = 30
	each   = 20
)

// Saving from many processes at once loses nothing and never fails.
func TestConcurrentSaves(t *testing.T) {
	t.Parallel()
	dir, state := t.TempDir(), t.TempDir()
	for i := range savers * each {
		old(t, filepath.Join(dir, fmt.Sprint(i)), fmt.Sprint(i))
	}
	wait(t)
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range savers {
		group.Go(func() {
			c := exec.Command(binary, "-test.run=^TestSaver$")
			c.Env = append(os.Environ(), fmt.Sprintf("SAVER=%s %s %d", dir, state, i*each))
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("saver %d: %v\n%s", i, err, out)
			}
		})
	}
	group.Wait()
	forge(t, state, `"sha256:`, `"forged:`)
	c := digests.Open(state)
	for i := range savers * each {
		if got := digest(t, c, filepath.Join(dir, fmt.Sprint(i))); !strings.HasPrefix(got, "forged:") {
			t.Fatalf("the digest of file %d is lost", i)
		}
	}
}

// TestSaver is a process of TestConcurrentSaves.
func TestSaver(t *testing.T) {
	var dir, state string
	var from int
	if n, _ := fmt.Sscan(os.Getenv("SAVER"), &dir, &state, &from); n < 3 {
		t.Skip("started by TestConcurrentSaves")
	}
	for i := from; i < from+each; i++ {
		c := digests.Open(state)
		digest(t, c, filepath.Join(dir, fmt.Sprint(i)))
		if err := c.Save(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A file that is too large is not read, and the cache is empty.
func TestLargeFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "digests.json")
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<40); err != nil { // The file has a hole, which needs no space on disk.
		t.Fatal(err)
	}
	if digests.Open(dir) == nil {
		t.Error("no cache")
	}
}
