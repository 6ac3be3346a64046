package digests_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"surprisal.dev/internal/filelock"
	"surprisal.dev/plugins/digests"
	"surprisal.dev/plugins/protocol"
)

// kept reads the remembered digests of a directory, with the day of their last use.
func kept(t *testing.T, state string) (used map[string]int64, order []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(state, "digests.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var d struct {
		Files []struct {
			Digest string `json:"digest"`
			Used   int64  `json:"used"`
		} `json:"files"`
	}
	if err := errors.Join(err, json.Unmarshal(data, &d)); err != nil {
		t.Fatal(err)
	}
	used = map[string]int64{}
	for _, f := range d.Files {
		used[f.Digest] = f.Used
		order = append(order, f.Digest)
	}
	return used, order
}

func save(t *testing.T, c *digests.Cache) {
	t.Helper()
	if err := c.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// The most recently used digests are saved, each with the day of its last use, and only if there is something new.
func TestSaved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b, future := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "future")
	old(t, a, "one")
	old(t, b, "two")
	old(t, future, "three")
	tomorrow := time.Now().Add(24 * time.Hour)
	if err := os.Chtimes(future, tomorrow, tomorrow); err != nil {
		t.Fatal(err)
	}
	wait(t)

	t.Run("the day of the last use", func(t *testing.T) { daysKept(t, a, b) })
	t.Run("nothing new", func(t *testing.T) {
		state := t.TempDir()
		c := digests.Open(state)
		digest(t, c, a)
		save(t, c)
		if err := os.Remove(filepath.Join(state, "digests.json")); err != nil {
			t.Fatal(err)
		}
		digest(t, c, a)
		save(t, c)
		save(t, digests.New())
		if used, _ := kept(t, state); used != nil {
			t.Errorf("saved again: %v", used)
		}
	})
	t.Run("a file whose times lie ahead", func(t *testing.T) {
		state := t.TempDir()
		c := digests.Open(state)
		if got := digest(t, c, future); got != protocol.Digest([]byte("three")) {
			t.Errorf("digest %s", got)
		}
		save(t, c)
		if used, _ := kept(t, state); used != nil {
			t.Errorf("remembered: %v", used)
		}
	})
	t.Run("no more than 10,000", func(t *testing.T) { mostKept(t, a) })
	t.Run("with what others know", func(t *testing.T) { others(t, a, b) })
	t.Run("while another saves", func(t *testing.T) { locked(t, a, b) })
}

var one, two = protocol.Digest([]byte("one")), protocol.Digest([]byte("two"))

// daysKept uses a file today, and then another.
func daysKept(t *testing.T, a, b string) {
	today := time.Now().Unix() / (24 * 60 * 60)
	state := t.TempDir()
	c := digests.Open(state)
	digest(t, c, a)
	save(t, c)
	used, _ := kept(t, state)
	if len(used) != 1 || used[one] < today || used[one] > today+1 {
		t.Fatalf("kept %v on day %d", used, today)
	}
	forge(t, state, fmt.Sprintf(`"used":%d`, used[one]), `"used":5`)
	c = digests.Open(state)
	digest(t, c, b) // a is not requested
	save(t, c)
	if used, _ := kept(t, state); used[one] != 5 || used[two] < today {
		t.Errorf("kept %v, want the first on day 5", used)
	}
	c = digests.Open(state)
	digest(t, c, a)
	save(t, c)
	if used, _ := kept(t, state); used[one] < today {
		t.Errorf("kept %v, though the first was used today", used)
	}
}

// others opens a file of another version, one that another process has saved in the meantime, and one that a dead
// process left.
func others(t *testing.T, a, b string) {
	state := t.TempDir()
	c := digests.Open(state)
	digest(t, c, a)
	save(t, c)
	forge(t, state, one, "forged")
	forge(t, state, `"version":2`, `"version":1`)
	if got := digest(t, digests.Open(state), a); got != one {
		t.Errorf("digest %s from a file of another version", got)
	}

	state = t.TempDir()
	first, second := digests.Open(state), digests.Open(state)
	digest(t, first, a)
	save(t, first)
	forge(t, state, one, "sha256:of another")
	digest(t, second, b)
	save(t, second)
	if got := digest(t, second, a); got != "sha256:of another" {
		t.Errorf("digest %s, which another has saved otherwise", got)
	}

	state = t.TempDir()
	temporary := filepath.Join(state, "digests.json.new")
	if err := os.WriteFile(temporary, []byte("half a f"), 0o644); err != nil {
		t.Fatal(err)
	}
	c = digests.Open(state)
	digest(t, c, a)
	save(t, c)
	if used, _ := kept(t, state); len(used) != 1 {
		t.Errorf("kept %v", used)
	}
	if _, err := os.Stat(temporary); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary file: %v", err)
	}
}

// mostKept saves one digest more than the maximum.
func mostKept(t *testing.T, a string) {
	state := t.TempDir()
	var files []string
	for i := range 10_000 {
		files = append(files, fmt.Sprintf(`{"device":1,"inode":%d,"bytes":1,"modified":1,"changed":1,"digest":"d%d","used":%d}`, i, i, 1+(i+5000)%10_000))
	}
	content := `{"version":2,"files":[` + strings.Join(files, ",") + `]}`
	if err := os.WriteFile(filepath.Join(state, "digests.json"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	c := digests.Open(state)
	digest(t, c, a)
	save(t, c)
	used, order := kept(t, state)
	// The digest of day 1 is gone.
	if _, left := used["d5000"]; len(order) != 10_000 || used[one] == 0 || left || used["d4999"] != 10_000 || used["d5001"] != 2 {
		t.Errorf("%d are kept; the new one %d, those of days 10000 and 2 %d and %d, that of day 1 %v",
			len(order), used[one], used["d4999"], used["d5001"], left)
	}
	if order[0] != one || order[1] != "d4999" || order[9999] != "d5001" {
		t.Errorf("the order is %s, %s, ..., %s; want the last used first", order[0], order[1], order[9999])
	}
}

// locked saves while another process holds the lock: the save waits until its context ends, and loses nothing.
func locked(t *testing.T, a, b string) {
	state := t.TempDir()
	lock, err := os.Create(filepath.Join(state, "digests.lock"))
	if err != nil {
		t.Fatal(err)
	}
	if held, err := filelock.Try(lock, filelock.Exclusive); err != nil || !held {
		t.Fatal(held, err)
	}
	c := digests.Open(state)
	digest(t, c, a)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Save(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("saved with %v", err)
	}
	if used, _ := kept(t, state); used != nil {
		t.Errorf("kept %v without the lock", used)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	save(t, c)
	if used, _ := kept(t, state); len(used) != 1 {
		t.Errorf("kept %v", used)
	}
	save(t, digests.Open(state)) // the lock is free again
	other := digests.Open(state)
	digest(t, other, b)
	save(t, other)
}

// A canceled caller does not take the digest from another one that waits for the same read, and the offset does not
// change.
func TestDigestOfManyCallers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "large")
	old(t, path, "")
	if err := os.Truncate(path, 64<<20); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(5, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	c := digests.New()
	impatient, leave := context.WithCancel(t.Context())
	left, got := make(chan error, 1), make(chan string, 1)
	go func() { _, _, err := c.Digest(impatient, f); left <- err }()
	time.Sleep(10 * time.Millisecond) // so that it mostly reads first; nothing depends on it
	go func() {
		d, size, err := c.Digest(t.Context(), f)
		got <- fmt.Sprint(d, size, err)
	}()
	time.Sleep(10 * time.Millisecond)
	leave()
	if want, answer := fmt.Sprint(protocol.Digest(make([]byte, 64<<20)), 64<<20, error(nil)), <-got; answer != want {
		t.Errorf("the one who waited got %s, want %s", answer, want)
	}
	if err := <-left; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("the one who left got %v", err)
	}
	if at, err := f.Seek(0, io.SeekCurrent); err != nil || at != 5 {
		t.Errorf("the offset is %d, %v", at, err)
	}
}
