package source

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/blob/memblob"

	"surprisal.dev/plugins/bucket"
	"surprisal.dev/plugins/digests"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/providers/source/sourcetest"
)

// whole is the smallest Format: a row is a file.
type whole struct{ Location }

func (whole) Parameters() any { return struct{}{} }

func (whole) Reader([]Field) (Reader, error) {
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
	dir := sourcetest.Dir(t, map[string]string{
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
		{"star*.txt", []string{"star*.txt"}}, // it exists literally
		{`star\*.txt`, []string{"star*.txt"}},
		{`\[x\]/q?.*`, []string{"q?.txt", "qq.txt"}},
		{"sub/*.txt", []string{"Z.txt", "a.txt", "link.txt"}},
		{"sub/**/*.txt", []string{"Z.txt", "a.txt", "deep/.hidden.txt", "deep/c.txt", "deep/not.surprisal.txt", "link.txt"}},
		{"sub/**/**/c.txt", []string{"deep/c.txt"}}, // also if it is found in two ways
		{"linked/**/c.txt", []string{"deep/c.txt"}},
		{"s*/deep/c.txt", []string{"sub/deep/c.txt"}},
		{"sub/deep/**", []string{".hidden.txt", "c.txt", "not.surprisal.txt"}},
		{"**/**/c.txt", []string{"sub/deep/c.txt"}}, // a file that matches twice is read once
		{"{**/c.txt,sub/deep/c*}", []string{"sub/deep/c.txt"}},
		{".surprisal/runs/*/log.txt", []string{"1/log.txt"}}, // the state can be named explicitly
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
	dir := sourcetest.Dir(t, map[string]string{"train.txt": "", "valid.txt": "", "data/a.txt": ""})
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
		{"trian.txt", `no file "trian.txt" under ` + dir + `, which contains "train.txt", `, protocol.InvalidInput},
		{"dta/deeper/a.txt", `no directory "dta" under ` + dir + `, which contains "data", `, protocol.InvalidInput},
		{"dta/*.txt", `no directory "dta" under ` + dir + `, which contains "data", `, protocol.InvalidInput},
		{"train.txt/a", dir + "/train.txt is a file, not a directory", protocol.InvalidInput},
		{"train.txt/*", dir + "/train.txt: not a directory", protocol.InvalidInput},
		{"empty/a.txt", `no file "a.txt" under ` + dir + `/empty, which is empty`, protocol.InvalidInput},
		{"data/*.tx", `no file under ` + dir + `/data matches, which contains "a.txt"; check the glob`, protocol.InvalidInput},
		{"data", `path "data" is a directory; name the files in it, as in "data/**"`, protocol.InvalidInput},
		{"data/[a", "not a glob", protocol.InvalidInput},
		{"Train.txt", `; did you mean "train.txt"?`, protocol.InvalidInput},
		{"gone\x1b\u202e", `no file "gone\x1b\u202e" under`, protocol.InvalidInput},
		{".surprisal/*", `no directory ".surprisal" under`, protocol.InvalidInput},
		{"dangling", `dangling leads to "gone.txt", which does not exist`, protocol.InvalidInput},
		{"dangling/deeper/a.txt", `dangling leads to "gone.txt", which does not exist`, protocol.InvalidInput},
		{"dangling/*.txt", `dangling leads to "gone.txt", which does not exist`, protocol.InvalidInput},
		{"dangl*", "dangling: no such file or directory", protocol.InvalidInput},
		{"self", "self: too many levels of symbolic links", protocol.InvalidInput},
		{"pipe", "pipe: it is not a regular file (p", protocol.InvalidInput},
		{"hdfs://a/b", `unknown scheme "hdfs"; schemes are file, gs and s3`, protocol.InvalidInput},
		{"file://host/a", `expected "file:///" and an absolute path`, protocol.InvalidInput},
		{"s3://bucket/a.txt", "is remote; run `runner pin`", protocol.NeedsNetwork},
		{"gs://bucket/**/*.jsonl", "is remote; run `runner pin`", protocol.NeedsNetwork},
	}
	for _, test := range tests {
		_, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: sourcetest.Source(dir, pathConfig(t, test.path))})
		if err == nil || !strings.Contains(err.Error(), test.want) || protocol.KindOf(err) != test.kind || err.Error() != protocol.Visible(err.Error()) {
			t.Errorf("%s: error %v of kind %q; want one of kind %q with %q", test.path, err, protocol.KindOf(err), test.kind, test.want)
		}
	}
	for _, path := range []string{"s3://", "s3://bucket", "s3://bucket/", "gs://bucket/directory/"} {
		_, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{
			Source: sourcetest.Source(dir, pathConfig(t, path)), Network: true})
		if err == nil || !strings.Contains(err.Error(), "BUCKET/KEY") || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s: error %v", path, err)
		}
	}
}

// A spec may be untrusted: package bucket rejects options in its URLs.
func TestOptionsOfSpecs(t *testing.T) {
	for path, want := range map[string]string{
		"s3://bucket/a?profile=work":                        `s3://bucket: an option is not allowed in a spec`,
		"s3://bucket/a?region=eu&endpoint=http://evil.test": "the spec names the endpoint http://evil.test, and your credentials would go there",
		"gs://bucket/a?private_key_path=/etc/passwd":        `an option is not allowed in a spec`,
	} {
		_, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: sourcetest.Source("", pathConfig(t, path)), Network: true})
		if err == nil || !strings.Contains(err.Error(), want) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s: error %v of kind %q; want one of invalid input with %q", path, err, protocol.KindOf(err), want)
		}
	}
}

// A path is printed without what may be credentials in a URL, whether it names a bucket or not.
func TestSecretPaths(t *testing.T) {
	dir := sourcetest.Dir(t, map[string]string{"a:b@c.txt": "hello"})
	for path, want := range map[string]string{
		"https://AKIA:SeKrEt@bucket.s3.amazonaws.com/key": `path "https://...": unknown scheme "https"; schemes are file, gs and s3`,
		"https://bucket/key?X-Amz-Signature=SeKrEt":       `path "https://...": unknown scheme "https"`,
		"S3://AKIA:SeKrEt@bucket/key":                     `path "S3://...": unknown scheme "S3"`,
		"my s3://AKIA:SeKrEt@bucket/key":                  `path "...": unknown scheme "my s3"`,
		"AKIA:SeKrEt@s3://bucket/key":                     `path "...": unknown scheme "..."`,
		"file://AKIA:SeKrEt@bucket/key":                   `path "file://...": expected "file:///"`,
		"s3:/AKIA:SeKrEt@bucket/key":                      `path "...": cannot read such files; if it is a URL, use s3://BUCKET/KEY`,
		"s3//AKIA:SeKrEt@bucket/key":                      `path "...": cannot read such files`,
		"AKIA:SeKrEt@bucket/key":                          `path "...": cannot read such files`,
		"AKIA:SeKrEt@bucket/*":                            `path "...": cannot read such files`,
		"AKIA:SeKrEt@bucket*":                             `path "...": cannot read such files`,
		"s3://AKIA:SeKrEt/bucket/key":                     "s3://...: invalid bucket name",
		"s3://bucket/AKIA:SeKrEt@b/key":                   `path "s3://..." is remote`,
	} {
		_, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: sourcetest.Source(dir, pathConfig(t, path))})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "SeK") {
			t.Errorf("%s: error %v; want one with %q", path, err, want)
		}
	}
	r, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: sourcetest.Source(dir, pathConfig(t, "a:b@?.txt"))})
	if err != nil || len(r.Files) != 1 {
		t.Errorf("a file: %+v, %v", r, err)
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
	dir := sourcetest.Dir(t, map[string]string{"a.txt": "hello", "b.txt": "help"})
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
		{"b.txt", hello, "but the spec expects " + hello + "; download or copy the file again, or correct the spec"},
		{"?.txt", hello, `path "?.txt" matches 2 files, but sha256 pins one`},
		{"a.txt", "2CF2", `sha256 "2CF2": expected the 64 lower-case hexadecimal digits`},
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
		{"content", func(dir string) error { return os.WriteFile(dir+"/b.txt", []byte("B"), 0o644) }, "b.txt changed since planning: the plan has sha256:"},
		{"a file more", func(dir string) error { return os.WriteFile(dir+"/c.txt", nil, 0o644) },
			`the files changed since planning from "a.txt", "b.txt" to "a.txt", "b.txt", "c.txt"; run `},
		{"a file less", func(dir string) error { return os.Remove(dir + "/a.txt") },
			`the files changed since planning from "a.txt", "b.txt" to "b.txt"`},
		{"another name", func(dir string) error { return os.Rename(dir+"/a.txt", dir+"/A.txt") }, `to "A.txt", "b.txt"; run `},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := sourcetest.Dir(t, map[string]string{"a.txt": "a", "b.txt": "b"})
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

// Content after the requested rows is neither read nor checked.
func TestReadStopsAtTo(t *testing.T) {
	dir := sourcetest.Dir(t, map[string]string{"a.txt": "a", "b.txt": "b"})
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
			dir := sourcetest.Dir(t, map[string]string{"a.txt": "a"})
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
	dir := sourcetest.Dir(t, map[string]string{"a.txt": ""})
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

// Files are closed however a read ends.
func TestFilesAreClosed(t *testing.T) {
	dir := sourcetest.Dir(t, map[string]string{"a.txt": "a", "b.txt": "b", "bad.txt.gz": "\x1f\x8bdamaged", "utf16.txt": "\xff\xfea\x00"})
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

// Digests are remembered in the runner's cache directory, and written only if allowed.
func TestRememberedDigests(t *testing.T) {
	t.Parallel()
	dir, state := sourcetest.Dir(t, map[string]string{"a.txt": "a"}), t.TempDir()
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
		t.Errorf("digest %s, want %s", got, want)
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
	// One provider keeps the caches of directories separate.
	p := newWhole()
	states := []string{t.TempDir(), "", t.TempDir()}
	for _, cache := range states {
		if _, err := p.Resolve(t.Context(), protocol.ResolveRequest{Source: sourcetest.Source(dir, `{"path": "a.txt"}`), Cache: cache}); err != nil {
			t.Fatal(err)
		}
	}
	for _, cache := range []string{states[0], states[2]} {
		if data, err := os.ReadFile(filepath.Join(cache, "digests.json")); err != nil || !strings.Contains(string(data), want) {
			t.Errorf("a directory keeps %s, %v", data, err)
		}
	}
}

// Remembering digests only saves time. If they cannot be saved, for example on a full disk, files are resolved anyway.
func TestUnsavedDigests(t *testing.T) {
	t.Parallel()
	dir, state := sourcetest.Dir(t, map[string]string{"a.txt": "a"}), t.TempDir()
	// A file cannot replace a directory.
	if err := os.Mkdir(filepath.Join(state, "digests.json"), 0o755); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2100 * time.Millisecond) // a file has to settle
	r, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: sourcetest.Source(dir, `{"path": "a.txt"}`), Cache: state})
	if err != nil || r.Files[0].Digest != protocol.Digest([]byte("a")) {
		t.Errorf("resolved %+v, %v", r, err)
	}
}

// pair is a Format whose rows have two values of up to 40 MiB.
type pair struct{ whole }

func (pair) Reader([]Field) (Reader, error) {
	value := make([]byte, 40<<20)
	return func(_ *File, rows *Rows) error {
		// The maximum, and one byte more.
		return errors.Join(rows.Emit([][]byte{value, value[:24<<20]}), rows.Emit([][]byte{value, value[:24<<20+1]}), rows.Emit([][]byte{value, value}))
	}, nil
}

// custom is a Format of any reader.
type custom struct {
	Location
	reader Reader
}

func (custom) Parameters() any { return map[string]string{"a": "<&>"} }

func (c custom) Reader([]Field) (Reader, error) { return c.reader, nil }

func newCustom(read Reader) sdk.Provider {
	return New(Format{
		Description: protocol.ProviderDescription{Name: "custom", Environment: []string{"MY_TOKEN"}},
		Parse: func(raw json.RawMessage) (Config, error) {
			var l Location
			err := Decode(raw, &l)
			return custom{l, read}, err
		},
		Compressed: true,
	})
}

// An error of a reader is returned unchanged, unless the file changed during the read; an error of emit is always
// returned unchanged.
func TestErrorsOfReaders(t *testing.T) {
	errRead, errTaken := errors.New("cannot read on"), errors.New("taken enough")
	for _, test := range []struct {
		name            string
		changes, refuse bool
		fails           error
		want            error
		kind            protocol.ErrorKind
	}{
		{"the reader's", false, false, errRead, errRead, ""},
		{"a change explains it", true, false, errRead, nil, protocol.Changed},
		{"a change alone", true, false, nil, nil, protocol.Changed},
		{"who takes the rows", false, true, nil, errTaken, ""},
		{"who takes the rows, and a change", true, true, nil, errTaken, ""},
		{"none", false, false, nil, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := sourcetest.Dir(t, map[string]string{"a.txt": "a", "b.txt": "b"})
			var names []string
			p := newCustom(func(f *File, rows *Rows) error {
				names = append(names, f.Name)
				if f.Size() != 1 || f.Label != filepath.Join(dir, f.Name) || f.Err() != nil {
					t.Errorf("file %q of %d bytes, labeled %q: %v", f.Name, f.Size(), f.Label, f.Err())
				}
				if test.changes {
					sourcetest.Write(t, f.Label, "changed")
				}
				err := rows.Emit([][]byte{nil})
				return errors.Join(err, test.fails)
			})
			s := sourcetest.Source(dir, `{"path": "*.txt"}`)
			pinned, err := p.Resolve(t.Context(), protocol.ResolveRequest{Source: s})
			if err != nil {
				t.Fatal(err)
			}
			err = p.Read(t.Context(), protocol.ReadRequest{Source: s, Pinned: pinned, Fields: []string{"x"}}, func(protocol.Row) error {
				if test.refuse {
					return errTaken
				}
				return nil
			})
			if test.want != nil && !errors.Is(err, test.want) || protocol.KindOf(err) != test.kind || (err == nil) != (test.want == nil && test.kind == "") {
				t.Errorf("found %v of kind %q; want %v of kind %q", err, protocol.KindOf(err), test.want, test.kind)
			}
			if want := map[bool]int{true: 2, false: 1}[err == nil]; len(names) != want {
				t.Errorf("%q were read, want %d", names, want)
			}
		})
	}
}

// The requested rows that a reader is told of, and the numbers of rows whatever it skips.
func TestRowsOfReaders(t *testing.T) {
	dir := sourcetest.Dir(t, map[string]string{"a.txt": "a", "b.txt": "b"})
	s := sourcetest.Source(dir, `{"path": "*.txt"}`)
	for _, test := range []struct {
		from, to int64
		behind   []int64 // at the beginning of each file
		want     []string
	}{
		{0, 0, []int64{0, 0}, []string{`0 a.txt:0 "one"`, "1 a.txt:1 !a\\x1b", `2 a.txt:2 "three"`, `3 b.txt:0 "one"`, "4 b.txt:1 !a\\x1b", `5 b.txt:2 "three"`}},
		{1, 5, []int64{1, 0}, []string{"1 a.txt:1 !a\\x1b", `2 a.txt:2 "three"`, `3 b.txt:0 "one"`, "4 b.txt:1 !a\\x1b"}},
		{4, 0, []int64{4, 1}, []string{"4 b.txt:1 !a\\x1b", `5 b.txt:2 "three"`}},
		{2, 3, []int64{2}, []string{`2 a.txt:2 "three"`}},
		{2, 2, []int64{2}, []string{}},
		{7, 9, []int64{7, 4}, []string{}},
		{0, 3, []int64{0}, []string{`0 a.txt:0 "one"`, "1 a.txt:1 !a\\x1b", `2 a.txt:2 "three"`}},
	} {
		var behind []int64
		p := newCustom(func(_ *File, rows *Rows) error {
			behind = append(behind, rows.Behind())
			if rows.Behind() > 0 {
				if err := rows.Skip(1); err != nil {
					return err
				}
			} else if err := rows.Emit([][]byte{[]byte("one")}); err != nil {
				return err
			}
			if err := rows.Problem("%s\x1b", "a"); err != nil {
				return err
			}
			return rows.Emit([][]byte{[]byte("three")})
		})
		rows, err := sourcetest.Read(t, p, s, test.from, test.to, "x")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, sourcetest.Format(rows)) + cmp.Diff(test.behind, behind); diff != "" {
			t.Errorf("rows [%d, %d) (-want +got):\n%s", test.from, test.to, diff)
		}
	}
}

// A provider names the variables that its format and remote services need, keeps parameters as written, and reports all
// files of a compressed format as compressed.
func TestFormats(t *testing.T) {
	p := newCustom(nil)
	d, err := p.Describe(t.Context())
	if err != nil || d.Name != "custom" {
		t.Fatalf("described %+v, %v", d, err)
	}
	for _, name := range []string{"MY_TOKEN", "AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "SURPRISAL_ENDPOINTS", "HTTPS_PROXY"} {
		if !slices.Contains(d.Environment, name) {
			t.Errorf("%s is not asked for", name)
		}
	}
	dir := sourcetest.Dir(t, map[string]string{"a.txt": "a"})
	for _, path := range []string{"a.txt", "*.txt"} {
		got, err := p.Resolve(t.Context(), protocol.ResolveRequest{Source: sourcetest.Source(dir, pathConfig(t, path))})
		want := protocol.Resolution{Parameters: json.RawMessage(`{"a":"<&>"}`), Local: true,
			Files: []protocol.File{{Name: "a.txt", Digest: protocol.Digest([]byte("a")), Bytes: 1, Compressed: true}}}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", path, err, diff)
		}
	}
	for config, want := range map[string]string{
		`{"path": ""}`:                 "path is empty; name a file, a glob or a URL",
		`{}`:                           "path is empty",
		`[]`:                           "configuration []: ",
		`{"path": 3}`:                  `configuration {"path": 3}: `,
		`{"path": "a.txt", "more": 1}`: `unknown field "more"`,
		`{"path": "a.txt", "sha256": "` + strings.Repeat("0", 63) + `"}`: "expected the 64 lower-case",
		`{"path": "a.txt", "sha256": "` + strings.Repeat("0", 65) + `"}`: "expected the 64 lower-case",
	} {
		for name, ask := range map[string]func() error{
			"resolve": func() error {
				_, err := p.Resolve(t.Context(), protocol.ResolveRequest{Source: sourcetest.Source(dir, config)})
				return err
			},
			"read": func() error {
				return p.Read(t.Context(), protocol.ReadRequest{Source: sourcetest.Source(dir, config)}, nil)
			},
		} {
			if err := ask(); err == nil || !strings.Contains(err.Error(), want) || protocol.KindOf(err) != protocol.InvalidInput {
				t.Errorf("%s %s: error %v of kind %q, want %q", name, config, err, protocol.KindOf(err), want)
			}
		}
	}
}

// Errors of a remote service.
func TestRemoteErrors(t *testing.T) {
	b := memblob.OpenBucket(nil)
	_, missing := b.ReadAll(t.Context(), "gone")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	errOther := errors.New("weather")
	for _, test := range []struct {
		err, is error
		want    string
		kind    protocol.ErrorKind
	}{
		{missing, nil, "s3://b/k does not exist: ", protocol.InvalidInput},
		{context.Canceled, context.Canceled, "context canceled", ""},
		{context.DeadlineExceeded, context.DeadlineExceeded, "context deadline exceeded", ""},
		{errOther, errOther, "reading s3://b/k: weather", ""},
	} {
		got := remoteError("s3://b/k", test.err)
		if !strings.HasPrefix(got.Error(), test.want) || protocol.KindOf(got) != test.kind || test.is != nil && !errors.Is(got, test.is) {
			t.Errorf("%v became %v of kind %q", test.err, got, protocol.KindOf(got))
		}
	}
}

func TestRowOfManyLongFields(t *testing.T) {
	p := New(Format{Parse: func(raw json.RawMessage) (Config, error) {
		var c pair
		err := Decode(raw, &c)
		return c, err
	}})
	rows, err := sourcetest.Read(t, p, sourcetest.Source(sourcetest.Dir(t, map[string]string{"a": ""}), `{"path": "a"}`), 0, 0, "x", "y")
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 || rows[0].Problem != "" || len(rows[0].Values) != 2 || len(rows[0].Values[1]) != 24<<20 {
		t.Fatalf("%d rows", len(rows))
	}
	want := []string{
		"1 a:1 !the row has 67108865 bytes in its fields; at most 67108864 are allowed",
		"2 a:2 !the row has 83886080 bytes in its fields; at most 67108864 are allowed",
	}
	if diff := cmp.Diff(want, sourcetest.Format(rows[1:])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRangesThatAreNone(t *testing.T) {
	s := sourcetest.Source(sourcetest.Dir(t, map[string]string{"a.txt": "a"}), `{"path": "a.txt"}`)
	for _, r := range [][2]int64{{-1, 0}, {0, -1}, {3, 2}} {
		if _, err := sourcetest.Read(t, newWhole(), s, r[0], r[1], "text"); protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("rows %v: error %v", r, err)
		}
	}
}

func TestCanceledContext(t *testing.T) {
	s := sourcetest.Source(sourcetest.Dir(t, map[string]string{"a.txt": "a", "b.txt": "b"}), `{"path": "*.txt"}`)
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
		if err := s.list(t.Context(), inMemory(test.key)); err != nil {
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
		err := (&set{bucket: bucket}).list(t.Context(), inMemory(key))
		if err == nil || !strings.Contains(err.Error(), want) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s: error %v; want %q", key, err, want)
		}
	}

	s := &set{bucket: bucket}
	if err := s.list(t.Context(), inMemory("in/b.txt")); err != nil {
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
	if err := compressed.list(t.Context(), inMemory("in/b.gz")); err != nil {
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

// A glob for which backtracking takes exponential time, in nested directories.
func TestGlobEnds(t *testing.T) {
	dir := sourcetest.Dir(t, map[string]string{strings.Repeat("a/", 40) + "c": "", "b.txt": ""})
	for path, want := range map[string]string{
		strings.Repeat("**/a/", 14) + "**/b":         "no file under " + dir + " matches",
		"{b,b}" + strings.Repeat("{,b}", 60) + ".md": "no file under " + dir + " matches",
		strings.Repeat("*", 1<<15):                   `" is a glob of 32768 bytes; at most 16384 are allowed; use a shorter one`,
	} {
		_, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: sourcetest.Source(dir, pathConfig(t, path))})
		if err == nil || !strings.Contains(err.Error(), want) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%.40s: error %.200v; want %q", path, err, want)
		}
	}
}

// A file whose name is not valid UTF-8 cannot be named in a plan.
func TestNameThatIsNotUTF8(t *testing.T) {
	dir := sourcetest.Dir(t, map[string]string{"a.txt": "a", "b\xff.txt": "b"})
	_, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: sourcetest.Source(dir, pathConfig(t, "*.txt"))})
	want := dir + `/b\xff.txt: the name of the file is not valid UTF-8; rename it, or use a path that does not match it`
	if err == nil || err.Error() != want || protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("error %v of kind %q, want %q", err, protocol.KindOf(err), want)
	}
}

func inMemory(key string) bucket.Location {
	return bucket.Location{Scheme: "mem", Name: "bucket", Key: key}
}
