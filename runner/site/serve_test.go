package site

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestServe(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	if err := replace(t.Context(), dir, func(out *output) error {
		_, err := out.data(".parquet", func(w io.Writer) error {
			_, err := io.WriteString(w, "0123456789")
			return err
		})
		if err != nil {
			return err
		}
		name := slices.Collect(maps.Keys(out.files))[0]
		return out.named("copy.html", func(w io.Writer) error {
			_, err := io.WriteString(w, name)
			return err
		})
	}); err != nil {
		t.Fatal(err)
	}
	s, err := Handler(dir, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	server := httptest.NewServer(s)
	defer server.Close()
	ask := func(method, path string, header http.Header) (*http.Response, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range header {
			r.Header[name] = values
		}
		if host := header.Get("Host"); host != "" {
			r.Host = host
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer, string(body)
	}
	_, data := ask("GET", "/copy.html", nil)
	cases := []struct {
		name, method, path string
		header             http.Header
		status             int
		body               string
	}{
		{"a range", "GET", "/" + data, http.Header{"Range": {"bytes=2-4"}}, http.StatusPartialContent, "234"},
		{"the end", "GET", "/" + data, http.Header{"Range": {"bytes=-3"}}, http.StatusPartialContent, "789"},
		{"a range outside", "GET", "/" + data, http.Header{"Range": {"bytes=20-30"}}, http.StatusRequestedRangeNotSatisfiable, ""},
		{"everything", "GET", "/" + data, nil, http.StatusOK, "0123456789"},
		{"the size", "HEAD", "/" + data, nil, http.StatusOK, ""},
		{"a write", "POST", "/" + data, nil, http.StatusMethodNotAllowed, ""},
		{"a missing file", "GET", "/data/other.parquet", nil, http.StatusNotFound, ""},
		{"a directory", "GET", "/data/", nil, http.StatusNotFound, ""},
		{"a path outside", "GET", "/../../../../etc/passwd", nil, http.StatusNotFound, ""},
		{"an escaped path outside", "GET", "/..%2f..%2fetc%2fpasswd", nil, http.StatusNotFound, ""},
		{"another host", "GET", "/" + data, http.Header{"Host": {"attacker.example:80"}}, http.StatusForbidden, ""},
		{"localhost", "GET", "/" + data, http.Header{"Host": {"localhost:80"}}, http.StatusOK, "0123456789"},
	}
	for _, c := range cases {
		answer, body := ask(c.method, c.path, c.header)
		if answer.StatusCode != c.status || c.body != "" && body != c.body {
			t.Errorf("%s: got %d and %q, want %d and %q", c.name, answer.StatusCode, body, c.status, c.body)
		}
	}
	answer, _ := ask("GET", "/"+data, nil)
	if got := answer.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") || answer.Header.Get("Content-Type") != "application/vnd.apache.parquet" {
		t.Errorf("got %v", answer.Header)
	}
	if again, _ := ask("GET", "/"+data, http.Header{"If-None-Match": {answer.Header.Get("ETag")}}); again.StatusCode != http.StatusNotModified {
		t.Errorf("an unchanged file: got %d", again.StatusCode)
	}
	if _, err := Handler(t.TempDir(), "127.0.0.1:0"); err == nil || !strings.Contains(err.Error(), "is not a site") {
		t.Errorf("another directory: %v", err)
	}
}
