package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"surprisal.dev/plugins/hub/hubtest"
	"surprisal.dev/plugins/protocol"
)

// start returns a hub, and a client of it with an empty cache that does not wait.
func start(t *testing.T) (*hubtest.Server, *Client) {
	t.Helper()
	s := hubtest.New()
	t.Cleanup(s.Close)
	return s, client(t, s, t.TempDir())
}

func client(t *testing.T, s *hubtest.Server, home string) *Client {
	t.Helper()
	for _, name := range Environment {
		t.Setenv(name, "")
	}
	t.Setenv("HF_ENDPOINT", s.URL)
	t.Setenv("HF_HOME", home)
	c, err := FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	c.wait = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	return c
}

// noise returns n bytes that no compression shortens.
func noise(n int) string {
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return string(b)
}

var (
	tiny = Repository{Model, "org/tiny"}
	text = Repository{Dataset, "org/text"}
)

func (c *Client) mustDownload(t *testing.T, r Repository, commit, name string) string {
	t.Helper()
	f, err := c.Describe(t.Context(), r, commit, name)
	if err != nil {
		t.Fatal(err)
	}
	path, err := c.Download(t.Context(), r, commit, f)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func wantContent(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s has %d bytes, error %v; want the %d of the hub", path, len(got), err, len(want))
	}
}

// A revision becomes a commit, a listing has every page, and files arrive in the layout of the hub's own tools.
func TestSnapshot(t *testing.T) {
	s, c := start(t)
	s.PageSize = 2
	files := map[string]string{
		"config.json": "{}", "README.md": "tiny", "model.safetensors": noise(3 << 20), "empty.txt": "", "a/b/c.bin": "large", "a/b/ä ö#?.json": "odd",
	}
	commit := s.Add("models", tiny.ID, hubtest.Public).Commit("main", files)
	got, err := c.Commit(t.Context(), tiny, "main")
	if err != nil || got != commit {
		t.Fatalf("commit %q, error %v; want %s", got, err, commit)
	}
	list, err := c.Files(t.Context(), tiny, commit)
	if err != nil || len(list) != len(files) {
		t.Fatalf("%d files, error %v; want %d", len(list), err, len(files))
	}
	for _, f := range list {
		if f.Bytes != int64(len(files[f.Path])) || (f.SHA256 != "") != hubtest.IsLarge(f.Path) {
			t.Errorf("%+v", f)
		}
		described, err := c.Describe(t.Context(), tiny, commit, f.Path)
		if err != nil || described.Etag() != f.Etag() || described.Bytes != f.Bytes {
			t.Errorf("a request for the head of %s has %+v, error %v; the listing has %+v", f.Path, described, err, f)
		}
		path, err := c.Download(t.Context(), tiny, commit, f)
		if err != nil {
			t.Fatal(err)
		}
		wantContent(t, path, files[f.Path])
		if want := filepath.Join(c.cache, "models--org--tiny", "snapshots", commit, f.Path); path != want {
			t.Errorf("path %s, want %s", path, want)
		}
		if target, err := filepath.EvalSymlinks(path); err != nil || target != filepath.Join(c.cache, "models--org--tiny", "blobs", f.Etag()) {
			t.Errorf("%s leads to %s, error %v", path, target, err)
		}
	}
	wantContent(t, filepath.Join(c.cache, "models--org--tiny", "refs", "main"), commit)
	s.Requests()
	for _, f := range list {
		if _, err := c.Download(t.Context(), tiny, commit, f); err != nil {
			t.Error(err)
		}
	}
	if again := s.Requests(); len(again) > 0 {
		t.Errorf("the second download sent %v", again)
	}
}

// A connection that ends after any byte is continued there, in this process or in the next one.
func TestCutAtAnyByte(t *testing.T) {
	s, c := start(t)
	content := noise(40)
	commit := s.Add("models", tiny.ID, hubtest.Public).Commit("main", map[string]string{"m.gguf": content})
	f := File{Path: "m.gguf", Bytes: int64(len(content)), SHA256: hubtest.SHA256(content)}
	for cut := range len(content) {
		for _, again := range []bool{false, true} {
			c.cache = t.TempDir()
			s.Fail(cutting(content, cut, again))
			path, err := c.Download(t.Context(), tiny, commit, f)
			if again {
				if err == nil || !strings.Contains(err.Error(), "what was downloaded is kept") {
					t.Fatalf("cut at %d for good: error %v", cut, err)
				}
				if _, ok := c.Cached(tiny, commit, f.Path); ok {
					t.Fatalf("cut at %d: the cache has the file", cut)
				}
				s.Fail(nil)
				s.Requests()
				path, err = c.Download(t.Context(), tiny, commit, f)
				if want := fmt.Sprintf("bytes=%d-", cut); cut > 0 && s.Requests()[0].Range != want {
					t.Errorf("cut at %d: the next process does not continue with the range %s", cut, want)
				}
			}
			if err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			wantContent(t, path, content)
		}
	}
}

// cutting returns a fault that ends the first answer with content after cut bytes, and if always, all further ones
// before their first byte.
func cutting(content string, cut int, always bool) func(http.ResponseWriter, *http.Request) bool {
	var answers atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("signature") == "" {
			return false
		}
		n := answers.Add(1)
		if n > 1 && !always {
			return false
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		if from := r.Header.Get("Range"); from != "" {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, content[:cut])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

// A server without ranges, and one that answers with another range, do not corrupt a continued download.
func TestRangesThatAreNotServed(t *testing.T) {
	for name, broken := range map[string]bool{"whole": false, "another range": true} {
		t.Run(name, func(t *testing.T) {
			s, c := start(t)
			content := noise(1000)
			commit := s.Add("models", tiny.ID, hubtest.Public).Commit("main", map[string]string{"m.gguf": content})
			f := File{Path: "m.gguf", Bytes: 1000, SHA256: hubtest.SHA256(content)}
			part := c.blob(tiny, f.SHA256) + ".incomplete"
			if err := errors.Join(os.MkdirAll(filepath.Dir(part), 0o755), os.WriteFile(part, []byte(content[:400]), 0o644)); err != nil {
				t.Fatal(err)
			}
			s.Fail(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Get("signature") == "" {
					return false
				}
				if broken {
					w.Header().Set("Content-Range", "bytes 300-999/1000")
					w.WriteHeader(http.StatusPartialContent)
					_, _ = io.WriteString(w, content[300:])
				} else {
					_, _ = io.WriteString(w, content)
				}
				return true
			})
			path, err := c.Download(t.Context(), tiny, commit, f)
			if broken {
				if err == nil || !strings.Contains(err.Error(), "bytes 300-999/1000") {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantContent(t, path, content)
		})
	}
}

// Content that differs from the listed digest is discarded, and so is the part of an earlier download that does.
func TestWrongDigest(t *testing.T) {
	s, c := start(t)
	content := noise(1000)
	commit := s.Add("models", tiny.ID, hubtest.Public).Commit("main", map[string]string{"m.gguf": content, "config.json": "{}"})
	large := File{Path: "m.gguf", Bytes: 1000, SHA256: hubtest.SHA256(content)}
	small := File{Path: "config.json", Bytes: 2, Blob: hubtest.Blob("{}")}
	s.Fail(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Query().Get("signature") != "":
			_, _ = io.WriteString(w, strings.Repeat("x", 1000))
		case strings.HasSuffix(r.URL.Path, ".json"):
			_, _ = io.WriteString(w, "[]")
		default:
			return false
		}
		return true
	})
	for _, f := range []File{large, small} {
		_, err := c.Download(t.Context(), tiny, commit, f)
		if err == nil || !strings.Contains(err.Error(), "but the hub lists "+f.Etag()+"; it is discarded") {
			t.Errorf("%s: error %v", f.Path, err)
		}
		if entries, err := os.ReadDir(filepath.Dir(c.blob(tiny, "x"))); err != nil || len(entries) > 0 {
			t.Errorf("%s: the cache keeps %v, error %v", f.Path, entries, err)
		}
	}
	s.Fail(nil)
	part := c.blob(tiny, large.SHA256) + ".incomplete"
	if err := os.WriteFile(part, []byte(strings.Repeat("y", 500)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Download(t.Context(), tiny, commit, large); err == nil {
		t.Error("a wrong part was continued without an error")
	}
	path, err := c.Download(t.Context(), tiny, commit, large)
	if err != nil {
		t.Fatal(err)
	}
	wantContent(t, path, content)
	s.Fail(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("signature") == "" {
			return false
		}
		_, _ = io.WriteString(w, content+"more")
		return true
	})
	c.cache = t.TempDir()
	if _, err := c.Download(t.Context(), tiny, commit, large); err == nil || !strings.Contains(err.Error(), "more than the 1000 bytes") {
		t.Errorf("too much content: error %v", err)
	}
}

// Answers that a user can do something about say what.
func TestRefusals(t *testing.T) {
	s, c := start(t)
	s.Add("models", "org/gated", hubtest.Gated).Commit("main", map[string]string{"m.gguf": "m"})
	s.Add("models", "org/private", hubtest.Private).Commit("main", map[string]string{"m.gguf": "m"})
	s.Add("models", tiny.ID, hubtest.Public).Commit("main", map[string]string{"m.gguf": "m"})
	absent := strings.Repeat("0", 40)
	for _, test := range []struct{ id, token, revision, file, want string }{
		{"org/gated", "", "main", "m.gguf", "the repository is gated; accept its conditions at " + s.URL + "/org/gated, and set HF_TOKEN to a token of that account (no token is set)"},
		{"org/gated", "hf_of_another", "main", "m.gguf", "the repository is gated; accept its conditions at " + s.URL + "/org/gated, and set HF_TOKEN to a token of that account (a token is set)"},
		{"org/gated", hubtest.Token, "main", "m.gguf", ""},
		{"org/private", "", "main", "", "there is no such repository, or it is private; check its name at " + s.URL + "/org/private, or set HF_TOKEN to a token that may read it (no token is set)"},
		{"org/private", hubtest.Token, "main", "m.gguf", ""},
		{"org/none", "", "main", "", "there is no such repository, or it is private"},
		{"org/tiny", "", "v9", "", `it has no revision "v9"; see ` + s.URL + "/org/tiny/commits for its revisions"},
		{"org/tiny", "", absent, "m.gguf", `it has no revision "` + absent + `"`},
		{"org/tiny", "", "main", "n.gguf", "has no such file; see " + s.URL + "/org/tiny/tree/"},
		{"org//tiny", "", "main", "", `repository "org//tiny": expected OWNER/NAME`},
		{"../tiny", "", "main", "", `repository "../tiny": expected OWNER/NAME`},
		{"org/tiny", "", "../main", "", `revision "../main": expected a commit of 40 hexadecimal digits`},
		{"org/tiny", "", "main", "../m.gguf", `file "../m.gguf": expected a path within the repository`},
	} {
		t.Run(test.id+" "+test.revision+" "+test.token, func(t *testing.T) {
			c.token, c.cache = test.token, t.TempDir()
			r := Repository{Model, test.id}
			commit, err := c.Commit(t.Context(), r, test.revision)
			if err == nil && test.file != "" {
				var f File
				if f, err = c.Describe(t.Context(), r, commit, test.file); err == nil {
					_, err = c.Download(t.Context(), r, commit, f)
				}
			}
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || protocol.KindOf(err) != protocol.InvalidInput {
				t.Errorf("error %v of kind %q\nwant %q", err, protocol.KindOf(err), test.want)
			}
		})
	}
	for _, q := range s.Requests() {
		if q.Storage && q.Token != "" {
			t.Errorf("the storage got the token: %+v", q)
		}
	}
}

// Failures that pass are repeated after the time that the hub names; those that stay are final.
func TestRetries(t *testing.T) {
	for _, test := range []struct {
		status  int
		header  string
		value   string
		times   int32
		want    string
		waiting time.Duration
	}{
		{http.StatusTooManyRequests, "Retry-After", "7", 2, "", 7 * time.Second},
		{http.StatusTooManyRequests, "RateLimit", `"api";r=0;t=55`, 1, "", 55 * time.Second},
		{http.StatusTooManyRequests, "Retry-After", "3600", 1, "too many requests; run again after 1h0m0s, or set HF_TOKEN", 0},
		{http.StatusInternalServerError, "", "", 3, "", time.Second},
		{http.StatusServiceUnavailable, "Retry-After", "2", 1, "", 2 * time.Second},
		{http.StatusBadGateway, "", "", 99, "the hub fails; run again later: what was downloaded is kept", time.Second},
		{http.StatusTeapot, "", "", 99, "status 418 I'm a teapot: unexpected answer from", 0},
	} {
		t.Run(fmt.Sprint(test.status, test.value), func(t *testing.T) {
			s, c := start(t)
			commit := s.Add("models", tiny.ID, hubtest.Public).Commit("main", map[string]string{"config.json": "{}"})
			var n atomic.Int32
			s.Fail(func(w http.ResponseWriter, _ *http.Request) bool {
				if n.Add(1) > test.times {
					return false
				}
				if test.header != "" {
					w.Header().Set(test.header, test.value)
				}
				w.WriteHeader(test.status)
				return true
			})
			var first time.Duration
			c.wait = func(_ context.Context, d time.Duration) error {
				if first == 0 {
					first = d
				}
				return nil
			}
			got, err := c.Commit(t.Context(), tiny, "main")
			if test.want == "" && (err != nil || got != commit) || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("commit %q, error %v; want %q", got, err, test.want)
			}
			if first < test.waiting || first > test.waiting*5/4+1 {
				t.Errorf("waits %s, want %s and up to a quarter more", first, test.waiting)
			}
		})
	}
}

// Without requests, what the cache has is found, and the rest is an error.
func TestOffline(t *testing.T) {
	s, c := start(t)
	commit := s.Add("datasets", text.ID, hubtest.Public).Commit("main", map[string]string{"a.jsonl": "{}", "b.jsonl": "[]"})
	if _, err := c.Commit(t.Context(), text, "main"); err != nil {
		t.Fatal(err)
	}
	path := c.mustDownload(t, text, commit, "a.jsonl")
	s.Requests()
	c.offline = true
	if got, err := c.Commit(t.Context(), text, "main"); err != nil || got != commit {
		t.Errorf("commit %q, error %v", got, err)
	}
	if got, ok := c.Cached(text, commit, "a.jsonl"); !ok || got != path {
		t.Errorf("cached at %q: %v", got, ok)
	}
	f := File{Path: "b.jsonl", Bytes: 2, Blob: hubtest.Blob("[]")}
	if _, err := c.Download(t.Context(), text, commit, f); err == nil || !strings.Contains(err.Error(), "file b.jsonl is not in the cache "+c.cache+", and HF_HUB_OFFLINE is set") {
		t.Errorf("error %v", err)
	}
	if _, err := c.Commit(t.Context(), text, "v1"); err == nil || !strings.Contains(err.Error(), "revision v1 is not in the cache") {
		t.Errorf("error %v", err)
	}
	if requests := s.Requests(); len(requests) > 0 {
		t.Errorf("offline, the client sent %v", requests)
	}
}

// Clients that want the same file at once download it once.
func TestTwoAtOnce(t *testing.T) {
	s, c := start(t)
	content := noise(2 << 20)
	commit := s.Add("models", tiny.ID, hubtest.Public).Commit("main", map[string]string{"m.gguf": content})
	f := File{Path: "m.gguf", Bytes: int64(len(content)), SHA256: hubtest.SHA256(content)}
	var group sync.WaitGroup
	for range 4 {
		other := *c // locks are of open files: clients of one process exclude each other as processes do
		group.Go(func() {
			path, err := other.Download(t.Context(), tiny, commit, f)
			if err != nil {
				t.Error(err)
				return
			}
			wantContent(t, path, content)
		})
	}
	group.Wait()
	n := 0
	for _, q := range s.Requests() {
		if q.Storage {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d downloads", n)
	}
}

// Parts of a file are read with few requests, and only of the content that is pinned.
func TestRanges(t *testing.T) {
	s, c := start(t)
	content := noise(20 << 20)
	r := s.Add("datasets", text.ID, hubtest.Gated)
	commit := r.Commit("main", map[string]string{"a.parquet": content})
	c.token = hubtest.Token
	f := File{Path: "a.parquet", Bytes: int64(len(content)), SHA256: hubtest.SHA256(content)}
	ranges, err := c.Ranges(t.Context(), text, commit, f)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{f.Bytes - 8, f.Bytes - 70_000, 4, 100, 1 << 20, 3<<20 - 5} {
		b := make([]byte, 1000)
		n, err := ranges.ReadAt(b, at)
		want := content[at:min(at+1000, f.Bytes)]
		if string(b[:n]) != want || len(want) < 1000 != errors.Is(err, io.EOF) {
			t.Fatalf("%d bytes at %d, error %v", n, at, err)
		}
	}
	if requests, read := ranges.Traffic(); requests > 5 || read > 8<<20 {
		t.Errorf("%d requests and %d bytes", requests, read)
	}
	all, err := io.ReadAll(io.NewSectionReader(ranges, 0, f.Bytes))
	if err != nil || string(all) != content {
		t.Errorf("%d bytes, error %v", len(all), err)
	}
	// Addresses of the storage expire, and connections break.
	var n atomic.Int32
	s.Fail(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("signature") == "" || n.Add(1) > 3 {
			return false
		}
		if n.Load() == 2 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	ranges.blocks = nil
	b := make([]byte, 10)
	if _, err := ranges.ReadAt(b, 5); err != nil || string(b) != content[5:15] {
		t.Errorf("after failures: %q, error %v", b, err)
	}
	s.Fail(nil)
	f.SHA256 = hubtest.SHA256("other")
	if ranges, err = c.Ranges(t.Context(), text, commit, f); err != nil {
		t.Fatal(err)
	}
	if _, err := ranges.ReadAt(b, 0); protocol.KindOf(err) != protocol.Changed {
		t.Errorf("error %v of kind %q", err, protocol.KindOf(err))
	}
	for _, q := range s.Requests() {
		if q.Storage && q.Token != "" {
			t.Errorf("the storage got the token: %+v", q)
		}
	}
}

// A cache that cannot be written to, or whose disk is full, is named with what to do.
func TestUnwritable(t *testing.T) {
	s, c := start(t)
	commit := s.Add("models", tiny.ID, hubtest.Public).Commit("main", map[string]string{"config.json": "{}"})
	f := File{Path: "config.json", Bytes: 2, Blob: hubtest.Blob("{}")}
	c.cache = filepath.Join(t.TempDir(), "file", "hub")
	if err := os.WriteFile(filepath.Dir(c.cache), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := c.Download(t.Context(), tiny, commit, f)
	if err == nil || !strings.Contains(err.Error(), "set HF_HUB_CACHE to a directory that you may write to") || protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("error %v", err)
	}
	c.cache = t.TempDir()
	f = File{Path: "m.gguf", Bytes: 1 << 60, SHA256: hubtest.SHA256("{}")}
	_, err = c.Download(t.Context(), tiny, commit, f)
	if err == nil || !strings.Contains(err.Error(), "the disk of the cache "+c.cache+" is full: 1152921504606846976 bytes are needed for m.gguf and ") {
		t.Errorf("error %v", err)
	}
}

// The settings are those of the hub's own tools.
func TestEnvironment(t *testing.T) {
	s, _ := start(t)
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "token"), []byte("of the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := client(t, s, home)
	if c.token != "of the file" || c.cache != filepath.Join(home, "hub") || c.offline {
		t.Errorf("token %q, cache %s, offline %v", c.token, c.cache, c.offline)
	}
	t.Setenv("HF_TOKEN", " mine ")
	t.Setenv("HF_HUB_CACHE", "/elsewhere")
	t.Setenv("HF_HUB_OFFLINE", "yes")
	c, err := FromEnvironment()
	if err != nil || c.token != "mine" || c.cache != "/elsewhere" || !c.offline {
		t.Errorf("token %q, cache %s, offline %v, error %v", c.token, c.cache, c.offline, err)
	}
	t.Setenv("HF_ENDPOINT", "hub.example")
	if _, err := FromEnvironment(); err == nil || !strings.Contains(err.Error(), `HF_ENDPOINT "hub.example": expected http:// or https://`) {
		t.Errorf("error %v", err)
	}
}

// FuzzAnswers gives a client hostile answers: it ends with files that have safe names, or with an error.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`[{"type":"file","oid":"0123456789012345678901234567890123456789","size":3,"path":"a/b.json"}]`), "bytes 0-1/2", `"x"`, "3")
	f.Add([]byte(`[{"type":"file","lfs":{"oid":"zz","size":-1},"path":"../x"}]`), `<http://other/>; rel="next"`, "W/\"\"", "-1")
	f.Fuzz(func(t *testing.T, body []byte, header, etag, size string) {
		files, err := parseEntries(body)
		for _, file := range files {
			if err != nil || !filepath.IsLocal(file.Path) || strings.Contains(file.Path, "\\") || file.Bytes < 0 || file.Etag() == "" {
				t.Errorf("file %+v, error %v", file, err)
			}
		}
		h := http.Header{"Link": {header}, "Retry-After": {header}, "Ratelimit": {header}, "X-Linked-Etag": {etag}, "X-Linked-Size": {size}}
		if wait := retryAfter(h, time.Unix(0, 0)); wait < 0 {
			t.Errorf("a wait of %s", wait)
		}
		if d, err := described("a", &http.Response{Header: h}); err == nil && (d.Bytes < 0 || len(d.Etag()) != 40 && len(d.Etag()) != 64) {
			t.Errorf("described as %+v", d)
		}
		_ = nextPage(h)
	})
}
