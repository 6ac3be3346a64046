package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/store"
)

// open opens a store for the length of a test.
func open(t testing.TB, location string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), location)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func begin(t testing.TB, s *store.Store, id string) {
	t.Helper()
	if err := s.Begin(t.Context(), store.Run{ID: id, Started: time.Now(), State: "running"}); err != nil {
		t.Fatal(err)
	}
}

// finish ends a run that made the given actions.
func finish(t testing.TB, s *store.Store, id string, keys ...string) {
	t.Helper()
	run := store.Run{ID: id, Started: time.Now(), Finished: time.Now(), State: "done"}
	for _, key := range keys {
		run.Actions = append(run.Actions, store.RunAction{Name: "action " + key[:8], Key: key, State: "done"})
	}
	if err := s.PutRun(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	if err := s.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// describe returns a record without outputs; parameters distinguish it from others.
func describe(parameters any) (*store.Record, error) {
	descriptor, err := store.MarshalCanonical(map[string]any{"kind": "test", "schema": 1, "parameters": parameters})
	key := store.KeyOf(descriptor)
	return &store.Record{Key: key, Descriptor: descriptor, Name: "test " + key[:8], Started: time.Now().UTC(), Finished: time.Now().UTC()}, err
}

// record makes and stores an action with one output per content; parameters distinguish it from others.
func record(ctx context.Context, s *store.Store, parameters any, contents ...string) (*store.Record, error) {
	r, err := describe(parameters)
	if err != nil {
		return nil, err
	}
	for i, content := range contents {
		digest, size, err := putContent(ctx, s, content)
		if err != nil {
			return nil, err
		}
		r.Outputs = append(r.Outputs, store.File{Name: fmt.Sprintf("out/%d.txt", i), Digest: digest, Bytes: size})
	}
	return s.PutRecord(ctx, r)
}

func mustRecord(t testing.TB, s *store.Store, parts any, contents ...string) *store.Record {
	t.Helper()
	r, err := record(t.Context(), s, parts, contents...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func hit(t testing.TB, s *store.Store, key string) bool {
	t.Helper()
	_, ok, err := s.Lookup(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// putContent stores a file with the given content.
func putContent(ctx context.Context, s *store.Store, content string) (digest string, size int64, err error) {
	dir, err := os.MkdirTemp("", "store-test-")
	if err != nil {
		return "", 0, err
	}
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		return "", 0, err
	}
	digest, size, err = s.PutFile(ctx, path)
	return digest, size, errors.Join(err, os.RemoveAll(dir))
}

func put(t testing.TB, s *store.Store, content string) string {
	t.Helper()
	digest, _, err := putContent(t.Context(), s, content)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func read(t testing.TB, s *store.Store, digest string) string {
	t.Helper()
	r, err := s.Open(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func verify(t testing.TB, s *store.Store) {
	t.Helper()
	problems, err := s.Verify(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
}

// files lists the files under dir.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return names
}

func TestDirectory(t *testing.T) { testStore(t, open(t, t.TempDir())) }
func TestURL(t *testing.T)       { testStore(t, open(t, "file://"+t.TempDir())) }
func TestMemory(t *testing.T)    { testStore(t, open(t, "mem://")) }

// testStore tests the behavior of every kind of store. The store is empty.
func testStore(t *testing.T, s *store.Store) {
	ctx := t.Context()
	cache := t.TempDir()
	if _, _, err := putContent(ctx, s, "x"); err == nil || !strings.Contains(err.Error(), "needs a lease") {
		t.Errorf("PutFile without a lease: %v", err)
	}
	begin(t, s, "first")

	// A file that is larger than all buffers, through PutFile from a scratch directory.
	scratch, err := s.Scratch(cache)
	if err != nil {
		t.Fatal(err)
	}
	large := make([]byte, 12<<20+7)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(large)
	path := filepath.Join(scratch, "large")
	if err := os.WriteFile(path, large, 0o666); err != nil {
		t.Fatal(err)
	}
	digest, size, err := s.PutFile(ctx, path)
	if err != nil || size != int64(len(large)) {
		t.Fatalf("PutFile: %d bytes, %v", size, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("PutFile left the file: %v", err)
	}
	if got := read(t, s, digest); got != string(large) {
		t.Error("the blob has other content")
	}
	local, err := s.LocalPath(ctx, digest, cache)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(local); err != nil || !bytes.Equal(got, large) {
		t.Errorf("LocalPath has other content: %v", err)
	}
	if again, err := s.LocalPath(ctx, digest, cache); err != nil || again != local {
		t.Errorf("LocalPath again: %s, %v; was %s", again, err, local)
	}
	// A canceled caller publishes nothing.
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := os.WriteFile(path, []byte("late"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.PutFile(gone, path); !errors.Is(err, context.Canceled) {
		t.Errorf("PutFile of a canceled action: %v", err)
	}
	if err := os.RemoveAll(scratch); err != nil {
		t.Fatal(err)
	}

	if a, b := put(t, s, "same"), put(t, s, "same"); a != b {
		t.Errorf("one content has digests %s and %s", a, b)
	}
	if got := read(t, s, put(t, s, "")); got != "" {
		t.Errorf("the empty blob reads %q", got)
	}
	absent := "sha256:" + strings.Repeat("0", 64)
	if _, err := s.Open(ctx, absent); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of an absent blob: %v", err)
	}
	if _, err := s.LocalPath(ctx, absent, cache); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LocalPath of an absent blob: %v", err)
	}

	a, err := describe(map[string]any{"n": 1, "html": "<&>\u2028"})
	if err != nil {
		t.Fatal(err)
	}
	a.Warnings, a.Measured, a.Computed = []string{"slow"}, map[string]float64{"mbps": 1.5}, map[string]string{"device": "cpu"}
	for i, content := range []string{"one", "two"} {
		a.Outputs = append(a.Outputs, store.File{Name: fmt.Sprintf("out/%d.txt", i), Digest: put(t, s, content), Bytes: 3})
	}
	if stored, err := s.PutRecord(ctx, a); err != nil || stored != a {
		t.Fatalf("PutRecord: %v, %v", stored, err)
	}
	if a.Kind() != "test" || a.Schema() != 1 {
		t.Errorf("kind %q, schema %d", a.Kind(), a.Schema())
	}
	testCreateOnly(t, s, a)
	got, ok, err := s.Lookup(ctx, a.Key)
	if err != nil || !ok {
		t.Fatalf("Lookup: %v, %v", ok, err)
	}
	if diff := cmp.Diff(a, got); diff != "" {
		t.Errorf("record changed (-put +got):\n%s", diff)
	}
	for range 2 { // the second time from the facts
		many, err := s.LookupMany(ctx, []string{a.Key, absent[7:]}, cache)
		if diff := cmp.Diff(map[string]*store.Record{a.Key: a}, many); err != nil || diff != "" {
			t.Errorf("LookupMany: %v (-want +got):\n%s", err, diff)
		}
	}
	if _, err := s.GetRecord(ctx, absent[7:]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("GetRecord of an absent key: %v", err)
	}
	finish(t, s, "first", a.Key)

	// "second" shares a blob with "first" and is tagged. Objects that no run refers to are garbage.
	begin(t, s, "second")
	b := mustRecord(t, s, 2, "two", "three")
	finish(t, s, "second", b.Key)
	if err := s.Tag(ctx, "best", "second"); err != nil {
		t.Fatal(err)
	}
	if err := s.Tag(ctx, "best", "third"); protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("Tag of an absent run: %v", err)
	}
	if tags, err := s.Tags(ctx); err != nil || !cmp.Equal(tags, map[string]string{"best": "second"}) {
		t.Errorf("Tags: %v, %v", tags, err)
	}
	verify(t, s)

	dry, err := s.GC(ctx, store.GCOptions{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	want := store.GCReport{Blobs: 5, Bytes: int64(len(large) + len("same") + len("2wo") + len("more"))} // and the empty blob
	if diff := cmp.Diff(want, dry); diff != "" {
		t.Errorf("dry run (-want +got):\n%s", diff)
	}
	if got := read(t, s, digest); got != string(large) {
		t.Error("a dry run removed a blob")
	}
	if freed, err := s.GC(ctx, store.GCOptions{}); err != nil || !cmp.Equal(freed, dry) {
		t.Errorf("gc: %+v, %v; the dry run said %+v", freed, err, dry)
	}
	if _, err := s.Open(ctx, digest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("garbage is still there: %v", err)
	}
	if !hit(t, s, a.Key) || !hit(t, s, b.Key) {
		t.Error("gc removed what runs reach")
	}
	// Dropping old runs keeps the objects that the tag reaches.
	freed, err := s.GC(ctx, store.GCOptions{DropBefore: time.Now()})
	if want := (store.GCReport{Runs: []string{"first"}, Records: 1, Blobs: 1, Bytes: 3}); err != nil || !cmp.Equal(freed, want) {
		t.Errorf("gc: %+v, %v; want %+v", freed, err, want)
	}
	if hit(t, s, a.Key) || !hit(t, s, b.Key) {
		t.Error("gc kept a dropped run or removed a tagged one")
	}
	if runs, err := s.Runs(ctx); err != nil || len(runs) != 1 || runs[0].ID != "second" {
		t.Errorf("Runs: %v, %v", runs, err)
	}
	if err := s.Untag(ctx, "best"); err != nil {
		t.Fatal(err)
	}
	verify(t, s)

	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := s.Export(ctx, b, dir); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "out", "1.txt")); err != nil || string(data) != "three" {
		t.Errorf("exported %q, %v", data, err)
	}
	var Sidecar store.Record
	if data, err := os.ReadFile(filepath.Join(dir, ".artifact")); err != nil || json.Unmarshal(data, &Sidecar) != nil || Sidecar.Key != b.Key {
		t.Errorf(".artifact holds %s, %v", data, err)
	}
	if err := s.Export(ctx, b, dir); protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("export over files: %v", err)
	}
	broken := *b
	broken.Outputs = append(slices.Clone(b.Outputs), store.File{Name: "z", Digest: absent})
	none := filepath.Join(t.TempDir(), "none")
	if err := s.Export(ctx, &broken, none); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("export of an absent blob: %v", err)
	}
	if left := files(t, filepath.Dir(none)); len(left) != 0 {
		t.Errorf("a failed export left %v", left)
	}
}

// testCreateOnly puts another result under the key of a record that is in the store.
func testCreateOnly(t *testing.T, s *store.Store, first *store.Record) {
	second := *first
	second.Outputs = slices.Clone(first.Outputs)
	second.Outputs[1].Digest = put(t, s, "2wo")
	second.Outputs = append(second.Outputs, store.File{Name: "more", Digest: put(t, s, "more"), Bytes: 4})
	stored, err := s.PutRecord(t.Context(), &second)
	if diff := cmp.Diff(first, stored); err != nil || diff != "" {
		t.Errorf("PutRecord of a second result: %v (-first +stored):\n%s", err, diff)
	}
	for _, pair := range [][2]*store.Record{{stored, &second}, {&second, stored}} {
		if got, want := pair[0].Differs(pair[1]), []string{"more", "out/1.txt"}; !slices.Equal(got, want) {
			t.Errorf("the results differ in %v, want %v", got, want)
		}
	}
	if got := first.Differs(stored); len(got) != 0 {
		t.Errorf("equal results differ in %v", got)
	}
	got, err := s.GetRecord(t.Context(), first.Key)
	if diff := cmp.Diff(first, got); err != nil || diff != "" {
		t.Errorf("record changed: %v (-first +got):\n%s", err, diff)
	}
}

// A hit needs every blob; a missing blob is made again.
func TestMissingBlob(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	begin(t, s, "r")
	r := mustRecord(t, s, 1, "one", "two")
	path, err := s.LocalPath(t.Context(), r.Outputs[1].Digest, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if hit(t, s, r.Key) {
		t.Error("a record without its blob is a hit")
	}
	problems, err := s.Verify(t.Context(), nil)
	if err != nil || len(problems) != 1 || !strings.Contains(problems[0].Problem, "out/1.txt") {
		t.Errorf("Verify: %v, %v", problems, err)
	}
	mustRecord(t, s, 1, "one", "two")
	if !hit(t, s, r.Key) {
		t.Error("no hit after making it again")
	}
	verify(t, s)
}

// Damage is reported with its place, the problem and the fix.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var warnings []string
	s.Warn = func(message string) { warnings = append(warnings, message) }
	begin(t, s, "r")
	r := mustRecord(t, s, 1, "content one", "content two", "content three")
	finish(t, s, "r", r.Key)
	if err := s.Tag(t.Context(), "t", "r"); err != nil {
		t.Fatal(err)
	}
	blob := func(i int) string {
		hex := r.Outputs[i].Digest[len("sha256:"):]
		return filepath.Join(dir, "blobs", "sha256", hex[:2], hex)
	}
	recordPath := filepath.Join(dir, "actions", r.Key[:2], r.Key+".json")
	good, err := os.ReadFile(recordPath)
	if err != nil {
		t.Fatal(err)
	}
	overwrite := func(path, content string) {
		t.Helper()
		if err := os.Chmod(path, 0o666); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want ...string) {
		t.Helper()
		problems, err := s.Verify(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range problems {
			got = append(got, p.String())
			if p.Fix == "" {
				t.Errorf("%v: nothing to do", p)
			}
		}
		if len(got) != len(want) {
			t.Errorf("problems %q, want %q", got, want)
			return
		}
		for _, w := range want {
			if !slices.ContainsFunc(got, func(g string) bool { return strings.Contains(g, w) }) {
				t.Errorf("problems %q lack %q", got, w)
			}
		}
	}
	check()

	overwrite(blob(0), "content 0ne") // same size, other bytes
	overwrite(blob(1), "cont")
	check(blob(0)+": its content is sha256:", blob(1)+": its content is sha256:")
	miss := func(want string) {
		t.Helper()
		warnings = nil
		if hit(t, s, r.Key) || len(warnings) != 1 || !strings.Contains(warnings[0], want) {
			t.Errorf("warnings %q, want a miss with %q", warnings, want)
		}
	}
	miss(blob(1) + ": is damaged: it has 4 bytes, not 11; delete it")
	// Putting the right content repairs a truncated blob.
	begin(t, s, "again")
	put(t, s, "content two")
	finish(t, s, "again")
	overwrite(blob(0), "content one")
	check()

	overwrite(recordPath, string(good[:len(good)/2]))
	check(recordPath + ": unexpected end of JSON input")
	miss(recordPath + ": is damaged")
	if _, err := s.GC(t.Context(), store.GCOptions{DryRun: true}); err == nil || !strings.Contains(err.Error(), recordPath+": is damaged: unexpected end") {
		t.Errorf("gc over a damaged record: %v", err)
	}
	overwrite(recordPath, strings.Replace(string(good), `"parameters":1`, `"parameters":2`, 1))
	check("its descriptor hashes to")
	miss(recordPath + ": is damaged: its descriptor hashes to")
	overwrite(recordPath, strings.Replace(string(good), `"out/1.txt"`, `"../../1.txt"`, 1))
	check(`output name "../../1.txt" is not a relative path`)
	overwrite(recordPath, string(good))

	overwrite(filepath.Join(dir, "runs", "r.json"), "{")
	check("runs/r.json: unexpected end of JSON input")
	if _, err := s.GC(t.Context(), store.GCOptions{}); err == nil || !strings.Contains(err.Error(), "runs/r.json: is damaged") {
		t.Errorf("gc over a damaged run: %v", err)
	}
	warnings = nil
	if runs, err := s.Runs(t.Context()); err != nil || len(runs) != 1 || len(warnings) != 1 || !strings.Contains(warnings[0], "runs/r.json: is damaged") {
		t.Errorf("Runs over a damaged run: %v, %v, warnings %q", runs, err, warnings)
	}
	if err := os.Remove(filepath.Join(dir, "runs", "r.json")); err != nil {
		t.Fatal(err)
	}
	check("tags/t.json: refers to run r, which does not exist")
	overwrite(filepath.Join(dir, "tags", "t.json"), `{"run":"../x"}`)
	overwrite(filepath.Join(dir, "blobs", "sha256", "ab", "notes.txt"), "hello")
	overwrite(filepath.Join(dir, "actions", "x.json"), "hello")
	overwrite(filepath.Join(dir, "jobs", "x.json"), "hello")
	overwrite(filepath.Join(dir, "runs", "r", "x"), "")
	overwrite(filepath.Join(dir, "damaged", r.Key), "hello")
	check(`refers to run "../x"`, "notes.txt: is not part of a store", "actions/x.json: is not part of a store", "jobs/x.json: is not part of a store",
		"runs/r/x: is not part of a store", "was moved aside")
}

func TestBadInput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ location, want string }{
		{"", "no location"},
		{file, "is a file; use a directory"},
		{filepath.Join(file, "below"), "a part of the path is a file"},
		{"file://relative", "three slashes"},
		{"ftp://host/x", `unknown scheme "ftp"; use a directory, file://, s3://, gs:// or mem://`},
		{"s3://", "the bucket is missing"},
		{"s3://bucket?nonsense=1", "store s3://bucket: unknown query parameter"},
		{"s3://bucket?prefix=x", "s3://bucket/PREFIX"},
		{"gs://bucket?anonymous=maybe", `store gs://bucket: invalid value "..." for query parameter`},
		{"s3://%zz", "not a URL"},
		{"s3://AKIA:SeKrEt@bucket/x", `store "s3://...": the URL has credentials`},
		{"s3://AKIA:SeK/rEt@bucket/x", `store "s3://...": not a URL (invalid port`},
		{"s3://AKIA:12/SeKrEt@bucket/x", `store "s3://...": the URL has credentials or a port`},
		{"s3://AKIA:SeK rEt@bucket/x", `store "s3://...": not a URL`},
		{"s3://AKIA:%SeKrEt@bucket/x", `store "s3://...": not a URL (invalid URL escape "..."`},
		{"s3:///AKIA:SeKrEt@bucket", "store s3://...: the bucket is missing"},
		{"S3://AKIA:SeKrEt@bucket", `store "S3://...": the URL has credentials`},
		{" s3://AKIA:SeKrEt@bucket", `store " s3://...": not a URL`},
		{"ftp://bucket/x?secret=SeKrEt", `store ftp://...: unknown scheme "ftp"`},
		{"s3://bucket/x?secret=SeKrEt", "store s3://bucket: unknown query parameter"},
		{"s3://bucket/x?SeKrEt", "store s3://bucket: unknown query parameter"},
		{"s3://bucket/x?role=SeKrEt", "store s3://bucket: invalid value for role"},
		{"s3://bucket/x?prefix=SeKrEt", "s3://bucket/PREFIX"},
		{"gs://bucket/x?SeKrEt=1", "store gs://bucket: invalid query parameter"},
		{"mem://bucket/x?SeKrEt=1", "store mem://bucket: invalid query parameter"},
		{"s3:/AKIA:SeKrEt@bucket/x", "store ...: a URL begins with s3://"},
		{"ftp:/AKIA:SeKrEt@bucket/x", `store ...: a URL has "://" after its scheme`},
		{"AKIA:SeKrEt@bucket/x", `store ...: a URL has "://" after its scheme`},
		{"file://AKIA:SeKrEt@bucket/x", "store file://...: a file URL has three slashes"},
	} {
		t.Setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:1")
		s, err := store.Open(t.Context(), c.location)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "Se") || strings.Contains(err.Error(), "rEt") {
			t.Errorf("Open(%q) = %v, %v; want an error with %q", c.location, s, err, c.want)
		}
	}
	s := open(t, t.TempDir())
	for _, id := range []string{"", "..", "a/b", "-x", "é", strings.Repeat("x", 129)} {
		if err := s.Begin(t.Context(), store.Run{ID: id}); protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("Begin(%q): %v", id, err)
		}
	}
	begin(t, s, "r")
	if err := s.Begin(t.Context(), store.Run{ID: "r2"}); err == nil || !strings.Contains(err.Error(), "has already begun") {
		t.Errorf("Begin twice: %v", err)
	}
	if err := open(t, s.String()).Begin(t.Context(), store.Run{ID: "r"}); err == nil || !strings.Contains(err.Error(), "already in progress") {
		t.Errorf("Begin of a working run: %v", err)
	}
	if _, err := s.Open(t.Context(), "sha256:../../etc"); protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("Open of a bad digest: %v", err)
	}
	if _, _, err := s.PutFile(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("PutFile of a directory: %v", err)
	}
	digest := put(t, s, "x")
	valid := func(name string) *store.Record {
		r, err := describe(name)
		if err != nil {
			t.Fatal(err)
		}
		r.Outputs = []store.File{{Name: name, Digest: digest, Bytes: 1}}
		return r
	}
	for _, c := range []struct {
		want   string
		change func(*store.Record)
	}{
		{"hashes to", func(r *store.Record) { r.Descriptor = []byte(`{"kind":"k","schema":1}`) }},
		{"not in canonical form", func(r *store.Record) { r.Descriptor = append(r.Descriptor, ' ') }},
		{`"kind" is missing`, func(r *store.Record) {
			r.Descriptor = []byte(`{"schema":1}`)
			r.Key = store.KeyOf(r.Descriptor)
		}},
		{`"schema" is missing`, func(r *store.Record) {
			r.Descriptor = []byte(`{"kind":"k"}`)
			r.Key = store.KeyOf(r.Descriptor)
		}},
		{"its descriptor: ", func(r *store.Record) {
			r.Descriptor = []byte(`"text"`)
			r.Key = store.KeyOf(r.Descriptor)
		}},
		{"two outputs are named", func(r *store.Record) { r.Outputs = append(r.Outputs, r.Outputs[0]) }},
		{"is inside output", func(r *store.Record) {
			r.Outputs = append(r.Outputs, store.File{Name: "a/b", Digest: digest, Bytes: 1})
		}},
		{"not a relative path", func(r *store.Record) { r.Outputs[0].Name = "/etc/x" }},
		{"not a relative path", func(r *store.Record) { r.Outputs[0].Name = "a/../../x" }},
		{"not a relative path", func(r *store.Record) { r.Outputs[0].Name = ".artifact" }},
		{"put it first", func(r *store.Record) { r.Outputs[0].Digest = "sha256:" + strings.Repeat("0", 64) }},
		{"has 1 bytes, not 2", func(r *store.Record) { r.Outputs[0].Bytes = 2 }},
	} {
		r := valid("a")
		c.change(r)
		if _, err := s.PutRecord(t.Context(), r); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("PutRecord: %v; want an error with %q", err, c.want)
		}
	}
	verify(t, s)
}

func BenchmarkLookup(b *testing.B) {
	s := open(b, b.TempDir())
	begin(b, s, "r")
	var keys []string
	for i := range 1000 {
		contents := make([]string, 4)
		for j := range contents {
			contents[j] = fmt.Sprintf("content %d of %d", j, i)
		}
		keys = append(keys, mustRecord(b, s, i, contents...).Key)
	}
	for b.Loop() {
		for _, key := range keys {
			if !hit(b, s, key) {
				b.Fatal("no hit")
			}
		}
	}
}
