package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/store"
)

// writeTree writes files with slashes in their names, and directories for names that end with a slash.
func writeTree(t testing.TB, dir string, content map[string]string) {
	t.Helper()
	for name, text := range content {
		path := filepath.Join(dir, filepath.FromSlash(name))
		var err error
		if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(path, 0o777)
		} else if err = os.MkdirAll(filepath.Dir(path), 0o777); err == nil {
			err = os.WriteFile(path, []byte(text), 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// readTree returns the content of a directory: files with their content, links with their target, directories with a slash.
func readTree(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		switch {
		case err != nil:
		case entry.IsDir():
			found[name+"/"] = ""
		case entry.Type()&fs.ModeSymlink != 0:
			found[name], err = os.Readlink(path)
		default:
			var data []byte
			data, err = os.ReadFile(path)
			found[name] = string(data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

const marker = `{"layout":2,"kind":"store"}`

// A directory that is not a store of this layout is rejected, and nothing in it changes.
func TestForeignPlaces(t *testing.T) {
	for name, c := range map[string]struct {
		content map[string]string
		want    string
	}{
		"home":      {map[string]string{"tmp/letter.txt": "dear", "leases/flat.pdf": "rent", "x/": ""}, "is not a store: it contains leases and no store.json; use an empty or a new directory"},
		"only tmp":  {map[string]string{"tmp/letter.txt": "dear", "leases/flat.pdf": "rent"}, "is not a store: it contains leases and no store.json"},
		"no kind":   {map[string]string{"store.json": `{"layout":2}`, "blobs/": ""}, "is a , not a store"},
		"layout -1": {map[string]string{"store.json": `{"layout":-1,"kind":"store"}`, "blobs/": ""}, "its store.json is damaged"},
		"layout 1":  {map[string]string{"actions/ab/x.json": "{}", "blobs/sha256/": "", "runs/r.json": "{}", "tmp/1-00112233aabbccdd.1": "x"}, "was made by an older runner"},
		"newer":     {map[string]string{"store.json": `{"layout":3,"kind":"store"}`, "tmp/1-00112233aabbccdd.1": "x"}, "has layout 3, from a newer runner; this one supports layout 2"},
		"older":     {map[string]string{"store.json": `{"layout":1,"kind":"store"}`, "blobs/": ""}, "was made by an older runner"},
		"damaged":   {map[string]string{"store.json": `{"layout"`, "blobs/": ""}, "its store.json is damaged"},
		"no layout": {map[string]string{"store.json": `{}`, "blobs/": ""}, "its store.json is damaged"},
		"cache":     {map[string]string{"store.json": `{"layout":2,"kind":"cache"}`, "blobs/": ""}, "is a cache, not a store"},
		"cut off":   {map[string]string{"store.json": "", "letter.txt": "dear"}, "is not a store: it contains letter.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeTree(t, dir, c.content)
			before := readTree(t, dir)
			s, err := store.Open(t.Context(), dir)
			if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "Nothing was changed") {
				t.Errorf("Open: %v, %v; want an error with %q", s, err, c.want)
			}
			if diff := cmp.Diff(before, readTree(t, dir)); diff != "" {
				t.Errorf("it changed (-before +after):\n%s", diff)
			}
			if bytes, err := store.PruneCache(t.Context(), dir, false); name != "cache" && protocol.KindOf(err) != protocol.InvalidInput {
				t.Errorf("PruneCache: %d, %v", bytes, err)
			}
			objects := map[string]string{}
			for name, content := range c.content {
				if !strings.HasSuffix(name, "/") {
					objects[name] = content
				}
			}
			after, err := store.Inspect(t.Context(), objects)
			if name != "cut off" && (protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), c.want[:15])) {
				t.Errorf("a bucket: %v; want an error with %q", err, c.want)
			}
			if diff := cmp.Diff(objects, after); diff != "" {
				t.Errorf("the bucket changed (-before +after):\n%s", diff)
			}
		})
	}
}

// A link with the marker's name is not a marker: writing it would write to the link's target.
func TestLinkedMarker(t *testing.T) {
	dir, target := t.TempDir(), filepath.Join(t.TempDir(), "letter.txt")
	writeTree(t, filepath.Dir(target), map[string]string{"letter.txt": marker})
	if err := os.Symlink(target, filepath.Join(dir, "store.json")); err != nil {
		t.Fatal(err)
	}
	if s, err := store.Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("Open: %v, %v", s, err)
	}
}

// Processes that use a new store first, concurrently, accept each other's files.
func TestFirstWritesTogether(t *testing.T) {
	t.Parallel()
	for range 50 {
		dir := filepath.Join(t.TempDir(), "store")
		var group errgroup.Group
		for range 8 {
			group.Go(func() error {
				s, err := store.Open(t.Context(), dir)
				if err != nil {
					return err
				}
				release, err := s.Claim(t.Context(), strings.Repeat("a", 64))
				if err == nil {
					err = release()
				}
				return errors.Join(err, s.Close())
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

// The same holds in a bucket.
func TestFirstWritesToBucketTogether(t *testing.T) {
	t.Parallel()
	for range 2000 {
		if err := store.FirstWrites(t.Context(), 8); err != nil {
			t.Fatal(err)
		}
	}
}

// An empty or absent place becomes a store only at the first write. If the process is killed then, the place counts as
// empty.
func TestFirstWriteMarks(t *testing.T) {
	for name, content := range map[string]map[string]string{"absent": nil, "empty": {"store/": ""}, "cut off": {"store/store.json": ""}} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			writeTree(t, parent, content)
			before := readTree(t, parent)
			dir := filepath.Join(parent, "store")
			s := open(t, dir)
			if hit(t, s, strings.Repeat("0", 64)) {
				t.Error("a hit in an empty store")
			}
			verify(t, s)
			if diff := cmp.Diff(before, readTree(t, parent)); diff != "" {
				t.Errorf("reading changed it (-before +after):\n%s", diff)
			}
			begin(t, s, "r")
			data, err := os.ReadFile(filepath.Join(dir, "store.json"))
			if err != nil || strings.TrimSpace(string(data)) != marker {
				t.Errorf("store.json: %q, %v", data, err)
			}
			if other := open(t, dir); len(mustRuns(t, other)) != 1 {
				t.Error("another process does not find the run")
			}
		})
	}
	// Files that appear between the inspection and the first write are foreign, too.
	dir := t.TempDir()
	s := open(t, dir)
	writeTree(t, dir, map[string]string{"letter.txt": "dear"})
	if err := s.Begin(t.Context(), store.Run{ID: "r"}); err == nil || !strings.Contains(err.Error(), "is not a store: it contains letter.txt") {
		t.Errorf("Begin: %v", err)
	}
	if diff := cmp.Diff(map[string]string{"letter.txt": "dear"}, readTree(t, dir)); diff != "" {
		t.Errorf("it changed (-want +got):\n%s", diff)
	}
}

func mustRuns(t testing.TB, s *store.Store) []store.Run {
	t.Helper()
	runs, err := s.Runs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return runs
}

// Sweeping removes only files of a dead process.
func TestSweepTakesOnlyItsOwn(t *testing.T) {
	dir := t.TempDir()
	theirs := map[string]string{
		"tmp/letter.txt": "dear", "tmp/letter.lock": "", "tmp/1-00112233aabbccdd.txt": "x", "tmp/1-00112233aabbccdd.1.txt": "x",
		"tmp/2-00112233aabbccdd.1": "no lock, so not of a store's making", "tmp/x-00112233aabbccdd.lock": "",
		"leases/flat.pdf": "rent", "leases/run-x": "", "collectors/gc": "", "locks/door": "", "locks/" + strings.Repeat("g", 64): "",
	}
	ours := map[string]string{
		"tmp/1-00112233aabbccdd.lock": "", "tmp/1-00112233aabbccdd.1": "x", "tmp/1-00112233aabbccdd.2/a/b": "x",
		"leases/run-x.00112233aabbccdd": "{}", "leases/wait.00112233aabbccdd": "", "collectors/gc.00112233aabbccdd": "",
		"locks/" + strings.Repeat("a", 64): "", "locks/replace": "",
	}
	writeTree(t, dir, map[string]string{"store.json": marker})
	writeTree(t, dir, theirs)
	before := readTree(t, dir)
	writeTree(t, dir, ours)
	open(t, dir)
	if diff := cmp.Diff(before, readTree(t, dir)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Links in a prepared store do not lead outside.
func TestLinksLeadNowhere(t *testing.T) {
	for _, name := range []string{"tmp", "leases", "collectors", "locks", "blobs", "blobs/sha256", "actions", "runs", "tags", "jobs", "damaged"} {
		t.Run(strings.ReplaceAll(name, "/", " "), func(t *testing.T) {
			victim := t.TempDir()
			v := open(t, victim)
			begin(t, v, "r")
			r := mustRecord(t, v, 1, "content")
			if err := v.Tag(t.Context(), "t", "r"); err != nil {
				t.Fatal(err)
			}
			if err := v.PutJob(t.Context(), r.Key, []byte("{}")); err != nil {
				t.Fatal(err)
			}
			finish(t, v, "r")
			digest := strings.TrimPrefix(r.Outputs[0].Digest, "sha256:")
			writeTree(t, victim, map[string]string{
				"tmp/1-00112233aabbccdd.lock": "", "tmp/1-00112233aabbccdd.1": "x", "leases/run-x.00112233aabbccdd": "{}",
				"collectors/gc.00112233aabbccdd": "", "locks/" + r.Key: "", "damaged/" + digest: "x",
			})
			before := readTree(t, victim)

			dir := t.TempDir()
			writeTree(t, dir, map[string]string{"store.json": marker, filepath.Dir(name) + "/": ""})
			if err := os.Symlink(filepath.Join(victim, name), filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			s, err := store.Open(t.Context(), dir)
			if err == nil {
				// Whether these succeed does not matter here.
				_, _ = s.GC(t.Context(), store.GCOptions{DropBefore: time.Now()})
				if s.Begin(t.Context(), store.Run{ID: "r", Started: time.Now()}) == nil {
					_, _ = record(t.Context(), s, 2, "other content")
					_ = s.PutJob(t.Context(), r.Key, []byte("other"))
					_ = s.Tag(t.Context(), "t", "r")
				}
				_, _ = s.LocalPath(t.Context(), r.Outputs[0].Digest, "")
				if release, err := s.Claim(t.Context(), r.Key); err == nil {
					_ = release()
				}
				_ = s.Untag(t.Context(), "t")
				_ = s.Close()
			}
			if diff := cmp.Diff(before, readTree(t, victim)); diff != "" {
				t.Errorf("another store changed (-before +after):\n%s", diff)
			}
		})
	}
}

// A blob whose content does not match its digest is treated as missing, and is made again.
func TestCorruptBlob(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	begin(t, s, "r")
	r := mustRecord(t, s, 1, "content")
	digest := r.Outputs[0].Digest
	path, err := s.LocalPath(t.Context(), digest, "")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	corrupt := func(content string, at time.Time) {
		t.Helper()
		if err := errors.Join(os.Chmod(path, 0o666), os.WriteFile(path, []byte(content), 0o666), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	// An unchanged file is hashed once. A change without a trace is detected only by the next process.
	corrupt("c0ntent", info.ModTime())
	if _, err := s.LocalPath(t.Context(), digest, ""); err != nil {
		t.Errorf("the file was hashed twice: %v", err)
	}
	for name, get := range map[string]func(*store.Store) error{
		"LocalPath": func(s *store.Store) error { _, err := s.LocalPath(t.Context(), digest, ""); return err },
		"Open":      func(s *store.Store) error { _, err := s.Open(t.Context(), digest); return err },
	} {
		corrupt("c0ntent", time.Now())
		var warnings []string
		next := open(t, dir)
		next.Warn = func(message string) { warnings = append(warnings, message) }
		if err := get(next); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
		if len(warnings) != 1 || !strings.Contains(warnings[0], path+": is damaged: its content is sha256:") {
			t.Errorf("%s warned %q", name, warnings)
		}
		if hit(t, s, r.Key) {
			t.Errorf("%s: its record is still a hit", name)
		}
		mustRecord(t, s, 1, "content")
		if !hit(t, s, r.Key) || read(t, next, digest) != "content" {
			t.Errorf("%s: making it again did not help", name)
		}
	}
	// Putting a blob replaces a damaged file of the same size.
	corrupt("c0ntent", time.Now())
	put(t, s, "content")
	if got := read(t, s, digest); got != "content" {
		t.Errorf("read %q", got)
	}
	if report, err := s.GC(t.Context(), store.GCOptions{}); err != nil || report.Blobs != 1 || len(files(t, filepath.Join(dir, "damaged"))) != 0 {
		t.Errorf("gc of a blob that was moved aside: %+v, %v", report, err)
	}
}

// In a bucket the copy is checked, including an existing copy.
func TestCorruptBlobInBucket(t *testing.T) {
	s, cache := open(t, "mem://"), t.TempDir()
	var warnings []string
	s.Warn = func(message string) { warnings = append(warnings, message) }
	begin(t, s, "r")
	r := mustRecord(t, s, 1, "content")
	digest := r.Outputs[0].Digest
	path, err := s.LocalPath(t.Context(), digest, cache)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(path, 0o666), os.WriteFile(path, []byte("c0ntents"), 0o666)); err != nil {
		t.Fatal(err)
	}
	if again, err := s.LocalPath(t.Context(), digest, cache); err != nil || again != path || len(warnings) != 1 {
		t.Errorf("LocalPath of a damaged copy: %s, %v, warnings %q", again, err, warnings)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "content" {
		t.Errorf("the copy holds %q, %v", got, err)
	}
	many := func() int {
		t.Helper()
		found, err := s.LookupMany(t.Context(), []string{r.Key}, cache)
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	if many() != 1 {
		t.Error("no hit")
	}
	if err := store.Overwrite(t.Context(), s, digest, "c0ntent"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.LocalPath(t.Context(), digest, t.TempDir()); !errors.Is(err, fs.ErrNotExist) || len(warnings) != 2 {
		t.Errorf("LocalPath: %v, warnings %q", err, warnings)
	}
	if hit(t, s, r.Key) || many() != 0 {
		t.Error("its record is still a hit")
	}
	if names, err := store.Names(t.Context(), s, "damaged/"); err != nil || len(names) != 1 || names[0] != "damaged/"+strings.TrimPrefix(digest, "sha256:") {
		t.Errorf("moved aside are %q, %v", names, err)
	}
}

// Facts about a bucket are valid until a collection removes something, and only for that store.
func TestFacts(t *testing.T) {
	s, cache := open(t, "mem://"), t.TempDir()
	begin(t, s, "r")
	var keys []string
	want := map[string]*store.Record{}
	for i := range 20 {
		r := mustRecord(t, s, i, fmt.Sprint("content ", i), "<&>\u2028")
		keys, want[r.Key] = append(keys, r.Key), r
	}
	many := func(s *store.Store) map[string]*store.Record {
		t.Helper()
		found, err := s.LookupMany(t.Context(), keys, cache)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if diff := cmp.Diff(want, many(s)); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
	// Another process with the same cache requests no record.
	other := store.Share(s)
	asked := store.CountReads(other)
	if diff := cmp.Diff(want, many(other)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := asked(); len(got) != 1 || got[0] != "generation" {
		t.Errorf("it read %q", got)
	}
	// The run lists half of its actions. Notes keep the others until the run is dropped.
	finish(t, s, "r", keys[:10]...)
	if report, err := s.GC(t.Context(), store.GCOptions{}); err != nil || report.Records != 0 {
		t.Errorf("gc: %+v, %v", report, err)
	}
	begin(t, s, "r2")
	finish(t, s, "r2", keys[:10]...)
	if report, err := s.GC(t.Context(), store.GCOptions{DropBefore: time.Now()}); err != nil || report.Records != 20 {
		t.Errorf("gc: %+v, %v", report, err)
	}
	if got := many(s); len(got) != 0 {
		t.Errorf("after gc there are still %d", len(got))
	}
	if got := many(other); len(got) != 0 {
		t.Errorf("after gc another process still knows %d", len(got))
	}
	if left := files(t, filepath.Join(cache, "facts")); len(left) != 0 {
		t.Errorf("old facts are left: %v", left)
	}
}

// A plan writes nothing: it looks up keys in a bucket without a cache.
func TestLookupWithoutCache(t *testing.T) {
	s := open(t, "mem://")
	begin(t, s, "r")
	want := map[string]*store.Record{}
	for i := range 3 {
		r := mustRecord(t, s, i, fmt.Sprint("content ", i))
		want[r.Key] = r
	}
	keys := append(slices.Collect(maps.Keys(want)), strings.Repeat("0", 64))
	found, err := s.LookupMany(t.Context(), keys, "")
	if diff := cmp.Diff(want, found); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}

// A blob that was removed from a bucket does not stay in the facts: a process that misses it invalidates all facts.
func TestRemovedBlob(t *testing.T) {
	s, cache := open(t, "mem://"), t.TempDir()
	begin(t, s, "r")
	r := mustRecord(t, s, 1, "content")
	look := func(s *store.Store, want int) {
		t.Helper()
		if found, err := s.LookupMany(t.Context(), []string{r.Key}, cache); err != nil || len(found) != want {
			t.Errorf("got %v, %v; want %d", found, err, want)
		}
	}
	look(s, 1)
	digest := r.Outputs[0].Digest
	blobs, err := store.Names(t.Context(), s, "blobs/")
	if err != nil || len(blobs) != 1 {
		t.Fatalf("the blobs are %q, %v", blobs, err)
	}
	if err := store.Remove(t.Context(), s, blobs[0]); err != nil {
		t.Fatal(err)
	}
	look(store.Share(s), 1)
	if _, err := s.LocalPath(t.Context(), digest, t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LocalPath: %v", err)
	}
	look(store.Share(s), 0)
}

// Truncated or modified facts are ignored: their keys are looked up again.
func TestDamagedFacts(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"cut off in a record":       func(b []byte) []byte { return b[:len(b)-1] },
		"cut off in a head":         func(b []byte) []byte { return b[:20] },
		"empty":                     func([]byte) []byte { return nil },
		"changed in a record":       func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("name"), []byte("mane")) },
		"changed in a digest":       func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("sha256:"), []byte("sha256;")) },
		"changed in its first head": func(b []byte) []byte { b[0], b[33] = b[0]^1, b[33]^1; return b },
	} {
		t.Run(name, func(t *testing.T) {
			s, cache := open(t, "mem://"), t.TempDir()
			begin(t, s, "r")
			want := map[string]*store.Record{}
			for i := range 3 {
				r := mustRecord(t, s, i, fmt.Sprint("content ", i))
				want[r.Key] = r
			}
			keys := slices.Collect(maps.Keys(want))
			if _, err := s.LookupMany(t.Context(), keys, cache); err != nil {
				t.Fatal(err)
			}
			segments, err := filepath.Glob(filepath.Join(cache, "facts", "*", "*", "*"))
			if err != nil || len(segments) != 1 {
				t.Fatalf("facts are in %q, %v", segments, err)
			}
			data, err := os.ReadFile(segments[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.Chmod(segments[0], 0o600), os.WriteFile(segments[0], damage(data), 0o600)); err != nil {
				t.Fatal(err)
			}
			other := store.Share(s)
			asked := store.CountReads(other)
			found, err := other.LookupMany(t.Context(), keys, cache)
			if diff := cmp.Diff(want, found); diff != "" || err != nil {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
			if got := asked(); len(got) < 2 {
				t.Errorf("it read %q", got)
			}
		})
	}
}

func TestGCOptions(t *testing.T) {
	s := open(t, t.TempDir())
	for i, c := range []struct{ experiment, id string }{{"a", "a1"}, {"b", "b1"}, {"a", "a2"}, {"a", "a3"}, {"b", "b2"}} {
		run := store.Run{ID: c.id, Experiment: c.experiment, Started: time.Now().Add(-time.Hour * time.Duration(10-i))}
		if err := s.Begin(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		if err := s.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		o    store.GCOptions
		want []string
	}{
		{store.GCOptions{}, nil},
		{store.GCOptions{KeepLast: 1}, []string{"a1", "a2", "b1"}},
		{store.GCOptions{KeepLast: 2}, []string{"a1"}},
		{store.GCOptions{DropBefore: time.Now().Add(-7*time.Hour - time.Minute)}, []string{"a1", "a2", "b1"}},
		{store.GCOptions{DropBefore: time.Now().Add(-9*time.Hour - time.Minute), KeepLast: 1}, []string{"a1"}},
	} {
		c.o.DryRun = true
		if report, err := s.GC(t.Context(), c.o); err != nil || !cmp.Equal(report.Runs, c.want) {
			t.Errorf("gc %+v: %v, %v; want %v", c.o, report.Runs, err, c.want)
		}
	}
	for _, bad := range []store.GCOptions{{DropBefore: time.Now().Add(5 * time.Hour)}, {KeepLast: -1}} {
		if report, err := s.GC(t.Context(), bad); protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("gc %+v: %+v, %v", bad, report, err)
		}
	}
	if got := len(mustRuns(t, s)); got != 5 {
		t.Errorf("%d runs are left", got)
	}
}

// The notes of a dropped unfinished run keep nothing. Those of a finished run whose manifest does not list them do.
func TestNotes(t *testing.T) {
	s := open(t, t.TempDir())
	begin(t, s, "killed")
	killed := mustRecord(t, s, 1, "killed")
	if err := s.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	dropBefore := time.Now()
	begin(t, s, "r")
	named, unnamed := mustRecord(t, s, 2, "named"), mustRecord(t, s, 3, "unnamed")
	finish(t, s, "r", named.Key)
	if report, err := s.GC(t.Context(), store.GCOptions{}); err != nil || report.Records != 0 {
		t.Errorf("gc: %+v, %v", report, err)
	}
	if report, err := s.GC(t.Context(), store.GCOptions{DropBefore: dropBefore}); err != nil || report.Records != 1 || report.Blobs != 1 {
		t.Errorf("gc: %+v, %v", report, err)
	}
	if hit(t, s, killed.Key) || !hit(t, s, named.Key) || !hit(t, s, unnamed.Key) {
		t.Error("gc kept an unreachable object, or removed one that a note reaches")
	}
}

// A record is not a hit if a blob is larger or smaller than recorded.
func TestLargerBlob(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	begin(t, s, "r")
	r := mustRecord(t, s, 1, "content")
	hex := strings.TrimPrefix(r.Outputs[0].Digest, "sha256:")
	path := filepath.Join(dir, "blobs", "sha256", hex[:2], hex)
	if err := errors.Join(os.Chmod(path, 0o666), os.WriteFile(path, []byte("content and more"), 0o666)); err != nil {
		t.Fatal(err)
	}
	if hit(t, s, r.Key) {
		t.Error("a record with a larger blob is a hit")
	}
}

// A cache is pruned only when no process uses it, and only of files that a store put there.
func TestPruneCache(t *testing.T) {
	cache := t.TempDir()
	s, err := store.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	begin(t, s, "r")
	r := mustRecord(t, s, 1, "content")
	if _, err := s.LocalPath(t.Context(), r.Outputs[0].Digest, cache); err != nil {
		t.Fatal(err)
	}
	if _, err := s.LookupMany(t.Context(), []string{r.Key}, cache); err != nil {
		t.Fatal(err)
	}
	theirs := map[string]string{"blobs/letter.txt": "dear", "facts/letter.txt": "dear", "letter.txt": "dear"}
	writeTree(t, cache, theirs)
	before := readTree(t, cache)
	if _, err := store.PruneCache(t.Context(), cache, false); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("PruneCache while a process uses the cache: %v", err)
	}
	if diff := cmp.Diff(before, readTree(t, cache)); diff != "" {
		t.Errorf("it changed (-before +after):\n%s", diff)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	dry, err := store.PruneCache(t.Context(), cache, true)
	if err != nil || dry < 7 {
		t.Errorf("dry run: %d, %v", dry, err)
	}
	if bytes, err := store.PruneCache(t.Context(), cache, false); err != nil || bytes != dry {
		t.Errorf("PruneCache: %d, %v; the dry run said %d", bytes, err, dry)
	}
	left := readTree(t, cache)
	maps.DeleteFunc(left, func(name, _ string) bool { return strings.HasSuffix(name, "/") })
	maps.Copy(theirs, map[string]string{"store.json": "{\"layout\":2,\"kind\":\"cache\"}\n", "users.lock": ""})
	if diff := cmp.Diff(theirs, left); diff != "" {
		t.Errorf("-want +left:\n%s", diff)
	}
	if bytes, err := store.PruneCache(t.Context(), filepath.Join(cache, "absent"), false); err != nil || bytes != 0 {
		t.Errorf("PruneCache of an absent one: %d, %v", bytes, err)
	}
}

func TestPruneRuns(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{
		"r1/journal.jsonl": "x", "r1/log.jsonl": "x", "r2/journal.jsonl": "x", "r2/letter.txt": "dear", "r3/journal.jsonl": "x", "r5": "a file",
	})
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	ids, names := []string{"r1", "r2", "r4", "r5"}, []string{"journal.jsonl", "log.jsonl"}
	before := readTree(t, dir)
	want := []string{"r1", "r2"}
	if removed, err := store.PruneRuns(root, ids, names, true); err != nil || !cmp.Equal(removed, want) || !cmp.Equal(before, readTree(t, dir)) {
		t.Errorf("dry run: %v, %v", removed, err)
	}
	if removed, err := store.PruneRuns(root, ids, names, false); err != nil || !cmp.Equal(removed, want) {
		t.Errorf("PruneRuns: %v, %v", removed, err)
	}
	left := map[string]string{"r2/": "", "r2/letter.txt": "dear", "r3/": "", "r3/journal.jsonl": "x", "r5": "a file"}
	if diff := cmp.Diff(left, readTree(t, dir)); diff != "" {
		t.Errorf("-want +left:\n%s", diff)
	}
	if _, err := store.PruneRuns(root, []string{"../x"}, names, false); protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("PruneRuns of a bad id: %v", err)
	}
}

// A process writes a pack of its records, from which many records are read at once. It is only a copy: a record
// that is gone is not a hit, and a damaged or removed pack costs requests, not results.
func TestPacks(t *testing.T) {
	s := open(t, "mem://")
	var warnings []string
	s.Warn = func(message string) { warnings = append(warnings, message) }
	begin(t, s, "r")
	first := mustRecord(t, s, "first", "own")
	keys, own := []string{first.Key}, first.Outputs[0].Digest
	for i := range store.ListInstead {
		keys = append(keys, mustRecord(t, s, i, "shared").Key)
	}
	finish(t, s, "r", keys...)
	names, err := store.Names(t.Context(), s, "packs/")
	if err != nil || len(names) != 1 {
		t.Fatalf("packs: %v, %v", names, err)
	}
	many := func(want int) []string {
		t.Helper()
		other := store.Share(s)
		other.Warn = s.Warn
		read := store.CountReads(other)
		found, err := other.LookupMany(t.Context(), keys, t.TempDir())
		if err != nil || len(found) != want {
			t.Errorf("%d hits, %v; want %d", len(found), err, want)
		}
		return read()
	}
	if read := many(len(keys)); len(read) != 2 { // the generation and the pack
		t.Errorf("it read %d objects: %.200q", len(read), read)
	}
	// It has no information about blobs.
	hex := strings.TrimPrefix(own, "sha256:")
	if err := store.Remove(t.Context(), s, "blobs/sha256/"+hex[:2]+"/"+hex); err != nil {
		t.Fatal(err)
	}
	many(len(keys) - 1)
	if len(warnings) != 1 || !strings.Contains(warnings[0], "will run again: ") {
		t.Errorf("warnings %q", warnings)
	}
	warnings = nil
	begin(t, s, "restores")
	put(t, s, "own")
	if err := s.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	last := keys[len(keys)-1]
	if err := store.Remove(t.Context(), s, "actions/"+last[:2]+"/"+last+".json"); err != nil {
		t.Fatal(err)
	}
	many(len(keys) - 1)
	begin(t, s, "again")
	keys[len(keys)-1] = mustRecord(t, s, "another", "shared").Key
	if err := s.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := store.Write(t.Context(), s, names[0], "nonsense"); err != nil {
		t.Fatal(err)
	}
	many(len(keys))
	if len(warnings) != 1 || !strings.Contains(warnings[0], names[0]+": cannot be read") {
		t.Errorf("warnings %q", warnings)
	}
	if _, err := s.GC(t.Context(), store.GCOptions{KeepLast: 1}); err != nil {
		t.Fatal(err)
	}
	left, err := store.Names(t.Context(), s, "packs/")
	if err != nil || len(left) != 1 || !strings.HasPrefix(left[0], "packs/again.") {
		t.Errorf("packs after gc: %v, %v", left, err)
	}
	many(1) // the results of the run that was kept
}
