package store_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/store"
)

// An object that is larger than its limit is damaged: it is not read into memory.
func TestLargeObjects(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	begin(t, s, "r")
	r := mustRecord(t, s, 1, "content")
	if err := s.PutJob(t.Context(), r.Key, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	finish(t, s, "r", r.Key)
	if err := s.Tag(t.Context(), "t", "r"); err != nil {
		t.Fatal(err)
	}
	s.Warn = func(string) {}
	for name, c := range map[string]struct {
		limit int64
		size  string
		read  func() error
	}{
		"actions/" + r.Key[:2] + "/" + r.Key + ".json": {33 << 20, "33 MiB", func() error { _, err := s.GetRecord(t.Context(), r.Key); return err }},
		"jobs/" + r.Key + ".json":                      {128 << 20, "128 MiB", func() error { _, err := s.Job(t.Context(), r.Key); return err }},
		"runs/r.json":                                  {256 << 20, "256 MiB", func() error { _, err := s.GetRun(t.Context(), "r"); return err }},
		"tags/t.json":                                  {64 << 10, "64 KiB", func() error { _, err := s.Tags(t.Context()); return err }},
	} {
		path := filepath.Join(dir, name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, c.limit+1); err != nil { // The file has a hole, which needs no space on disk.
			t.Fatal(err)
		}
		found := ": is damaged: it is larger than " + c.size + "; "
		if err := c.read(); err == nil || !strings.Contains(err.Error(), path+found) {
			t.Errorf("%s: %v, want %q", name, err, found)
		}
		problems, err := s.Verify(t.Context(), nil)
		if err != nil || len(problems) != 1 || problems[0].Path != path || problems[0].Problem != "it is larger than "+c.size {
			t.Errorf("%s: Verify: %v, %v", name, problems, err)
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verify(t, s)
}

// A record with much more than its descriptor is a miss with a warning.
func TestLargeRecords(t *testing.T) {
	for _, location := range []string{t.TempDir(), "mem://"} {
		s := open(t, location)
		begin(t, s, "r")
		r := mustRecord(t, s, 1, "content")
		good, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		for spaces, want := range map[int]string{
			1000: "", 1 << 20: "is damaged: its outputs, warnings and measurements have 1.0 MiB, more than the limit of 1.0 MiB; ",
			33 << 20: "is damaged: it is larger than 33 MiB; ",
		} {
			var warning string
			s.Warn = func(message string) { warning = message }
			if err := store.Write(t.Context(), s, "actions/"+r.Key[:2]+"/"+r.Key+".json", string(good)+strings.Repeat(" ", spaces)); err != nil {
				t.Fatal(err)
			}
			if hit(t, s, r.Key) != (want == "") || !strings.Contains(warning, want) {
				t.Errorf("%d spaces: warning %q, want %q", spaces, warning, want)
			}
		}
	}
}

// What is written is not larger than what is read.
func TestPutLargeObjects(t *testing.T) {
	s := open(t, t.TempDir())
	begin(t, s, "r")
	r, err := record(t.Context(), s, 1, "content")
	if err != nil {
		t.Fatal(err)
	}
	r.Warnings = []string{strings.Repeat("x", 1<<20)}
	if _, err := s.PutRecord(t.Context(), r); err == nil || !strings.Contains(err.Error(), "its outputs, warnings and measurements have 1.0 MiB") {
		t.Errorf("PutRecord: %v", err)
	}
	if err := s.PutJob(t.Context(), r.Key, make([]byte, 128<<20+1)); protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("PutJob: %v", err)
	}
	long := store.Run{ID: "r", Actions: make([]store.RunAction, 257)}
	name := strings.Repeat("x", 1<<20)
	for i := range long.Actions {
		long.Actions[i].Name = name
	}
	if err := s.PutRun(t.Context(), long); err == nil || !strings.Contains(err.Error(), "its 257 actions need 257 MiB, more than the limit of 256 MiB") {
		t.Errorf("PutRun: %v", err)
	}
}

// A marker that is too large is damaged.
func TestLargeMarker(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "store.json")
	if err := os.WriteFile(path, []byte(`{"layout":2,"kind":"store"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<40); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "its store.json is damaged") {
		t.Errorf("got %v", err)
	}
}
