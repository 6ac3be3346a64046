package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"surprisal.dev/plugins/hub/hubtest"
	"surprisal.dev/plugins/protocol"
)

// limitVariable holds the size in bytes that the files of a separate process that downloads may have.
const limitVariable = "SURPRISAL_HUB_TEST_FILE_SIZE"

// TestMain is also the process that downloads with a limit.
func TestMain(m *testing.M) {
	if limit := os.Getenv(limitVariable); limit != "" {
		if err := downloadWithin(limit, os.Args[1], os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, protocol.KindOf(err), err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func downloadWithin(limit, commit, size, digest string) error {
	n, err := strconv.ParseUint(limit, 10, 63)
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
		return err
	}
	bytes, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return err
	}
	c, err := FromEnvironment()
	if err != nil {
		return err
	}
	_, err = c.Download(context.Background(), tiny, commit, File{Path: "m.gguf", Bytes: bytes, SHA256: digest})
	return err
}

// A file that outgrows what the system allows ends the download with what to do, and another process continues it.
func TestFileTooLarge(t *testing.T) {
	s, c := start(t)
	content := noise(300_000)
	commit := s.Add("models", tiny.ID, hubtest.Public).Commit("main", map[string]string{"m.gguf": content})
	f := File{Path: "m.gguf", Bytes: int64(len(content)), SHA256: hubtest.SHA256(content)}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(program, commit, strconv.Itoa(len(content)), f.SHA256)
	child.Env = append(os.Environ(), limitVariable+"=100000")
	out, err := child.CombinedOutput()
	want := "the disk of the cache " + c.cache + " takes no larger file"
	if err == nil || !strings.Contains(string(out), want) || !strings.Contains(string(out), string(protocol.InvalidInput)+" ") {
		t.Fatalf("error %v, output %s\nwant %q", err, out, want)
	}
	if _, ok := c.Cached(tiny, commit, f.Path); ok {
		t.Fatal("the cache has the file")
	}
	s.Requests()
	path, err := c.Download(t.Context(), tiny, commit, f)
	if err != nil {
		t.Fatal(err)
	}
	wantContent(t, path, content)
	for _, q := range s.Requests() {
		if q.Range != "bytes=100000-" {
			t.Errorf("the request %+v does not continue after 100,000 bytes", q)
		}
	}
}

// A disk that is full is named, and nothing is asked for again.
func TestDiskFull(t *testing.T) {
	s, c := start(t)
	content := noise(300_000)
	commit := s.Add("models", tiny.ID, hubtest.Public).Commit("main", map[string]string{"m.gguf": content})
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	f := File{Path: "m.gguf", Bytes: int64(len(content)), SHA256: hubtest.SHA256(content)}
	d := &download{client: c, repository: tiny, commit: commit, file: f, part: full, hash: f.digester()}
	err = d.run(t.Context())
	if want := "the disk of the cache " + c.cache + " is full"; err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, syscall.ENOSPC) && protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("error %v, want %q", err, want)
	}
	if n := len(s.Requests()); n > 2 {
		t.Errorf("%d requests; want one that redirects and one for the content", n)
	}
	// The same while the commit of a revision is noted and while a file gets its name.
	for _, err := range []error{c.unwritable(syscall.ENOSPC), c.unwritable(syscall.EDQUOT)} {
		if !strings.Contains(err.Error(), "is full") {
			t.Error(err)
		}
	}
}

// A link that someone has put into the cache in place of a file, or of a directory, is not written through.
func TestLinksInTheCache(t *testing.T) {
	s, c := start(t)
	content := noise(1000)
	commit := s.Add("models", tiny.ID, hubtest.Public).Commit("main", map[string]string{"m.gguf": content, "config.json": "{}"})
	f := File{Path: "m.gguf", Bytes: 1000, SHA256: hubtest.SHA256(content)}
	outside := filepath.Join(t.TempDir(), "mine")
	keep := func(t *testing.T) {
		t.Helper()
		if data, err := os.ReadFile(outside); err != nil || string(data) != "mine" {
			t.Errorf("the file outside of the cache has %d bytes, error %v", len(data), err)
		}
	}
	for name, path := range map[string]string{
		"part":     c.blob(tiny, f.SHA256) + ".incomplete",
		"blob":     c.blob(tiny, f.SHA256),
		"snapshot": c.Path(tiny, commit, f.Path),
		"ref":      filepath.Join(c.cache, tiny.directory(), "refs", "main"),
	} {
		t.Run(name, func(t *testing.T) {
			if err := errors.Join(os.RemoveAll(c.cache), os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(outside, []byte("mine"), 0o644), os.Symlink(outside, path)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Commit(t.Context(), tiny, "main"); err != nil {
				t.Error(err)
			}
			got, err := c.Download(t.Context(), tiny, commit, f)
			keep(t)
			if name == "part" {
				if err == nil || !strings.Contains(err.Error(), path+" is a link") || protocol.KindOf(err) != protocol.InvalidInput {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantContent(t, got, content)
		})
	}
}

// A repository may have very many files. Their names are paths in UTF-8, or the listing is refused.
func TestLargeListing(t *testing.T) {
	s, c := start(t)
	commit := s.Add("datasets", text.ID, hubtest.Public).Commit("main", map[string]string{"a.jsonl": "{}"})
	listing := ""
	s.Fail(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/tree/") {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		if listing != "" {
			fmt.Fprint(w, listing)
			return true
		}
		from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
		if to := from + 10_000; to < 100_000 {
			w.Header().Set("Link", fmt.Sprintf(`<%s%s?cursor=%d>; rel="next"`, s.URL, r.URL.Path, to))
		}
		var b strings.Builder
		for i := range 10_000 {
			b.WriteString(map[bool]string{true: "[", false: ","}[i == 0])
			fmt.Fprintf(&b, `{"type":"file","oid":"%040x","size":1,"path":"data/%06d.jsonl"}`, i, from+i)
		}
		fmt.Fprint(w, b.String()+"]")
		return true
	})
	files, err := c.Files(t.Context(), text, commit)
	if err != nil || len(files) != 100_000 {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	oid := strings.Repeat("0", 40)
	for name, want := range map[string]string{
		`../../etc/passwd`: `a file with the name "../../etc/passwd", which cannot be a path`,
		`/etc/passwd`:      "cannot be a path",
		`a/../../b`:        "cannot be a path",
		`a\\b`:             "cannot be a path",
		`a\u0000b`:         "cannot be a path",
		"a\xffb":           "cannot be a path",
		`\ud800`:           "cannot be a path",
		``:                 "cannot be a path",
		`.`:                "cannot be a path",
		`a//b`:             "cannot be a path",
	} {
		listing = fmt.Sprintf(`[{"type":"file","oid":%q,"size":1,"path":"%s"}]`, oid, name)
		if files, err := c.Files(t.Context(), text, commit); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: files %v, error %v; want %q", name, files, err, want)
		}
	}
	listing = `[{"type":"file","oid":"` + oid + `","size":1,"path":"a"},{"type":"file","oid":"` + oid + `","size":1,"path":"a"}]`
	if _, err := c.Files(t.Context(), text, commit); err == nil || !strings.Contains(err.Error(), `lists the file "a" twice`) {
		t.Errorf("a name that occurs twice: %v", err)
	}
}

// A listing whose pages lead to each other ends.
func TestEndlessListing(t *testing.T) {
	s, c := start(t)
	commit := s.Add("datasets", text.ID, hubtest.Public).Commit("main", map[string]string{"a.jsonl": "{}"})
	n := 0
	s.Fail(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/tree/") {
			return false
		}
		n++
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?cursor=same>; rel="next"`, s.URL, r.URL.Path))
		fmt.Fprint(w, "[]")
		return true
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := c.Files(ctx, text, commit); err == nil || !strings.Contains(err.Error(), "continues its listing at a page that was read before") {
		t.Errorf("after %d pages: %v", n, err)
	}
}
