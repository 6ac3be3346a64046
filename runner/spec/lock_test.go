package spec

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

const goldenLock = `{
	"version": 1,
	"sources": [
		{
			"provider": "jsonl",
			"config": {
				"path": "s3://bucket/b.jsonl"
			},
			"resolution": {
				"digest": "<two> & three"
			}
		},
		{
			"provider": "scores",
			"config": {
				"path": "scores.parquet"
			},
			"resolution": {}
		},
		{
			"provider": "text",
			"config": {
				"path": "a.txt",
				"split": "lines"
			},
			"resolution": {
				"bytes": 12345678901234567890,
				"files": []
			}
		},
		{
			"provider": "text",
			"config": {
				"path": "b.txt"
			},
			"resolution": {}
		},
		{
			"provider": "text",
			"config": {
				"path": "c.txt"
			},
			"resolution": {}
		}
	]
}
`

func TestLock(t *testing.T) {
	dir := t.TempDir()
	l, err := ReadLock(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range [][3]string{
		{"text", `{"split":"lines","path":"a.txt"}`, `{"files":[],"bytes":12345678901234567890}`},
		{"text", `{"path":"gone.txt"}`, `{}`},
		{"text", `{"path":"c.txt"}`, `{}`},
		{"text", `{"path":"b.txt"}`, `{}`},
		{ScoresProvider, `{"path":"scores.parquet"}`, `{}`},
		{ScoresProvider, `{"path":"gone.parquet"}`, `{}`},
		{"jsonl", `{"path":"s3://bucket/b.jsonl"}`, `{"digest":"one"}`},
		{"jsonl", `{"path": "s3://bucket/b.jsonl"}`, `{"digest":"<two> & three"}`},
	} {
		if err := l.Set(source[0], json.RawMessage(source[1]), json.RawMessage(source[2])); err != nil {
			t.Fatal(err)
		}
	}
	l.Retain(&Experiment{Models: []Model{{Name: "scored here"}, {Scores: &Scores{Path: "scores.parquet"}}}, Datasets: []Dataset{
		{Source: Source{Provider: "text", Config: json.RawMessage(`{"path":"b.txt"}`)}},
		{Source: Source{Provider: "text", Config: json.RawMessage(`{"path":"c.txt"}`)}},
		{Source: Source{Provider: "text", Config: json.RawMessage(`{"path":"a.txt","split":"lines"}`)}},
		{Source: Source{Provider: "jsonl", Config: json.RawMessage(`{"path":"s3://bucket/b.jsonl"}`)}},
	}})
	for range 8 {
		if err := l.Write(dir); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, LockFile))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(goldenLock, string(data)); diff != "" {
			t.Error(diff)
		}
		if l, err = ReadLock(dir, ""); err != nil {
			t.Fatal(err)
		}
	}
	got, ok := l.Get("text", json.RawMessage(`{ "path": "a.txt", "split": "lines" }`))
	if want := `{"bytes":12345678901234567890,"files":[]}`; !ok || string(got) != want {
		t.Errorf("found %s %v; want %s", got, ok, want)
	}
	if _, ok := l.Get("parquet", json.RawMessage(`{}`)); ok {
		t.Error("a source is there that was not set")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v %v: a temporary file is left", entries, err)
	}
}

func TestBadLock(t *testing.T) {
	tests := []struct{ name, lock, want string }{
		{"conflict", strings.Replace(goldenLock, "\t\"sources\"", "<<<<<<< HEAD\n\t\"sources\"", 1),
			"surprisal.lock:3:1: merge conflict; resolve it; or restore it from version control, or delete it and run `runner pin`, and `runner baseline set` for each baseline again"},
		{"empty", "", "surprisal.lock:1:1: unexpected end of file; restore it from version control, or delete it and run `runner pin`, and `runner baseline set` for each baseline again"},
		{"cut", goldenLock[:100], "surprisal.lock:7:1: unexpected end of file; restore it from version control, or delete it and run `runner pin`, and `runner baseline set` for each baseline again"},
		{"syntax", strings.Replace(goldenLock, "[", "(", 1),
			"surprisal.lock:3:1: invalid character '(' looking for beginning of value; restore it from version control, or delete it and run `runner pin`, and `runner baseline set` for each baseline again"},
		{"type", strings.Replace(goldenLock, "1,", "\"1\",", 1),
			"surprisal.lock:2:1: the field \"version\" has the wrong type: got string; restore it from version control, or delete it and run `runner pin`, and `runner baseline set` for each baseline again"},
		{"field", strings.Replace(goldenLock, "config", "settings", 1),
			"surprisal.lock:6:1: unknown field \"settings\"; restore it from version control, or delete it and run `runner pin`, and `runner baseline set` for each baseline again"},
		{"version", strings.Replace(goldenLock, "1,", "2,", 1),
			"surprisal.lock:1:1: expected version 1, got 2; use the program that wrote the file; or restore it from version control, or delete it and run `runner pin`, and `runner baseline set` for each baseline again"},
		{"missing", `{"version": 1, "sources": [{"provider": "text"}]}`,
			"surprisal.lock:1:1: source 0 has no provider, config or resolution; restore it from version control, or delete it and run `runner pin`, and `runner baseline set` for each baseline again"},
		{"without a provider", `{"version": 1, "sources": [{"config": {}, "resolution": {}}]}`,
			"surprisal.lock:1:1: source 0 has no provider, config or resolution; restore it from version control, or delete it and run `runner pin`, and `runner baseline set` for each baseline again"},
		{"without a configuration", `{"version": 1, "sources": [{"provider": "p", "config": {}, "resolution": {}}, {"provider": "p", "resolution": {}}]}`,
			"surprisal.lock:1:1: source 1 has no provider, config or resolution; restore it from version control, or delete it and run `runner pin`, and `runner baseline set` for each baseline again"},
		{"without a resolution", `{"version": 1, "sources": [{"provider": "p", "config": {}}]}`,
			"surprisal.lock:1:1: source 0 has no provider, config or resolution; restore it from version control, or delete it and run `runner pin`, and `runner baseline set` for each baseline again"},
		{"half a conflict", "{}\n=======\n", "surprisal.lock:2:1: merge conflict; resolve it; or restore it from version control, or delete it and run `runner pin`, and `runner baseline set` for each baseline again"},
		{"a conflict with its base", "||||||| base", "surprisal.lock:1:1: merge conflict; resolve it; or restore it from version control, or delete it and run `runner pin`, and `runner baseline set` for each baseline again"},
		{"the end of a conflict", "\n\n>>>>>>> x", "surprisal.lock:3:1: merge conflict; resolve it; or restore it from version control, or delete it and run `runner pin`, and `runner baseline set` for each baseline again"},
		{"twice in another form", `{"version": 1, "sources": [{"provider": "p", "config": {"a": 1, "b": 2}, "resolution": {}}, {"provider": "p", "config": {"b": 2, "a": 1}, "resolution": 1}]}`,
			"surprisal.lock:1:1: duplicate entry 1 for source p {\"a\":1,\"b\":2}; remove one and run `runner pin`"},
		{"twice", `{"version": 1, "sources": [{"provider": "text", "config": {}, "resolution": {}}, {"provider": "text", "config": {}, "resolution": {}}]}`,
			"surprisal.lock:1:1: duplicate entry 1 for source text {}; remove one and run `runner pin`"},
		{"more", goldenLock + "{}", "surprisal.lock:47:1: trailing data; restore it from version control, or delete it and run `runner pin`, and `runner baseline set` for each baseline again"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := readLock(fstest.MapFS{LockFile: {Data: []byte(test.lock)}})
			if err == nil || err.Error() != test.want {
				t.Errorf("found %v\nwant  %s", err, test.want)
			}
		})
	}
}

// FuzzReadLock checks that a lock file that can be read is equal after it is written and read again.
func FuzzReadLock(f *testing.F) {
	f.Add([]byte(goldenLock))
	f.Add([]byte(`{"version": 1, "sources": [{"provider": "p", "config": 1e999, "resolution": "\ud800"}]}`))
	if baseline, err := json.Marshal(lockFile{Version: lockVersion, Baselines: []Baseline{someBaseline("release")}}); err != nil {
		f.Fatal(err)
	} else {
		f.Add(baseline)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := readLock(fstest.MapFS{LockFile: {Data: data}})
		if err != nil {
			return
		}
		dir := t.TempDir()
		if err := l.Write(dir); err != nil {
			t.Fatal(err)
		}
		again, err := ReadLock(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(l.entries, again.entries) + cmp.Diff(l.baselines, again.baselines, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestNearest(t *testing.T) {
	tests := []struct {
		found string
		names []string
		want  string
	}{
		{"sorce", []string{"skip", "source", "use"}, "source"},
		{"order-7", []string{"order-2", "order-3"}, "order-2"},
		{"relive", []string{"relieve", "receive"}, "relieve"},
		{"Text", []string{"next", "text"}, "text"},
		{"x", []string{"y"}, "y"},
		{"scaling", []string{"scoring", "sweeps"}, "scoring"},
		{"torch", []string{"echo", "ngram"}, ""},
		{"", []string{"a", "ab"}, "a"},
		{"größe", []string{"grosse", "größen"}, "größen"},
		{"anything", nil, ""},
		{"doc", []string{"bytes", "documents"}, "documents"},
		{"documentsToRead", []string{"bytes", "documents"}, "documents"},
		{"d", []string{"documents", "data"}, ""},
		{"cat", []string{"bat", "cab"}, "cab"},
		{"model-9", []string{"model-10", "model-1"}, "model-1"},
	}
	for _, test := range tests {
		if got := nearest(test.found, test.names); got != test.want {
			t.Errorf("nearest(%q, %q) = %q; want %q", test.found, test.names, got, test.want)
		}
	}
}

// TestDistance checks that the distance is 1 for one edit, symmetric, and at most the longer length.
func TestDistance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[abc]{0,8}`)
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		d := distance(a, b)
		if d != distance(b, a) || d > max(len(a), len(b)) || d < max(len(a)-len(b), len(b)-len(a)) || (d == 0) != (a == b) {
			t.Errorf("distance(%q, %q) = %d", a, b, d)
		}
		i := rapid.IntRange(0, len(a)).Draw(t, "i")
		if got := distance(a, a[:i]+"x"+a[i:]); got != 1 {
			t.Errorf("an inserted letter is %d away from %q", got, a)
		}
	})
}

// TestLockOfAnotherKind checks that a lock file that is not a regular file, or that has no bounded size, is not read.
func TestLockOfAnotherKind(t *testing.T) {
	tests := []struct {
		name string
		make func(file string) error
		want string
	}{
		{"pipe", func(file string) error { return syscall.Mkfifo(file, 0o644) }, "not a regular file (prw"},
		{"device", func(file string) error { return os.Symlink("/dev/zero", file) }, "not a regular file (D"},
		{"directory", func(file string) error { return os.Mkdir(file, 0o755) }, "not a regular file (d"},
		{"huge", func(file string) error {
			return errors.Join(os.WriteFile(file, nil, 0o644), os.Truncate(file, 1<<40))
		}, "it is larger than 64 MiB"},
		{"outside", func(file string) error { return os.Symlink("/etc/hostname", file) }, "a link to /etc/hostname, is outside of"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := test.make(filepath.Join(dir, LockFile)); err != nil {
				t.Fatal(err)
			}
			confine := ""
			if test.name == "outside" {
				confine = dir
			}
			_, err := ReadLock(dir, confine)
			if _, ok := errors.AsType[Errors](err); !ok || !strings.Contains(err.Error(), test.want) {
				t.Errorf("found %v; want %s", err, test.want)
			}
		})
	}
}
