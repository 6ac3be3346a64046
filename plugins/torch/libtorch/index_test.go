package libtorch

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// pipWith returns a program that answers like a Python whose pip has these settings, and to no other requests.
func pipWith(t *testing.T, settings string) string {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "settings"), []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "python3")
	script := "#!/bin/sh\ncase \"$*\" in *'config list'*) cat '" + dir + "/settings';; *) echo asked >&2; exit 1;; esac\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestInstallReadsIndexes finds wheels on the pages of an index that requires a password, without pip.
func TestInstallReadsIndexes(t *testing.T) {
	i, x := testInstaller(t)
	mux := http.NewServeMux()
	for n, path := range []string{"/torch.whl", "/runtime.whl"} {
		w := i.wheels[n]
		mux.HandleFunc("/simple/"+w.name+"/", func(out http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(out, "<!DOCTYPE html><html><body>\n<a href=\"../../other.whl#sha256=00\">%s-1</a>\n"+
				"<a data-requires-python=\"&gt;=3.10\" HREF='../../files%s#sha256=%s'>%s</a></body></html>", w.name, path, w.sha256, w.name)
		})
	}
	var current atomic.Pointer[index]
	current.Store(x)
	mux.Handle("/files/", http.StripPrefix("/files", http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) { current.Load().ServeHTTP(out, r) })))
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "user" || password != "word" {
			out.WriteHeader(http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(out, r)
	}))
	defer server.Close()
	address := strings.Replace(server.URL, "http://", "http://user:word@", 1) + "/simple/"

	i.locate = i.find
	i.Finder.Python = pipWith(t, ":env:.index-url='"+address+"'\nglobal.index-url='http://127.0.0.1:1/simple'\n")
	if err := i.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"", ""}; !slices.Equal(x.ranges, want) {
		t.Errorf("ranges asked for: %q, want %q", x.ranges, want)
	}

	// A password is not repeated in errors.
	i, x = testInstaller(t)
	i.locate, i.Finder.Python = i.find, pipWith(t, ":env:.index-url='"+address+"'\n")
	x.disturb = func(_ int, out http.ResponseWriter, _ *http.Request) bool {
		out.WriteHeader(http.StatusForbidden)
		return true
	}
	current.Store(x)
	if err := i.Install(t.Context()); err == nil || strings.Contains(err.Error(), "word") || !strings.Contains(err.Error(), "403") {
		t.Errorf("a refused download: %v", err)
	}

	// If no page lists a wheel, pip is asked; here this fails.
	i, _ = testInstaller(t)
	i.locate, i.wheels[0].sha256 = i.find, strings.Repeat("0", 64)
	i.Finder.Python = pipWith(t, ":env:.index-url='"+address+"'\n")
	if err := i.Install(t.Context()); err == nil || !strings.Contains(err.Error(), "asked") {
		t.Errorf("a wheel that no page has: %v", err)
	}
}

func TestConfigured(t *testing.T) {
	for _, test := range []struct {
		settings string
		indexes  string // "" is an error
	}{
		{"", defaultIndex},
		{"global.timeout='60'\nglobal.cert='/a'\n:env:.find-links='/wheels'\n", defaultIndex},
		{"global.index-url='https://a/simple'\n", "https://a/simple"},
		{":env:.index-url='https://d/simple/'\ndownload.index-url='https://e/simple'\nglobal.extra-index-url='https://b/simple https://c/simple'\n" +
			"global.index-url='https://a/simple'\n",
			"https://d/simple/ https://b/simple https://c/simple"},
		{`global.extra-index-url='\nhttps://b/simple\nhttps://c/simple'` + "\n", defaultIndex + " https://b/simple https://c/simple"},
		{"global.no-index='1'\n", ""},
	} {
		got, err := configured(test.settings)
		if strings.Join(got, " ") != test.indexes || (err != nil) != (test.indexes == "") {
			t.Errorf("%q: %q, %v; want %q", test.settings, got, err, test.indexes)
		}
	}
}
