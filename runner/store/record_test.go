package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/store"
)

// blobPath returns the path of a blob in a directory store.
func blobPath(dir, digest string) string {
	hex := strings.TrimPrefix(digest, "sha256:")
	return filepath.Join(dir, "blobs", "sha256", hex[:2], hex)
}

// recordPath returns the path of a key's record in a directory store.
func recordPath(dir, key string) string { return filepath.Join(dir, "actions", key[:2], key+".json") }

// replace replaces a file with another one, with a given time.
func replace(t testing.TB, path, content string, at time.Time) {
	t.Helper()
	next := path + ".next"
	if err := errors.Join(os.WriteFile(next, []byte(content), 0o666), os.Chtimes(next, at, at), os.Rename(next, path)); err != nil {
		t.Fatal(err)
	}
}

// Invalid names, keys and digests are rejected before anything is looked up or written.
func TestBadNames(t *testing.T) {
	ctx := t.Context()
	s := open(t, t.TempDir())
	begin(t, s, "r")
	hex := strings.Repeat("a", 64)
	digests := []string{"", hex, "sha256:", "sha256:" + hex[1:], "sha256:" + hex + "a", "sha512:" + hex, "sha256:" + strings.ToUpper(hex), "sha256:" + hex[2:] + "/x"}
	for _, digest := range digests {
		_, opened := s.Open(ctx, digest)
		_, found := s.LocalPath(ctx, digest, "")
		for _, err := range []error{opened, found} {
			if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), `expected "sha256:" and 64 lower-case hex digits`) {
				t.Errorf("digest %q: %v", digest, err)
			}
		}
		r, err := describe("bad digest")
		if err != nil {
			t.Fatal(err)
		}
		r.Outputs = []store.File{{Name: "x", Digest: digest}}
		if _, err := s.PutRecord(ctx, r); err == nil || !strings.Contains(err.Error(), `output "x": invalid digest `) {
			t.Errorf("PutRecord with the digest %q: %v", digest, err)
		}
	}
	for _, key := range []string{"", hex[1:], hex + "a", strings.ToUpper(hex), "../../x", strings.Repeat("g", 64)} {
		_, err := s.GetRecord(ctx, key)
		_, _, found := s.Lookup(ctx, key)
		_, many := s.LookupMany(ctx, []string{hex, key}, "")
		_, job := s.Job(ctx, key)
		run := s.PutRun(ctx, store.Run{ID: "r2", Actions: []store.RunAction{{Name: "a", Key: key}}})
		if key == "" {
			run = protocol.Invalid("a run may lack a key")
		}
		for _, err := range []error{err, found, many, job, run, s.PutJob(ctx, key, nil)} {
			if protocol.KindOf(err) != protocol.InvalidInput {
				t.Errorf("key %q: %v", key, err)
			}
		}
	}
	for _, name := range []string{"", ".x", "_x", "a/b", "..", "a b", strings.Repeat("x", 129)} {
		_, got := s.GetRun(ctx, name)
		for _, err := range []error{s.Tag(ctx, name, "r"), s.Tag(ctx, "t", name), s.Untag(ctx, name), got, s.PutRun(ctx, store.Run{ID: name})} {
			if protocol.KindOf(err) != protocol.InvalidInput {
				t.Errorf("name %q: %v", name, err)
			}
		}
	}
	for _, name := range []string{"x", "0", "A.b_c-1", strings.Repeat("x", 128)} {
		if err := errors.Join(s.PutRun(ctx, store.Run{ID: name}), s.Tag(ctx, name, name), s.Untag(ctx, name), s.Untag(ctx, name)); err != nil {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

// Invalid records.
func TestBadRecords(t *testing.T) {
	for _, location := range []string{t.TempDir(), "mem://"} {
		s := open(t, location)
		r, err := describe("x")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.PutRecord(t.Context(), r); err == nil || !strings.Contains(err.Error(), "needs a lease") {
			t.Errorf("PutRecord without a lease: %v", err)
		}
		if err := s.PutJob(t.Context(), r.Key, nil); err == nil || !strings.Contains(err.Error(), "needs a lease") {
			t.Errorf("PutJob without a lease: %v", err)
		}
		begin(t, s, "r")
		digest := put(t, s, "x")
		for _, c := range []struct {
			want  string
			names []string
		}{
			{`output name "." is not a relative path`, []string{"."}}, {`output name "" is not`, []string{""}}, {`output name "a\\b" is not`, []string{`a\b`}},
			{`output name "a\x00" is not`, []string{"a\x00"}}, {`output name "a/" is not`, []string{"a/"}},
			{`output "a/b/c" is inside output "a"`, []string{"a/b/c", "a"}}, {`output "a/b/c" is inside output "a/b"`, []string{"x", "a/b", "a/b/c"}},
			{`two outputs are named "b"`, []string{"a", "b", "b"}}, {"", []string{"a", "ab", "b/a", "b/c/d", "out/.artifact"}},
		} {
			r, err := describe(c.names)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range c.names {
				r.Outputs = append(r.Outputs, store.File{Name: name, Digest: digest, Bytes: 1})
			}
			if _, err := s.PutRecord(t.Context(), r); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("PutRecord with outputs %q: %v; want an error with %q", c.names, err, c.want)
			}
			r.Outputs[0].Bytes = 2
			if _, err := s.PutRecord(t.Context(), r); err == nil || c.want == "" && !strings.Contains(err.Error(), "has 1 bytes, not 2; ") {
				t.Errorf("PutRecord with a wrong size: %v", err)
			}
			if hit(t, s, r.Key) != (c.want == "") {
				t.Errorf("outputs %q: a hit is %v", c.names, c.want != "")
			}
		}
	}
	if r := (store.Record{Descriptor: []byte(`{"kind":"","schema":3}`)}); r.Kind() != "" || r.Schema() != 0 {
		t.Errorf("without a kind: %q, %d", r.Kind(), r.Schema())
	}
}

// PutFiles keeps the order of the names and reports which file failed. Only a regular file can be an output.
func TestPutFiles(t *testing.T) {
	for _, location := range []string{t.TempDir(), "mem://"} {
		s := open(t, location)
		begin(t, s, "r")
		dir := t.TempDir()
		writeTree(t, dir, map[string]string{"b/x": "bee", "a": "a", "c": strings.Repeat("c", 300<<10), "kept": "kept"})
		files, err := s.PutFiles(t.Context(), dir, []string{"b/x", "c", "a"})
		want := []store.File{
			{Name: "b/x", Digest: protocol.Digest([]byte("bee")), Bytes: 3},
			{Name: "c", Digest: protocol.Digest([]byte(strings.Repeat("c", 300<<10))), Bytes: 300 << 10}, {Name: "a", Digest: protocol.Digest([]byte("a")), Bytes: 1},
		}
		if diff := cmp.Diff(want, files); err != nil || diff != "" {
			t.Errorf("PutFiles: %v (-want +got):\n%s", err, diff)
		}
		if got := read(t, s, files[1].Digest); got != strings.Repeat("c", 300<<10) {
			t.Errorf("read %d bytes", len(got))
		}
		if _, err := s.PutFiles(t.Context(), dir, []string{"kept", "none"}); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "publish none: ") {
			t.Errorf("PutFiles of an absent file: %v", err)
		}
		writeTree(t, dir, map[string]string{"target": "kept"})
		if err := os.Symlink("target", filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.PutFile(t.Context(), filepath.Join(dir, "link")); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
			t.Errorf("PutFile of a link: %v", err)
		}
		if left := readTree(t, dir); left["link"] != "target" || left["target"] != "kept" {
			t.Errorf("PutFile of a link changed what there is: %v", left)
		}
	}
}

// A truncated blob is put again, and so is a blob with other bytes in a bucket.
func TestPutMends(t *testing.T) {
	s := open(t, "mem://")
	begin(t, s, "r")
	digest := put(t, s, "content")
	if err := store.Overwrite(t.Context(), s, digest, "cont"); err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadAll(r); err == nil || !strings.Contains(err.Error(), ": is damaged: its content is sha256:") {
		t.Errorf("reading a damaged blob: %v", err)
	}
	put(t, s, "content")
	if got := read(t, s, digest); got != "content" {
		t.Errorf("read %q", got)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "changed"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	absent := "sha256:" + strings.Repeat("0", 64)
	if err := store.Adopt(t.Context(), s, absent, f); err == nil || !strings.Contains(err.Error(), "changed after it was hashed") {
		t.Errorf("a file that changed: %v", err)
	}
	if names, err := store.Names(t.Context(), s, "blobs/"); err != nil || len(names) != 1 {
		t.Errorf("the blobs are %q, %v", names, err)
	}
}

// A blob is hashed again after any change of its file: its identity, size or time.
func TestBlobIsHashedAgain(t *testing.T) {
	for name, change := range map[string]func(path string, info fs.FileInfo) error{
		"another file": func(path string, info fs.FileInfo) error {
			replace(t, path, "c0ntent", info.ModTime())
			return nil
		},
		"another size": func(path string, info fs.FileInfo) error {
			return errors.Join(os.Chmod(path, 0o666), os.WriteFile(path, []byte("content."), 0o666), os.Chtimes(path, info.ModTime(), info.ModTime()))
		},
		"a link": func(path string, _ fs.FileInfo) error {
			return errors.Join(os.WriteFile(path+".target", []byte("content"), 0o666), os.Remove(path), os.Symlink(path+".target", path))
		},
	} {
		dir := t.TempDir()
		s := open(t, dir)
		var warnings []string
		s.Warn = func(message string) { warnings = append(warnings, message) }
		begin(t, s, "r")
		r := mustRecord(t, s, 1, "content")
		digest := r.Outputs[0].Digest
		path, err := s.LocalPath(t.Context(), digest, "")
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(path)
		if err != nil || info.Mode().Perm()&0o222 != 0 {
			t.Fatalf("a blob may be written to: %v, %v", info.Mode(), err)
		}
		if err := change(path, info); err != nil {
			t.Fatal(err)
		}
		if name == "a link" && (hit(t, s, r.Key) || len(warnings) != 1 || !strings.Contains(warnings[0], "it is not a regular file")) {
			t.Errorf("%s: warnings %q, want a miss", name, warnings)
		}
		if _, err := s.LocalPath(t.Context(), digest, ""); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
		if aside, err := os.Lstat(filepath.Join(dir, "damaged", filepath.Base(path))); err != nil {
			t.Errorf("%s: it was not moved aside: %v, %v", name, aside, err)
		}
	}
}

// Scratch directories are in the store, distinct, and removed with the store. Files that are put from there are moved.
func TestScratch(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	for location, parent := range map[string]string{dir: dir, "mem://": cache} {
		s, err := store.Open(t.Context(), location)
		if err != nil {
			t.Fatal(err)
		}
		begin(t, s, "r")
		first, err := s.Scratch(cache)
		if err != nil {
			t.Fatal(err)
		}
		second, err := s.Scratch(cache)
		if err != nil || first == second || filepath.Dir(first) != filepath.Join(parent, "tmp") || len(files(t, first)) != 0 {
			t.Errorf("scratch directories %s and %s, %v", first, second, err)
		}
		writeTree(t, second, map[string]string{"a/x": "left", "y": "content"})
		before, err := os.Stat(filepath.Join(second, "y"))
		if err != nil {
			t.Fatal(err)
		}
		digest, _, err := s.PutFile(t.Context(), filepath.Join(second, "y"))
		if err != nil {
			t.Fatal(err)
		}
		if after, err := os.Stat(blobPath(dir, digest)); location == dir && (err != nil || !os.SameFile(before, after)) {
			t.Errorf("the file was not moved but copied: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if left := files(t, filepath.Join(parent, "tmp")); len(left) != 0 {
			t.Errorf("a closed store leaves %v", left)
		}
		if _, err := os.Stat(first); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a closed store leaves an empty directory: %v", err)
		}
	}
	s := open(t, "mem://")
	if _, err := s.Scratch(""); err == nil || !strings.Contains(err.Error(), "a cache directory is required") {
		t.Errorf("Scratch without a cache: %v", err)
	}
	if open(t, "mem:///team/a").String() != "mem:///team/a" {
		t.Error("a store is not called by its prefix")
	}
}

// Records yields all readable records, and iteration can end early.
func TestRecords(t *testing.T) {
	for _, location := range []string{t.TempDir(), "mem://"} {
		s := open(t, location)
		begin(t, s, "r")
		want := map[string]bool{}
		for i := range 4 {
			want[mustRecord(t, s, i, "content").Key] = true
		}
		damaged := mustRecord(t, s, "damaged", "content").Key
		for _, name := range []string{"actions/" + damaged[:2] + "/" + damaged + ".json", "actions/letter.json", "actions/ab/" + damaged} {
			if err := store.Write(t.Context(), s, name, "{"); err != nil {
				t.Fatal(err)
			}
		}
		got := map[string]bool{}
		for r, err := range s.Records(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got[r.Key] = true
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		n := 0
		for _, err := range s.Records(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 2 {
				break
			}
		}
		if n != 2 {
			t.Errorf("%d records after the second", n-2)
		}
	}
}

// A record that is damaged or has a missing blob is replaced by the next result, which PutRecord returns. A complete
// one stays.
func TestReplacedRecord(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	begin(t, s, "r")
	first := mustRecord(t, s, 1, "first")
	again := func(content, want string) {
		t.Helper()
		r := mustRecord(t, s, 1, content)
		got, ok, err := s.Lookup(t.Context(), first.Key)
		if err != nil || !ok || r.Outputs[0].Digest != protocol.Digest([]byte(want)) || got.Outputs[0].Digest != r.Outputs[0].Digest {
			t.Errorf("PutRecord gives %+v, and the store holds %+v, %v, %v; want the result %q", r, got, ok, err, want)
		}
	}
	again("second", "first")
	if err := os.Remove(blobPath(dir, first.Outputs[0].Digest)); err != nil {
		t.Fatal(err)
	}
	again("second", "second")
	replace(t, recordPath(dir, first.Key), "{", time.Now())
	again("third", "third")
	if left := files(t, filepath.Join(dir, "locks")); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// Runs are sorted by start, and runs with the same start by ID.
func TestRunsInOrder(t *testing.T) {
	now := time.Now()
	for _, location := range []string{t.TempDir(), "mem://"} {
		s := open(t, location)
		for id, started := range map[string]time.Time{"c": now, "a": now.Add(time.Second), "b": now, "d": now.Add(-time.Second)} {
			if err := s.PutRun(t.Context(), store.Run{ID: id, Started: started}); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"runs/letter.txt", "runs/.x.json", "runs/a/notes.json"} {
			if err := store.Write(t.Context(), s, name, "{"); err != nil {
				t.Fatal(err)
			}
		}
		var ids []string
		for _, r := range mustRuns(t, s) {
			ids = append(ids, r.ID)
		}
		if !slices.Equal(ids, []string{"d", "b", "c", "a"}) {
			t.Errorf("the runs are %q", ids)
		}
	}
}

// A manifest that does not match its name and a damaged tag are errors.
func TestDamagedManifests(t *testing.T) {
	s := open(t, t.TempDir())
	begin(t, s, "r")
	finish(t, s, "r")
	if err := s.Tag(t.Context(), "t", "r"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, content, want string }{
		{"runs/r.json", `{"id":"other"}`, `it contains run "other"`}, {"runs/r.json", `{"id":"r","actions":[{"name":"a"},{"name":"b\n::error::x","key":"zz"}]}`, `action "b\n::error::x" has key "zz"`},
		{"tags/t.json", "{", "unexpected end"}, {"tags/t.json", `{"run":""}`, `it refers to run ""`},
	} {
		before := map[string]string{"runs/r.json": `{"id":"r","actions":[]}`, "tags/t.json": `{"run":"r"}`}
		for name, content := range before {
			if err := store.Write(t.Context(), s, name, content); err != nil {
				t.Fatal(err)
			}
		}
		if err := store.Write(t.Context(), s, c.name, c.content); err != nil {
			t.Fatal(err)
		}
		if _, err := s.GetRun(t.Context(), "r"); (err != nil) != (c.name == "runs/r.json") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: GetRun: %v", c.content, err)
		}
		if tags, err := s.Tags(t.Context()); (err != nil) != (c.name == "tags/t.json") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Tags: %v, %v", c.content, tags, err)
		}
		if _, err := s.GC(t.Context(), store.GCOptions{}); err == nil || !strings.Contains(err.Error(), c.name+": is damaged: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: gc: %v", c.content, err)
		}
		problems, err := s.Verify(t.Context(), nil)
		if err != nil || len(problems) != 1 || !strings.Contains(problems[0].String(), c.want) || !strings.Contains(problems[0].Fix, "restore it from a copy") {
			t.Errorf("%s: Verify: %v, %v", c.content, problems, err)
		}
	}
}

// A tag belongs to the run that it was last given to. Other files among the tags are ignored, and Verify reports them.
func TestTags(t *testing.T) {
	for _, location := range []string{t.TempDir(), "mem://"} {
		s := open(t, location)
		for _, id := range []string{"r1", "r2"} {
			if err := errors.Join(s.PutRun(t.Context(), store.Run{ID: id}), s.Tag(t.Context(), "best", id), s.Tag(t.Context(), "of-"+id, id)); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"tags/letter.txt", "tags/.x.json"} {
			if err := store.Write(t.Context(), s, name, `{"run":"r1"}`); err != nil {
				t.Fatal(err)
			}
		}
		want := map[string]string{"best": "r2", "of-r1": "r1", "of-r2": "r2"}
		if tags, err := s.Tags(t.Context()); err != nil || !cmp.Equal(want, tags) {
			t.Errorf("Tags: %v, %v; want %v", tags, err, want)
		}
		problems, err := s.Verify(t.Context(), nil)
		if err != nil || len(problems) != 2 || !strings.HasSuffix(problems[0].Path, "tags/.x.json") || !strings.HasSuffix(problems[1].Path, "tags/letter.txt") ||
			problems[0].Problem != "is not part of a store" {
			t.Errorf("Verify: %v, %v", problems, err)
		}
		if names, err := store.Names(t.Context(), s, "leases/"); err != nil || len(names) != 0 {
			t.Errorf("tagging left %q, %v", names, err)
		}
	}
}

// Verify reports progress, finds a record whose descriptor is not canonical, and stops when it
// is canceled.
func TestVerifyProgress(t *testing.T) {
	for _, location := range []string{t.TempDir(), "mem://"} {
		s := open(t, location)
		begin(t, s, "r")
		mustRecord(t, s, 1, "one", "three", strings.Repeat("x", 100_000))
		var mu sync.Mutex
		var last, total int64
		problems, err := s.Verify(t.Context(), func(done, of int64) {
			mu.Lock()
			defer mu.Unlock()
			last, total = max(last, done), of
		})
		if err != nil || len(problems) > 0 {
			t.Errorf("Verify: %v, %v", problems, err)
		}
		if last != 100_008 || total != 100_008 {
			t.Errorf("%d of %d bytes, want all of 100008", last, total)
		}
		descriptor := `{"schema":1,"kind":"k"}`
		key := store.KeyOf([]byte(descriptor))
		if err := store.Write(t.Context(), s, "actions/"+key[:2]+"/"+key+".json", fmt.Sprintf(`{"key":%q,"descriptor":%s,"outputs":[]}`, key, descriptor)); err != nil {
			t.Fatal(err)
		}
		problems, err = s.Verify(t.Context(), nil)
		if err != nil || len(problems) != 1 || !strings.Contains(problems[0].Problem, "not in canonical form") {
			t.Errorf("Verify: %v, %v", problems, err)
		}
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		if problems, err := s.Verify(canceled, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("Verify that was canceled: %v, %v", problems, err)
		}
	}
}

// Only an error of a full or read-only disk is unwritable, and it has advice once.
func TestUnwritable(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for cause, advice := range map[error]string{
		syscall.ENOSPC: "free some space", syscall.EDQUOT: "free some space", syscall.EROFS: "choose a store on another disk", syscall.EACCES: "", fs.ErrNotExist: "", nil: "",
	} {
		err := cause
		if cause != nil {
			err = &fs.PathError{Op: "write", Path: "x", Err: cause}
		}
		got := s.Unwritable(err)
		if (got == nil) != (advice == "") {
			t.Errorf("%v: %v", cause, got)
		}
		if got == nil {
			continue
		}
		for range 2 {
			if !errors.Is(got, cause) || strings.Count(got.Error(), advice) != 1 || !strings.Contains(got.Error(), "store "+dir+" cannot be written to: ") {
				t.Errorf("%v: %v", cause, got)
			}
			got = s.Unwritable(got)
		}
	}
	page, err := os.ReadFile("../../docs/troubleshooting.md")
	full := s.Unwritable(&fs.PathError{Op: "write", Path: filepath.Join(dir, "tmp/1"), Err: syscall.ENOSPC})
	if err != nil || !strings.Contains(string(page), strings.ReplaceAll(full.Error(), dir, "/data/store")) {
		t.Errorf("docs/troubleshooting.md lacks the message: %v (%v)", full, err)
	}
}
