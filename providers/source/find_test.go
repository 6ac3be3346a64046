package source

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/blob/memblob"

	"surprisal.dev/plugins/digests"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/providers/source/sourcetest"
)

// whole is the smallest Format: a row is a file.
type whole struct{ Location }

func (whole) Parameters() any { return struct{}{} }

func (whole) Reader([]string) (Reader, error) {
	return func(f *File, rows *Rows) error {
		content, err := f.Content()
		if err != nil {
			return err
		}
		defer content.Close()
		text, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		return rows.Emit([][]byte{text})
	}, nil
}

func newWhole() sdk.Provider {
	return New(Format{Parse: func(raw json.RawMessage) (Config, error) {
		var c whole
		err := Decode(raw, &c)
		return c, err
	}})
}

func pathConfig(t testing.TB, path string) string {
	t.Helper()
	config, err := json.Marshal(map[string]string{"path": path})
	if err != nil {
		t.Fatal(err)
	}
	return string(config)
}

func TestPathsThatMatch(t *testing.T) {
	dir := sourcetest.Folder(t, map[string]string{
		"a.txt": "", "b-1.txt": "", "b-2.txt": "", "star*.txt": "", "starry.txt": "", "[x]/q?.txt": "", "[x]/qq.txt": "",
		"sub/a.txt": "", "sub/deep/.hidden.txt": "", "sub/deep/c.txt": "", "sub/Z.txt": "", "sub/z.md": "",
		".surprisal/runs/1/log.txt": "", "sub/.surprisal/c.txt": "", "sub/deep/not.surprisal.txt": "",
	})
	for link, target := range map[string]string{"sub/link.txt": "../a.txt", "sub/cycle": "../sub", "linked": "sub"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		path string
		want []string
	}{
		{"a.txt", []string{"a.txt"}},
		{"./sub/../sub/a.txt", []string{"a.txt"}},
		{dir + "/sub/a.txt", []string{"a.txt"}},
		{"file://" + dir + "/sub/%61.txt", []string{"a.txt"}},
		{"b-*.txt", []string{"b-1.txt", "b-2.txt"}},
		{"b-[2-9].txt", []string{"b-2.txt"}},
		{"{b-2,a,b-2,b-?}.txt", []string{"a.txt", "b-1.txt", "b-2.txt"}},
		{"star*.txt", []string{"star*.txt"}}, // it exists as it stands
		{`star\*.txt`, []string{"star*.txt"}},
		{`\[x\]/q?.*`, []string{"q?.txt", "qq.txt"}},
		{"sub/*.txt", []string{"Z.txt", "a.txt", "link.txt"}},
		{"sub/**/*.txt", []string{"Z.txt", "a.txt", "deep/.hidden.txt", "deep/c.txt", "deep/not.surprisal.txt", "link.txt"}},
		{"sub/**/**/c.txt", []string{"deep/c.txt"}}, // likewise what is found in two ways
		{"linked/**/c.txt", []string{"deep/c.txt"}},
		{"s*/deep/c.txt", []string{"sub/deep/c.txt"}},
		{"sub/deep/**", []string{".hidden.txt", "c.txt", "not.surprisal.txt"}},
		{"**/**/c.txt", []string{"sub/deep/c.txt"}}, // a file that matches twice is read once
		{"{**/c.txt,sub/deep/c*}", []string{"sub/deep/c.txt"}},
		{".surprisal/runs/*/log.txt", []string{"1/log.txt"}}, // whoever names the state means it
		{"{.,sub}/{.surprisal,deep}/c.txt", []string{"sub/deep/c.txt"}},
	}
	for _, test := range tests {
		resolution, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: sourcetest.Source(dir, pathConfig(t, test.path))})
		if err != nil {
			t.Errorf("%s: %v", test.path, err)
			continue
		}
		var got []string
		for _, f := range resolution.Files {
			got = append(got, f.Name)
		}
		if diff := cmp.Diff(test.want, got); diff != "" || !resolution.Local {
			t.Errorf("%s: local %v (-want +got):\n%s", test.path, resolution.Local, diff)
		}
	}
}

func TestPathsThatDoNot(t *testing.T) {
	dir := sourcetest.Folder(t, map[string]string{"train.txt": "", "valid.txt": "", "data/a.txt": ""})
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"dangling": "gone.txt", "self": "self"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		path, want string
		kind       protocol.ErrorKind
	}{
		{"trian.txt", `no file "trian.txt" under ` + dir + `, which holds "train.txt", `, protocol.InvalidInput},
		{"dta/deeper/a.txt", `no directory "dta" under ` + dir + `, which holds "data", `, protocol.InvalidInput},
		{"dta/*.txt", `no directory "dta" under ` + dir + `, which holds "data", `, protocol.InvalidInput},
		{"train.txt/a", dir + "/train.txt is a file, not a directory", protocol.InvalidInput},
		{"train.txt/*", dir + "/train.txt: not a directory", protocol.InvalidInput},
		{"empty/a.txt", `no file "a.txt" under ` + dir + `/empty, which is empty`, protocol.InvalidInput},
		{"data/*.tx", `no file under ` + dir + `/data matches, which holds "a.txt"; check the glob`, protocol.InvalidInput},
		{"data", `path "data" is a directory; name the files in it, as in "data/**"`, protocol.InvalidInput},
		{"data/[a", "not a glob", protocol.InvalidInput},
		{"Train.txt", `; did you mean "train.txt"?`, protocol.InvalidInput},
		{"gone\x1b\u202e", `no file "gone\x1b\u202e" under`, protocol.InvalidInput},
		{".surprisal/*", `no directory ".surprisal" under`, protocol.InvalidInput},
		{"dangling", `dangling leads to "gone.txt", which does not exist`, protocol.InvalidInput},
		{"dangl*", "dangling: no such file or directory", protocol.InvalidInput},
		{"self", "self: too many levels of symbolic links", protocol.InvalidInput},
		{"pipe", "pipe: it is not a regular file (p", protocol.InvalidInput},
		{"hdfs://a/b", `scheme "hdfs" is not known; schemes are file, gs and s3`, protocol.InvalidInput},
		{"file://host/a", `want "file:///" and an absolute path`, protocol.InvalidInput},
		{"s3://bucket/a.txt", "is remote; run `runner pin`", protocol.NeedsNetwork},
		{"gs://bucket/**/*.jsonl", "is remote; run `runner pin`", protocol.NeedsNetwork},
	}
	for _, test := range tests {
		_, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: sourcetest.Source(dir, pathConfig(t, test.path))})
		if err == nil || !strings.Contains(err.Error(), test.want) || protocol.KindOf(err) != test.kind || err.Error() != protocol.Visible(err.Error()) {
			t.Errorf("%s: error %v of kind %q; want one of kind %q with %q", test.path, err, protocol.KindOf(err), test.kind, test.want)
		}
	}
	for _, path := range []string{"s3://", "s3://bucket", "s3://bucket/", "gs://bucket/folder/"} {
		_, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{
			Source: sourcetest.Source(dir, pathConfig(t, path)), Network: true})
		if err == nil || !strings.Contains(err.Error(), "BUCKET/KEY") || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s: error %v", path, err)
		}
	}
}

// A spec may be a stranger's: package bucket says what its URLs must not.
func TestOptionsOfSpecs(t *testing.T) {
	for path, want := range map[string]string{
		"s3://bucket/a?profile=work":                        `s3://bucket: the option "profile" is not allowed in a spec`,
		"s3://bucket/a?region=eu&endpoint=http://evil.test": "the spec names the endpoint http://evil.test, and your credentials would go there",
		"gs://bucket/a?private_key_path=/etc/passwd":        `the option "private_key_path" is not allowed in a spec`,
	} {
		_, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: sourcetest.Source("", pathConfig(t, path)), Network: true})
		if err == nil || !strings.Contains(err.Error(), want) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s: error %v of kind %q; want one of invalid input with %q", path, err, protocol.KindOf(err), want)
		}
	}
}

func TestUnreadable(t *testing.T) {
	err := unreadable("/x/a.txt", &fs.PathError{Op: "open", Path: "a.txt", Err: fs.ErrPermission})
	if want := "cannot read /x/a.txt: permission denied"; err.Error() != want || protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("error %v; want %q", err, want)
	}
}

func TestSHA256(t *testing.T) {
	const hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" // of "hello", by sha256sum
	const help = "106a5842fc5fce6f663176285ed1516dbb1e3d15c05abab12fdca46d60b539b7"
	dir := sourcetest.Folder(t, map[string]string{"a.txt": "hello", "b.txt": "help"})
	resolve := func(path, sha256 string) (protocol.Resolution, error) {
		config, err := json.Marshal(map[string]string{"path": path, "sha256": sha256})
		if err != nil {
			t.Fatal(err)
		}
		return newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: sourcetest.Source(dir, string(config))})
	}
	got, err := resolve("a.txt", hello)
	if err != nil {
		t.Fatal(err)
	}
	want := protocol.Resolution{Parameters: json.RawMessage("{}"), Local: true,
		Files: []protocol.File{{Name: "a.txt", Digest: "sha256:" + hello, Bytes: 5}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, test := range []struct{ path, sha256, want string }{
		{"b.txt", hello, "b.txt: its sha256 is " + help},
		{"b.txt", hello, "and the spec wants " + hello + "; get the file again, or correct the spec"},
		{"?.txt", hello, `path "?.txt" matches 2 files, and sha256 pins one`},
		{"a.txt", "2CF2", `sha256 "2CF2": want the 64 lower-case hexadecimal digits`},
	} {
		_, err := resolve(test.path, test.sha256)
		if err == nil || !strings.Contains(err.Error(), test.want) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s with sha256 %s: error %v; want %q", test.path, test.sha256, err, test.want)
		}
	}
}

func TestReadNoticesChanges(t *testing.T) {
	tests := []struct {
		name   string
		change func(dir string) error
		want   string
	}{
		{"content", func(dir string) error { return os.WriteFile(dir+"/b.txt", []byte("B"), 0o644) }, "b.txt: the plan was made with sha256:"},
		{"a file more", func(dir string) error { return os.WriteFile(dir+"/c.txt", nil, 0o644) },
			`made with the files "a.txt", "b.txt", and now they are "a.txt", "b.txt", "c.txt"; plan again`},
		{"a file less", func(dir string) error { return os.Remove(dir + "/a.txt") },
			`made with the files "a.txt", "b.txt", and now they are "b.txt"`},
		{"another name", func(dir string) error { return os.Rename(dir+"/a.txt", dir+"/A.txt") }, `now they are "A.txt", "b.txt"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := sourcetest.Folder(t, map[string]string{"a.txt": "a", "b.txt": "b"})
			s := sourcetest.Source(dir, `{"path": "*.txt"}`)
			pinned, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: s})
			if err != nil {
				t.Fatal(err)
			}
			if err := test.change(dir); err != nil {
				t.Fatal(err)
			}
			_, err = sourcetest.ReadPinned(t, newWhole(), s, pinned, 0, 0, "text")
			if err == nil || !strings.Contains(err.Error(), test.want) || protocol.KindOf(err) != protocol.Changed {
				t.Errorf("error %v of kind %q; want one of kind changed with %q", err, protocol.KindOf(err), test.want)
			}
		})
	}
}

// What lies behind the wanted rows is neither read nor checked.
func TestReadStopsAtTo(t *testing.T) {
	dir := sourcetest.Folder(t, map[string]string{"a.txt": "a", "b.txt": "b"})
	s := sourcetest.Source(dir, `{"path": "*.txt"}`)
	pinned, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: s})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/b.txt", []byte("B"), 0o644); err != nil {
		t.Fatal(err)
	}
	if rows, err := sourcetest.ReadPinned(t, newWhole(), s, pinned, 0, 1, "text"); err != nil || len(rows) != 1 {
		t.Errorf("rows %v, error %v", rows, err)
	}
}

func TestReadNoticesAWriteInBetween(t *testing.T) {
	for name, content := range map[string]string{"longer": "longer", "as long": "b"} {
		t.Run(name, func(t *testing.T) {
			dir := sourcetest.Folder(t, map[string]string{"a.txt": "a"})
			path := filepath.Join(dir, "a.txt")
			s := sourcetest.Source(dir, `{"path": "a.txt"}`)
			pinned, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: s})
			if err != nil {
				t.Fatal(err)
			}
			err = newWhole().Read(t.Context(), protocol.ReadRequest{Source: s, Pinned: pinned, Fields: []string{"text"}}, func(protocol.Row) error {
				later := time.Now().Add(time.Second) // the clock of a file system may be coarse
				return errors.Join(os.WriteFile(path, []byte(content), 0o644), os.Chtimes(path, later, later))
			})
			if protocol.KindOf(err) != protocol.Changed || !strings.Contains(err.Error(), "changed while it was read") {
				t.Errorf("error %v of kind %q", err, protocol.KindOf(err))
			}
		})
	}
}

// TestHashingStops would read a file of 1 TiB, all holes, to its end if hashing did not look at its context.
func TestHashingStops(t *testing.T) {
	dir := sourcetest.Folder(t, map[string]string{"a.txt": ""})
	if err := os.Truncate(filepath.Join(dir, "a.txt"), 1<<40); err != nil {
		t.Skip(err)
	}
	s := sourcetest.Source(dir, `{"path": "a.txt"}`)
	pinned := protocol.Resolution{Files: []protocol.File{{Name: "a.txt", Digest: protocol.Digest(nil)}}}
	for name, work := range map[string]func(context.Context) error{
		"resolve": func(ctx context.Context) error {
			_, err := newWhole().Resolve(ctx, protocol.ResolveRequest{Source: s})
			return err
		},
		"read": func(ctx context.Context) error {
			return newWhole().Read(ctx, protocol.ReadRequest{Source: s, Pinned: pinned, Fields: []string{"text"}}, nil)
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		stop := time.AfterFunc(20*time.Millisecond, cancel)
		if err := work(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v", name, err)
		}
		stop.Stop()
		cancel()
	}
}

// openFiles counts the open files of this process.
func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(list)
}

// However a reading ends, its files are closed.
func TestFilesAreClosed(t *testing.T) {
	dir := sourcetest.Folder(t, map[string]string{"a.txt": "a", "b.txt": "b", "bad.txt.gz": "\x1f\x8bdamaged", "utf16.txt": "\xff\xfea\x00"})
	before := openFiles(t)
	for range 50 {
		s := sourcetest.Source(dir, `{"path": "?.txt"}`)
		pinned, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: s})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sourcetest.ReadPinned(t, newWhole(), s, pinned, 0, 0, "text"); err != nil {
			t.Fatal(err)
		}
		if _, err := sourcetest.ReadPinned(t, newWhole(), s, pinned, 0, 1, "text"); err != nil {
			t.Fatal(err)
		}
		stop := errors.New("stop")
		if err := newWhole().Read(t.Context(), protocol.ReadRequest{Source: s, Pinned: pinned, Fields: []string{"text"}},
			func(protocol.Row) error { return stop }); !errors.Is(err, stop) {
			t.Fatal(err)
		}
		pinned.Files[0].Digest = protocol.Digest([]byte("other"))
		if _, err := sourcetest.ReadPinned(t, newWhole(), s, pinned, 0, 0, "text"); protocol.KindOf(err) != protocol.Changed {
			t.Fatal(err)
		}
		for _, name := range []string{"bad.txt.gz", "utf16.txt"} {
			if _, err := sourcetest.Read(t, newWhole(), sourcetest.Source(dir, pathConfig(t, name)), 0, 0, "text"); protocol.KindOf(err) != protocol.InvalidInput {
				t.Fatal(err)
			}
		}
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d files are open, %d were before", after, before)
	}
}

// Digests are remembered where the runner says, and written where it allows that.
func TestRememberedDigests(t *testing.T) {
	t.Parallel()
	dir, state := sourcetest.Folder(t, map[string]string{"a.txt": "a"}), t.TempDir()
	time.Sleep(2100 * time.Millisecond) // a file has to settle
	resolve := func(readOnly bool) string {
		r, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{
			Source: sourcetest.Source(dir, `{"path": "a.txt"}`), Cache: state, CacheReadOnly: readOnly})
		if err != nil {
			t.Fatal(err)
		}
		return r.Files[0].Digest
	}
	want := protocol.Digest([]byte("a"))
	if got := resolve(true); got != want {
		t.Errorf("digest %s, wanted %s", got, want)
	}
	if list, err := os.ReadDir(state); err != nil || len(list) > 0 {
		t.Errorf("a directory for reading holds %v, %v", list, err)
	}
	resolve(false)
	kept := filepath.Join(state, "digests.json")
	data, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(kept, []byte(strings.ReplaceAll(string(data), want, "remembered")), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := resolve(true); got != "remembered" {
		t.Errorf("the file was read again: %s", got)
	}
}

// Remembering digests only saves time: where they cannot be saved, for example on a full disk, files are resolved all the
// same.
func TestUnsavedDigests(t *testing.T) {
	t.Parallel()
	dir, state := sourcetest.Folder(t, map[string]string{"a.txt": "a"}), t.TempDir()
	// No file can take the place of a directory.
	if err := os.Mkdir(filepath.Join(state, "digests.json"), 0o755); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2100 * time.Millisecond) // a file has to settle
	r, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: sourcetest.Source(dir, `{"path": "a.txt"}`), Cache: state})
	if err != nil || r.Files[0].Digest != protocol.Digest([]byte("a")) {
		t.Errorf("resolved %+v, %v", r, err)
	}
}

// pair is a Format whose one row has two values of 40 MiB.
type pair struct{ whole }

func (pair) Reader([]string) (Reader, error) {
	value := make([]byte, 40<<20)
	return func(_ *File, rows *Rows) error { return rows.Emit([][]byte{value, value}) }, nil
}

func TestRowOfManyLongFields(t *testing.T) {
	p := New(Format{Parse: func(raw json.RawMessage) (Config, error) {
		var c pair
		err := Decode(raw, &c)
		return c, err
	}})
	rows, err := sourcetest.Read(t, p, sourcetest.Source(sourcetest.Folder(t, map[string]string{"a": ""}), `{"path": "a"}`), 0, 0, "x", "y")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"0 a:0 !the row has 83886080 bytes in its fields; at most 67108864 are allowed"}
	if diff := cmp.Diff(want, sourcetest.Format(rows)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRangesThatAreNone(t *testing.T) {
	s := sourcetest.Source(sourcetest.Folder(t, map[string]string{"a.txt": "a"}), `{"path": "a.txt"}`)
	for _, r := range [][2]int64{{-1, 0}, {0, -1}, {3, 2}} {
		if _, err := sourcetest.Read(t, newWhole(), s, r[0], r[1], "text"); protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("rows %v: error %v", r, err)
		}
	}
}

func TestCancelledContext(t *testing.T) {
	s := sourcetest.Source(sourcetest.Folder(t, map[string]string{"a.txt": "a", "b.txt": "b"}), `{"path": "*.txt"}`)
	pinned, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: s})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rows := 0
	err = newWhole().Read(ctx, protocol.ReadRequest{Source: s, Pinned: pinned, Fields: []string{"text"}}, func(protocol.Row) error {
		rows++
		cancel()
		return nil
	})
	if !errors.Is(err, ctx.Err()) || err == nil || rows != 1 {
		t.Errorf("error %v after %d rows", err, rows)
	}
	if _, err := newWhole().Resolve(ctx, protocol.ResolveRequest{Source: s}); !errors.Is(err, ctx.Err()) {
		t.Errorf("Resolve returned %v", err)
	}
}

// TestObjects lists, hashes and opens objects through the same code as s3:// and gs://, in a bucket in memory.
func TestObjects(t *testing.T) {
	bucket := memblob.OpenBucket(nil)
	defer bucket.Close()
	for key, content := range map[string]string{"in/b.txt": "bee", "in/a/c.txt": "sea", "in/a/": "", "in/x.md": "", "other/[1].txt": "one", "top.txt": ""} {
		if err := bucket.WriteAll(t.Context(), key, []byte(content), nil); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		key  string
		want []string
	}{
		{"in/b.txt", []string{"b.txt"}},
		{"in/**/*.txt", []string{"a/c.txt", "b.txt"}},
		{"in/*.{md,txt}", []string{"b.txt", "x.md"}},
		{"other/[1].txt", []string{"[1].txt"}},
		{`other/\[*`, []string{"[1].txt"}},
		{"*", []string{"top.txt"}},
	}
	for _, test := range tests {
		s := &set{bucket: bucket}
		if err := s.list(t.Context(), "mem://bucket/", test.key); err != nil {
			t.Errorf("%s: %v", test.key, err)
			continue
		}
		var got []string
		for _, e := range s.entries {
			got = append(got, e.name)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.key, diff)
		}
	}

	for key, want := range map[string]string{
		"in/z.txt":  `path "mem://bucket/in/z.txt": no object matches; under mem://bucket/in/ there are "b.txt", `,
		"nothing/*": "under mem://bucket/nothing/ there are none",
		"in/[":      "not a glob",
	} {
		err := (&set{bucket: bucket}).list(t.Context(), "mem://bucket/", key)
		if err == nil || !strings.Contains(err.Error(), want) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s: error %v; want %q", key, err, want)
		}
	}

	s := &set{bucket: bucket}
	if err := s.list(t.Context(), "mem://bucket/", "in/b.txt"); err != nil {
		t.Fatal(err)
	}
	files, err := s.resolve(t.Context(), Location{}, digests.New())
	if err != nil {
		t.Fatal(err)
	}
	compressed := &set{bucket: bucket}
	if err := bucket.WriteAll(t.Context(), "in/b.gz", append([]byte{0x1f, 0x8b}, make([]byte, 2*headBytes)...), nil); err != nil {
		t.Fatal(err)
	}
	if err := compressed.list(t.Context(), "mem://bucket/", "in/b.gz"); err != nil {
		t.Fatal(err)
	}
	if files, err := compressed.resolve(t.Context(), Location{}, digests.New()); err != nil || !files[0].Compressed || files[0].Bytes != 2*headBytes+2 {
		t.Errorf("files %v, error %v; want a compressed one", files, err)
	}
	if want := []protocol.File{{Name: "b.txt", Digest: protocol.Digest([]byte("bee")), Bytes: 3}}; !cmp.Equal(want, files) {
		t.Errorf("files are %v; want %v", files, want)
	}
	f, err := s.entries[0].open(t.Context(), files[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.file.Close()
	content, err := f.Content()
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(content); err != nil || string(text) != "bee" {
		t.Errorf("content %q, error %v", text, err)
	}
	if _, err := os.Stat(f.file.Name()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the temporary file %s has a name: %v", f.file.Name(), err)
	}
	if err := bucket.WriteAll(t.Context(), "in/b.txt", []byte("wasp"), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.entries[0].open(t.Context(), files[0].Digest); protocol.KindOf(err) != protocol.Changed {
		t.Errorf("opening a changed object: %v", err)
	}
	if err := bucket.Delete(t.Context(), "in/b.txt"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.resolve(t.Context(), Location{}, digests.New()); protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("hashing a deleted object: %v", err)
	}
}
