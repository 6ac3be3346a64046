package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/providers/source/sourcetest"
)

// objects is a small part of an S3 service, over one bucket: it describes, lists and sends objects.
type objects struct {
	mu      sync.Mutex
	content map[string]string
	asked   []string
}

func (o *objects) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, r.Method+" "+r.URL.Path)
	if r.Header.Get("Authorization") != "" {
		http.Error(w, "nobody asked for credentials", http.StatusTeapot)
		return
	}
	key, isObject := strings.CutPrefix(r.URL.Path, "/bucket/")
	if isObject && key != "" {
		content, ok := o.content[key]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		if r.Method == http.MethodGet {
			fmt.Fprint(w, content)
		}
		return
	}
	fmt.Fprint(w, `<?xml version="1.0"?><ListBucketResult>`)
	for key := range o.content {
		if strings.HasPrefix(key, r.URL.Query().Get("prefix")) {
			fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>%d</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>", key, len(o.content[key]))
		}
	}
	fmt.Fprint(w, `</ListBucketResult>`)
}

// serveObjects returns the service and the end of a path in it.
func serveObjects(t *testing.T, content map[string]string) (*objects, string) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_PROFILE": "",
		"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "not a secret",
	} {
		t.Setenv(name, value)
	}
	o := &objects{content: content}
	server := httptest.NewServer(o)
	t.Cleanup(server.Close)
	return o, "?region=eu-west-1&use_path_style=true&anonymous=true&endpoint=" + server.URL
}

// openOnDisk counts the open files of this process that are not connections.
func openOnDisk(t *testing.T) (count int) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	for _, f := range list {
		if target, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && strings.HasPrefix(target, "/") {
			count++
		}
	}
	return count
}

// Objects are found, pinned and read like files, over the network, and leave nothing on this machine.
func TestRemoteSource(t *testing.T) {
	service, options := serveObjects(t, map[string]string{"in/b.txt": "bee", "in/a/c.txt": "sea", "in/x.md": "", "in/z.txt.gz": gz(t, "zed")})
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	s := sourcetest.Source("", pathConfig(t, "s3://bucket/in/**/*.{txt,txt.gz}"+options))
	if _, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: s}); protocol.KindOf(err) != protocol.NeedsNetwork || len(service.asked) > 0 {
		t.Fatalf("without the network: %v after %q", err, service.asked)
	}
	pinned, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: s, Network: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []protocol.File{
		{Name: "a/c.txt", Digest: protocol.Digest([]byte("sea")), Bytes: 3}, {Name: "b.txt", Digest: protocol.Digest([]byte("bee")), Bytes: 3},
		{Name: "z.txt.gz", Digest: protocol.Digest([]byte(gz(t, "zed"))), Bytes: int64(len(gz(t, "zed"))), Compressed: true},
	}
	if diff := cmp.Diff(want, pinned.Files); diff != "" || pinned.Local {
		t.Errorf("local %v, files (-want +got):\n%s", pinned.Local, diff)
	}
	before := openOnDisk(t)
	for range 3 {
		rows, err := sourcetest.ReadPinned(t, newWhole(), s, pinned, 0, 0, "text")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{`0 a/c.txt:0 "sea"`, `1 b.txt:0 "bee"`, `2 z.txt.gz:0 "zed"`}, sourcetest.Format(rows)); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
	}
	if after := openOnDisk(t); after > before {
		t.Errorf("%d files are open, %d were before", after, before)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
	rows, err := sourcetest.ReadPinned(t, newWhole(), s, pinned, 1, 2, "text")
	if err != nil || len(rows) != 1 || string(rows[0].Values[0]) != "bee" {
		t.Errorf("a range: %v, %v", rows, err)
	}

	service.mu.Lock()
	service.content["in/b.txt"] = "wasp"
	service.mu.Unlock()
	rows, err = sourcetest.ReadPinned(t, newWhole(), s, pinned, 0, 0, "text")
	if protocol.KindOf(err) != protocol.Changed || len(rows) != 1 || !strings.Contains(err.Error(), "s3://bucket/in/b.txt changed since it was pinned: the lock file has ") {
		t.Errorf("a changed object: %d rows, %v", len(rows), err)
	}
	service.mu.Lock()
	delete(service.content, "in/b.txt")
	service.mu.Unlock()
	if _, err = sourcetest.ReadPinned(t, newWhole(), s, pinned, 0, 0, "text"); protocol.KindOf(err) != protocol.Changed {
		t.Errorf("an object that is gone: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newWhole().Resolve(ctx, protocol.ResolveRequest{Source: s, Network: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// One object is named by its key; the error for a missing object lists existing ones.
func TestRemoteObject(t *testing.T) {
	_, options := serveObjects(t, map[string]string{"in/b.txt": "bee", "in/c[1].txt": "sea", "deep/er/d.txt": "dee"})
	for path, want := range map[string]string{
		"s3://bucket/in/b.txt":      "b.txt",
		"s3://bucket/in/c[1].txt":   "c[1].txt",
		"s3://bucket/deep/er/d.txt": "d.txt",
		"s3://bucket/deep/*/d.txt":  "er/d.txt",
		"s3://bucket/in/b.tx":       `!path "s3://bucket/in/b.tx": no object matches; under s3://bucket/in/ there are "b.txt", "c[1].txt"; did you mean "b.txt"?`,
		"s3://bucket/out/*":         `!path "s3://bucket/out/*": no object matches; under s3://bucket/out/ there are none; check the key`,
	} {
		got, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: sourcetest.Source("", pathConfig(t, path+options)), Network: true})
		if text, isError := strings.CutPrefix(want, "!"); isError {
			if err == nil || err.Error() != text || protocol.KindOf(err) != protocol.InvalidInput {
				t.Errorf("%s: error %v, want %q", path, err, text)
			}
		} else if err != nil || len(got.Files) != 1 || got.Files[0].Name != want || got.Local {
			t.Errorf("%s: resolved %+v, %v; want %q", path, got, err, want)
		}
	}
}

// A URL that cannot be right is invalid with and without the network, and nothing is asked.
func TestInvalidURLs(t *testing.T) {
	service, options := serveObjects(t, nil)
	for path, want := range map[string]string{
		"s3://" + options:                      "expected s3://BUCKET/KEY",
		"s3://bucket/../../x" + options:        `a part "." or ".."`,
		"s3://bucket/**/[a" + options:          "is not a glob",
		"s3://bucket/[a" + options:             "is not a glob",
		"s3://user:pw@bucket/key" + options:    "the URL has credentials",
		"s3://bucket/a" + options + "&odd=yes": "an option is not allowed",
	} {
		for _, network := range []bool{false, true} {
			r := protocol.ResolveRequest{Source: sourcetest.Source("", pathConfig(t, path)), Network: network}
			_, err := newWhole().Resolve(t.Context(), r)
			if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pw") {
				t.Errorf("%s, network %v: %v, want %q", path, network, err, want)
			}
		}
	}
	if len(service.asked) > 0 {
		t.Errorf("the service was asked: %q", service.asked)
	}
}
