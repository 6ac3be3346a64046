package site

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// testServer serves a site with one file of data, whose path is data.
type testServer struct {
	t         *testing.T
	dir       string
	url, data string
}

// export replaces the site by one with other data.
func (s *testServer) export(data string) {
	s.t.Helper()
	err := replace(s.t.Context(), s.dir, func(out *output) error {
		_, err := out.data(".parquet", func(w io.Writer) error {
			_, err := io.WriteString(w, data)
			return err
		})
		s.data = "/" + slices.Collect(maps.Keys(out.files))[0]
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func newTestServer(t *testing.T) *testServer {
	t.Helper()
	s := &testServer{t: t, dir: filepath.Join(t.TempDir(), "site")}
	s.export("0123456789")
	handler, err := Handler(s.dir, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.Close()
		if err := handler.Close(); err != nil {
			t.Error(err)
		}
	})
	s.url = server.URL
	return s
}

// answer is what a server answers.
type answer struct {
	status int
	header http.Header
	body   string
}

func (s *testServer) ask(method, path string, header http.Header) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	r.Host = header.Get("Host")
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{got.StatusCode, got.Header, string(body)}
}

// TestServeReplaced checks that a server shows what an export wrote after it started, and the last site if there is none.
func TestServeReplaced(t *testing.T) {
	s := newTestServer(t)
	before := s.data
	s.export("other")
	if got := s.ask(http.MethodGet, s.data, nil); got.status != http.StatusOK || got.body != "other" {
		t.Errorf("after an export: %d %q", got.status, got.body)
	}
	if got := s.ask(http.MethodGet, before, nil); got.status != http.StatusNotFound {
		t.Errorf("a file of the site before: %d", got.status)
	}
	if err := os.Rename(s.dir, s.dir+".moved"); err != nil {
		t.Fatal(err)
	}
	if got := s.ask(http.MethodGet, s.data, nil); got.status != http.StatusOK {
		t.Errorf("without a site: %d", got.status)
	}
}

func TestServe(t *testing.T) {
	s := newTestServer(t)
	cases := []struct {
		name, method, path string
		header             http.Header
		status             int
		body               string
	}{
		{"a range", "GET", s.data, http.Header{"Range": {"bytes=2-4"}}, http.StatusPartialContent, "234"},
		{"the end", "GET", s.data, http.Header{"Range": {"bytes=-3"}}, http.StatusPartialContent, "789"},
		{"a range outside", "GET", s.data, http.Header{"Range": {"bytes=20-30"}}, http.StatusRequestedRangeNotSatisfiable, ""},
		{"everything", "GET", s.data, nil, http.StatusOK, "0123456789"},
		{"the size", "HEAD", s.data, nil, http.StatusOK, ""},
		{"a write", "POST", s.data, nil, http.StatusMethodNotAllowed, ""},
		{"a missing file", "GET", "/data/other.parquet", nil, http.StatusNotFound, ""},
		{"a directory", "GET", "/data/", nil, http.StatusNotFound, ""},
		{"a path outside", "GET", "/../../../../etc/passwd", nil, http.StatusNotFound, ""},
		{"an escaped path outside", "GET", "/..%2f..%2fetc%2fpasswd", nil, http.StatusNotFound, ""},
		{"another host", "GET", s.data, http.Header{"Host": {"attacker.example:80"}}, http.StatusForbidden, ""},
		{"localhost", "GET", s.data, http.Header{"Host": {"localhost:80"}}, http.StatusOK, "0123456789"},
	}
	for _, c := range cases {
		if got := s.ask(c.method, c.path, c.header); got.status != c.status || c.body != "" && got.body != c.body {
			t.Errorf("%s: got %d and %q, want %d and %q", c.name, got.status, got.body, c.status, c.body)
		}
	}
}

// Files of data never change, which a browser is told.
func TestServeHeaders(t *testing.T) {
	s := newTestServer(t)
	got := s.ask("GET", s.data, nil).header
	if !strings.Contains(got.Get("Cache-Control"), "immutable") || got.Get("Content-Type") != "application/vnd.apache.parquet" {
		t.Errorf("got %v", got)
	}
	if again := s.ask("GET", s.data, http.Header{"If-None-Match": {got.Get("ETag")}}); again.status != http.StatusNotModified {
		t.Errorf("an unchanged file: got %d", again.status)
	}
}

// Only files are served: to open a named pipe would wait for another process.
func TestServeSpecialFiles(t *testing.T) {
	s := newTestServer(t)
	pipe, link := filepath.Join(s.dir, "pipe"), filepath.Join(s.dir, "link.txt")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o666), os.Symlink("pipe", link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/pipe", "/link.txt"} {
		if got := s.ask("GET", path, nil); got.status != http.StatusNotFound {
			t.Errorf("%s: got %d", path, got.status)
		}
	}
}

func TestHandlerRefuses(t *testing.T) {
	_, err := Handler(t.TempDir(), "127.0.0.1:0")
	wantInvalid(t, err, "is not a site")
}
