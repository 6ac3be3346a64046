package store_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/store"
)

// held returns the objects of a store and their contents, except leases.
func held(t testing.TB, s *store.Store) map[string]string {
	t.Helper()
	names, err := store.Names(t.Context(), s, "")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, name := range names {
		if all[name], err = store.Content(t.Context(), s, name); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// A dry run reports what a collection would remove and changes nothing. The collection then removes exactly that, and
// nothing that a store did not write.
func TestGCTakesOnlyItsOwn(t *testing.T) {
	for name, s := range map[string]*store.Store{"directory": open(t, t.TempDir()), "bucket": open(t, "mem://")} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			begin(t, s, "r")
			kept, job := mustRecord(t, s, "kept", "kept"), strings.Repeat("b", 64)
			finish(t, s, "r", kept.Key)
			before := held(t, s)
			theirs := map[string]string{
				"blobs/sha256/ab/notes.txt": "1", "blobs/sha256/ab/" + strings.Repeat("c", 64): "2", "actions/ab/x.json": "{}",
				"actions/ab/" + strings.Repeat("c", 64) + ".json": "{}", "actions/cc/" + strings.Repeat("c", 64): "{}", "jobs/x.json": "{}",
				"jobs/" + strings.Repeat("c", 64): "{}", "damaged/notes.txt": "3", "runs/letter.txt": "4", "runs/old/letter.txt": "5", "packs/letter.txt": "6",
				"packs/old.jsonl.gz": "7", "leases/flat.pdf": "rent", "collectors/letter.txt": "8", "tags/letter.txt": "9",
			}
			for name, content := range theirs {
				if err := store.Write(ctx, s, name, content); err != nil {
					t.Fatal(err)
				}
			}
			begin(t, s, "old")
			garbage := mustRecord(t, s, "old", "garbage")
			if err := s.PutJob(ctx, job, []byte("{}")); err != nil {
				t.Fatal(err)
			}
			finish(t, s, "old")
			if err := store.Write(ctx, s, "damaged/"+strings.Repeat("a", 64), "12345"); err != nil {
				t.Fatal(err)
			}
			all := held(t, s)
			o := store.GCOptions{DropBefore: time.Now(), DryRun: true}
			if err := s.Tag(ctx, "t", "r"); err != nil {
				t.Fatal(err)
			}
			all["tags/t.json"], before["tags/t.json"] = "{\"run\":\"r\"}\n", "{\"run\":\"r\"}\n"
			want := store.GCReport{Runs: []string{"old"}, Records: 1, Blobs: 2, Jobs: 1, Bytes: 7 + 5}
			dry, err := s.GC(ctx, o)
			if diff := cmp.Diff(want, dry); err != nil || diff != "" {
				t.Errorf("dry run: %v (-want +got):\n%s", err, diff)
			}
			if diff := cmp.Diff(all, held(t, s)); diff != "" {
				t.Errorf("a dry run changed (-before +after):\n%s", diff)
			}
			o.DryRun = false
			report, err := s.GC(ctx, o)
			if diff := cmp.Diff(want, report); err != nil || diff != "" {
				t.Errorf("gc: %v (-want +got):\n%s", err, diff)
			}
			maps.Copy(theirs, before)
			left := held(t, s)
			delete(left, "generation")
			if diff := cmp.Diff(theirs, left); diff != "" {
				t.Errorf("-want +left:\n%s", diff)
			}
			if hit(t, s, garbage.Key) || !hit(t, s, kept.Key) {
				t.Error("gc removed a reachable object, or left an unreachable one")
			}
		})
	}
}

// A damaged record that a run or a baseline reaches stops a collection before it deletes anything, because only the record
// names its blobs. One that nothing reaches is deleted. A collection leaves no files of the store's own.
func TestGCOverDamage(t *testing.T) {
	for _, pinned := range []bool{false, true} {
		dir := t.TempDir()
		s := open(t, dir)
		begin(t, s, "r")
		r, other := mustRecord(t, s, 1, "content"), mustRecord(t, s, 2, "other")
		finish(t, s, "r", r.Key, other.Key)
		begin(t, s, "old")
		finish(t, s, "old")
		good, err := os.ReadFile(recordPath(dir, r.Key))
		if err != nil {
			t.Fatal(err)
		}
		replace(t, recordPath(dir, r.Key), string(good[:100]), time.Now())
		replace(t, recordPath(dir, other.Key), "{", time.Now())
		o := store.GCOptions{}
		if pinned {
			o = store.GCOptions{DropBefore: time.Now(), Keep: []string{r.Key, other.Key}}
		}
		before := files(t, dir)
		first := min(recordPath(dir, r.Key), recordPath(dir, other.Key))
		for _, o.DryRun = range []bool{true, false} {
			_, err = s.GC(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), first+": is damaged: ") || !strings.Contains(err.Error(), " (and 1 more); ") ||
				!strings.Contains(err.Error(), "`runner verify`") {
				t.Errorf("gc, pinned %v: %v", pinned, err)
			}
		}
		if after := files(t, dir); !reflect.DeepEqual(after, before) {
			t.Errorf("gc, pinned %v, changed the files from %v to %v", pinned, before, after)
		}
		replace(t, recordPath(dir, r.Key), string(good), time.Now())
		replace(t, recordPath(dir, other.Key), "{", time.Now())
		o.Keep, o.DropBefore = []string{r.Key}, time.Now()
		if report, err := s.GC(t.Context(), o); err != nil || report.Records != 1 || report.Blobs != 1 {
			t.Errorf("gc over an unreachable record: %+v, %v", report, err)
		}
		if !hit(t, s, r.Key) {
			t.Error("gc removed a record that it should keep")
		}
		for _, name := range []string{"collectors", "packs"} {
			if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("there is a directory %s: %v", name, err)
			}
		}
		if left := files(t, filepath.Join(dir, "leases")); len(left) != 0 {
			t.Errorf("left %v", left)
		}
	}
}

// A dropped run leaves neither its manifest nor a note. A finished run whose manifest lists all its actions has no
// note.
func TestNotesGo(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	begin(t, s, "killed")
	mustRecord(t, s, 1, "killed")
	if err := s.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	dropBefore := time.Now()
	begin(t, s, "r")
	r := mustRecord(t, s, 2, "named")
	if left := files(t, filepath.Join(dir, "runs", "r")); len(left) != 1 || filepath.Base(left[0]) != r.Key {
		t.Errorf("the notes of a working run are %v", left)
	}
	finish(t, s, "r", r.Key)
	if report, err := s.GC(t.Context(), store.GCOptions{DropBefore: dropBefore}); err != nil || !slices.Equal(report.Runs, []string{"killed"}) {
		t.Errorf("gc: %+v, %v", report, err)
	}
	want := map[string]bool{"r.json": true}
	got := map[string]bool{}
	for name := range readTree(t, filepath.Join(dir, "runs")) {
		got[name] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("runs: -want +got:\n%s", diff)
	}
}

// Objects that a process looked up or put under its lease stay until the lease ends, for every way of looking up.
func TestLookedUpStays(t *testing.T) {
	for name, look := range map[string]func(t *testing.T, s *store.Store, key string) error{
		"Lookup": func(t *testing.T, s *store.Store, key string) error {
			_, ok, err := s.Lookup(t.Context(), key)
			if err == nil && !ok {
				err = errors.New("no hit")
			}
			return err
		},
		"LookupMany": func(t *testing.T, s *store.Store, key string) error {
			found, err := s.LookupMany(t.Context(), []string{key}, t.TempDir())
			if err == nil && len(found) != 1 {
				err = errors.New("no hit")
			}
			return err
		},
		"PutJob": func(t *testing.T, s *store.Store, key string) error { return s.PutJob(t.Context(), key, []byte("{}")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, "mem://")
				other := store.Share(s)
				begin(t, s, "old")
				r := mustRecord(t, s, 1, "content")
				finish(t, s, "old", r.Key)
				begin(t, s, "r")
				if err := look(t, s, r.Key); err != nil {
					t.Fatal(err)
				}
				report, err := other.GC(t.Context(), store.GCOptions{KeepLast: 1})
				if diff := cmp.Diff(store.GCReport{Runs: []string{"old"}}, report); err != nil || diff != "" {
					t.Errorf("gc: %v (-want +got):\n%s", err, diff)
				}
				if err := s.Release(t.Context()); err != nil {
					t.Fatal(err)
				}
				if report, err := other.GC(t.Context(), store.GCOptions{}); err != nil || report.Records != 1 || report.Blobs != 1 {
					t.Errorf("gc after the lease: %+v, %v", report, err)
				}
			})
		})
	}
}

// A refresh that fails once or twice is harmless: there is time for another before the lease expires.
func TestFailedRefreshes(t *testing.T) {
	for n := range 3 {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, "mem://")
			other := store.Share(s)
			begin(t, s, "r")
			digest := put(t, s, "not finished")
			failed := store.FailClaims(s, int64(n))
			time.Sleep(time.Hour)
			if failed() != int64(n) {
				t.Errorf("%d refreshes failed, want %d", failed(), n)
			}
			if report, err := other.GC(t.Context(), store.GCOptions{}); err != nil || report.Blobs != 0 {
				t.Errorf("gc after %d failed refreshes: %+v, %v", n, report, err)
			}
			read(t, s, digest)
			mustRecord(t, s, 1, "finished")
		})
	}
}

// The leases of dead writers and collectors in a bucket are removed by the next collection.
func TestDeadLeasesGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "mem://")
		begin(t, s, "r")
		store.Strand(s)
		if _, err := store.ClaimCollector(t.Context(), store.Share(s)); err != nil {
			t.Fatal(err)
		}
		for _, prefix := range []string{"leases/", "collectors/"} {
			if names, err := store.Names(t.Context(), s, prefix); err != nil || len(names) != 1 {
				t.Fatalf("%s: %q, %v", prefix, names, err)
			}
		}
		time.Sleep(time.Hour)
		other := store.Share(s)
		if _, err := other.GC(t.Context(), store.GCOptions{DryRun: true}); err != nil {
			t.Error(err)
		}
		if names, err := store.Names(t.Context(), s, "leases/"); err != nil || len(names) != 1 {
			t.Errorf("a dry run left the leases %q, %v", names, err)
		}
		if _, err := other.GC(t.Context(), store.GCOptions{}); err != nil {
			t.Error(err)
		}
		for _, prefix := range []string{"leases/", "collectors/"} {
			if names, err := store.Names(t.Context(), s, prefix); err != nil || len(names) != 0 {
				t.Errorf("%s: left %q, %v", prefix, names, err)
			}
		}
	})
}

// Tagging waits for a collection, which may not have seen the tag, until it ends or its lease expires.
// The tag of a run that was dropped meanwhile is removed, and the error reports it.
func TestTagWaitsForGC(t *testing.T) {
	for name, c := range map[string]struct{ ends, drops bool }{"it ends": {true, false}, "it died": {false, false}, "it drops the run": {true, true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, "mem://")
				if err := s.PutRun(t.Context(), store.Run{ID: "r"}); err != nil {
					t.Fatal(err)
				}
				end, err := store.ClaimCollector(t.Context(), store.Share(s))
				if err != nil {
					t.Fatal(err)
				}
				tagged := make(chan error, 1)
				go func() { tagged <- s.Tag(t.Context(), "t", "r") }()
				time.Sleep(5 * time.Minute)
				select {
				case err := <-tagged:
					t.Fatalf("it did not wait: %v", err)
				default:
				}
				if c.drops {
					if err := store.Remove(t.Context(), s, "runs/r.json"); err != nil {
						t.Fatal(err)
					}
				}
				if c.ends {
					if err := end(); err != nil {
						t.Fatal(err)
					}
				}
				if err := <-tagged; (err != nil) != c.drops || c.drops && (protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), `no run "r"`)) {
					t.Errorf("Tag: %v", err)
				}
				if tags, err := s.Tags(t.Context()); err != nil || (tags["t"] != "r") != c.drops {
					t.Errorf("Tags: %v, %v", tags, err)
				}
				if names, err := store.Names(t.Context(), s, "leases/"); err != nil || len(names) != 0 {
					t.Errorf("tagging left %q, %v", names, err)
				}
			})
		})
	}
}

// Facts belong to one store, come from any number of lookups, and have records of any size. Other files stay.
func TestFactsOfManyLookups(t *testing.T) {
	s, cache := open(t, "mem:///first"), t.TempDir()
	begin(t, s, "r")
	var keys []string
	want := map[string]*store.Record{}
	for i := range 9 {
		var parameters any = i
		if i%4 == 1 {
			parameters = strings.Repeat("w", 700<<10*i)
		}
		r, err := describe(parameters)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.PutRecord(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		keys, want[r.Key] = append(keys, r.Key), r
	}
	many := func(s *store.Store, keys ...string) map[string]*store.Record {
		t.Helper()
		found, err := s.LookupMany(t.Context(), keys, cache)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	segments := func(n int) []string {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(cache, "facts", "*", "first", "*.cbor"))
		if err != nil || len(found) != n {
			t.Errorf("the facts are in %q, %v; want %d files", found, err, n)
		}
		return found
	}
	many(s, strings.Repeat("0", 64))
	segments(0)
	many(s, keys[:5]...)
	many(s, keys[3:]...)
	dir := filepath.Dir(segments(2)[0])
	if diff := cmp.Diff(want, many(s, keys...)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	theirs := map[string]string{"letter.txt": "dear", "../letters/letter.txt": "dear", "../letter.txt": "dear"}
	writeTree(t, dir, theirs)
	other := store.Share(s)
	asked := store.CountReads(other)
	if diff := cmp.Diff(want, many(other, keys...)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := asked(); !slices.Equal(got, []string{"generation"}) {
		t.Errorf("it read %q", got)
	}
	if stranger := many(open(t, "mem:///second"), keys...); len(stranger) != 0 {
		t.Errorf("another store has %d of the records", len(stranger))
	}
	finish(t, s, "r")
	if _, err := s.GC(t.Context(), store.GCOptions{}); err != nil {
		t.Fatal(err)
	}
	if names, err := store.Names(t.Context(), s, "generation"); err != nil || len(names) != 0 {
		t.Errorf("a collection that removed nothing made a new generation: %q, %v", names, err)
	}
	if _, err := s.GC(t.Context(), store.GCOptions{DropBefore: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if found := many(s, keys...); len(found) != 0 {
		t.Errorf("%d records are still known", len(found))
	}
	segments(0)
	for name := range theirs {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("a file that holds no facts is gone: %v", err)
		}
	}
	if err := store.Write(t.Context(), s, "generation", "nonsense"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.LookupMany(t.Context(), keys, cache); err == nil || !strings.Contains(err.Error(), `generation: is damaged: it contains "nonsense"; delete it`) {
		t.Errorf("LookupMany under a damaged generation: %v", err)
	}
}

// A goroutine that waits for another's download gets the blob even if the other one is canceled.
func TestSharedDownload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, cache := open(t, "mem://"), t.TempDir()
		begin(t, s, "r")
		digest := put(t, s, "content")
		began := store.BlockFirstOpen(s)
		first, give := context.WithCancel(t.Context())
		results := [2]chan error{make(chan error, 1), make(chan error, 1)}
		get := func(ctx context.Context, i int) {
			_, err := s.LocalPath(ctx, digest, cache)
			results[i] <- err
		}
		go get(first, 0)
		<-began
		go get(t.Context(), 1)
		synctest.Wait()
		give()
		if err := <-results[0]; !errors.Is(err, context.Canceled) {
			t.Errorf("the one who gave up: %v", err)
		}
		if err := <-results[1]; err != nil {
			t.Errorf("the other one: %v", err)
		}
	})
}

// Exactly the keys with a record are hits, for every way of looking up.
func TestLookupOfManyUnknown(t *testing.T) {
	for name, s := range map[string]*store.Store{"directory": open(t, t.TempDir()), "bucket": open(t, "mem://")} {
		begin(t, s, "r")
		r, gone := mustRecord(t, s, 1, "content"), mustRecord(t, s, 2, "gone")
		if names, err := store.Names(t.Context(), s, "blobs/"); err != nil {
			t.Fatal(err)
		} else {
			for _, name := range names {
				if strings.HasSuffix(name, strings.TrimPrefix(gone.Outputs[0].Digest, "sha256:")) {
					if err := store.Remove(t.Context(), s, name); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		keys := []string{r.Key, gone.Key}
		for i := range store.ListInstead {
			keys = append(keys, fmt.Sprintf("%064x", i))
		}
		found, err := s.LookupMany(t.Context(), keys, t.TempDir())
		if diff := cmp.Diff(map[string]*store.Record{r.Key: r}, found); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

// An empty bucket becomes a store at the first write, once. Objects that another program put there meanwhile are an
// error.
func TestBucketIsMarked(t *testing.T) {
	first := store.Unmarked()
	second, third := store.ShareUnmarked(first), store.ShareUnmarked(first)
	if hit(t, first, strings.Repeat("0", 64)) {
		t.Error("a hit in an empty store")
	}
	if names, err := store.Names(t.Context(), first, ""); err != nil || len(names) != 0 {
		t.Errorf("reading made %q, %v", names, err)
	}
	for i, s := range []*store.Store{first, second, third} {
		begin(t, s, fmt.Sprint("r", i))
		mustRecord(t, s, i, "content", fmt.Sprint("content ", i))
	}
	if got := len(mustRuns(t, first)); got != 3 {
		t.Errorf("%d runs, want 3", got)
	}
	if content, err := store.Content(t.Context(), first, "store.json"); err != nil || strings.TrimSpace(content) != marker {
		t.Errorf("store.json: %q, %v", content, err)
	}
	for _, s := range []*store.Store{first, second, third} {
		if err := s.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for content, want := range map[string]string{`{"layout":3,"kind":"store"}`: "from a newer runner", `{"layout":2,"kind":"cache"}`: "is a cache, not a store"} {
		s := store.Unmarked()
		if err := store.WriteUnmarked(t.Context(), s, "store.json", content); err != nil {
			t.Fatal(err)
		}
		if err := s.PutRun(t.Context(), store.Run{ID: "r"}); protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), want) {
			t.Errorf("PutRun: %v; want an error with %q", err, want)
		}
		if got := held(t, s); len(got) != 1 || got["store.json"] != content {
			t.Errorf("it changed: %v", got)
		}
	}
}

// A run is dropped only if it has no tag and is not in progress. Keep keeps actions that no run refers to.
func TestDropRun(t *testing.T) {
	for _, location := range []string{t.TempDir(), "mem://"} {
		s := open(t, location)
		begin(t, s, "r")
		first, err := record(t.Context(), s, 1, "one")
		if err != nil {
			t.Fatal(err)
		}
		second, err := record(t.Context(), s, 2, "two")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.DropRun(t.Context(), "r"); protocol.KindOf(err) != protocol.InvalidInput || !strings.HasSuffix(err.Error(), "run r is in progress; wait for it") {
			t.Errorf("in progress: %v", err)
		}
		finish(t, s, "r", first.Key, second.Key)
		if err := s.Tag(t.Context(), "t", "r"); err != nil {
			t.Fatal(err)
		}
		if err := s.DropRun(t.Context(), "r"); protocol.KindOf(err) != protocol.InvalidInput || !strings.HasSuffix(err.Error(), `run r has the tag "t"; remove the tag first`) {
			t.Errorf("tagged: %v", err)
		}
		if err := s.Untag(t.Context(), "t"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.DropRun(t.Context(), "r"); err != nil {
				t.Fatal(err)
			}
		}
		if runs, err := s.Runs(t.Context()); err != nil || len(runs) > 0 {
			t.Errorf("left: %v, %v", runs, err)
		}
		if _, err := s.GC(t.Context(), store.GCOptions{Keep: []string{"x"}}); protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("a bad key: %v", err)
		}
		report, err := s.GC(t.Context(), store.GCOptions{Keep: []string{second.Key}})
		if err != nil || report.Records != 1 || report.Blobs != 1 {
			t.Errorf("%+v, %v", report, err)
		}
		if !hit(t, s, second.Key) || hit(t, s, first.Key) {
			t.Error("the wrong action was kept")
		}
	}
}
