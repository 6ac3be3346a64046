package workspace

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gocloud.dev/blob/memblob"

	"surprisal.dev/plugins/digests"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/spec"
)

// inMemory returns the location of a model in a bucket, of a workspace. The cache is empty.
func inMemory(t *testing.T, files map[string]string) *bucketWeights {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	b := memblob.OpenBucket(nil)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	for name, content := range files {
		if err := b.WriteAll(t.Context(), name, []byte(content), nil); err != nil {
			t.Fatal(err)
		}
	}
	w := &Workspace{digests: digests.New(), absent: map[string]absentWeights{}}
	return &bucketWeights{workspace: w, bucket: b, where: "mem://bucket", key: "models/tiny"}
}

var tinyFiles = map[string]string{
	"models/tiny/config.json": "{}", "models/tiny/a.safetensors": strings.Repeat("weights ", 1000), "models/tiny/README.md": "no part of it",
	"models/tiny/deep/b.safetensors": "another model", "models/tinier/config.json": "{}",
}

// The files of a directory are those of its model. A download that was cut continues.
func TestBucketWeights(t *testing.T) {
	b := inMemory(t, tinyFiles)
	files, _, err := b.find(t.Context())
	if err != nil || len(files) != 2 || files[0].name != "a.safetensors" || files[1].name != "config.json" {
		t.Fatalf("files %+v, error %v", files, err)
	}
	content := tinyFiles["models/tiny/a.safetensors"]
	path, err := b.fetch(t.Context(), "", files[0])
	if err != nil {
		t.Fatal(err)
	}
	wantFile := func(path string) {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("%d bytes, error %v; want %d", len(got), err, len(content))
		}
	}
	wantFile(path)
	for _, part := range []string{content[:1], content[:4000], content, content + "x"} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+".incomplete", []byte(part), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := b.fetch(t.Context(), "", files[0]); err != nil {
			t.Fatal(err)
		}
		wantFile(path)
	}
	// What is there is not read again.
	if again, err := b.fetch(t.Context(), "", files[0]); err != nil || again != path {
		t.Errorf("again at %s, error %v", again, err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("the cache has %q, error %v", left, err)
	}
	if err := b.bucket.WriteAll(t.Context(), "models/tiny/a.safetensors", []byte("others"), nil); err != nil {
		t.Fatal(err)
	}
	if newer, err := b.fetch(t.Context(), "", files[0]); err != nil || newer == path {
		t.Errorf("another version is at %s, error %v", newer, err)
	}
}

// Objects that are not there, and directories without a model, are named.
func TestBadBucketWeights(t *testing.T) {
	b := inMemory(t, tinyFiles)
	for key, want := range map[string]string{"models/none": "has no config.json", "models/tinier": "has no .safetensors file"} {
		b.key = key
		if _, _, err := b.find(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", key, err)
		}
	}
	b.key, b.single = "models/none.gguf", true
	if _, _, err := b.find(t.Context()); err == nil || !strings.Contains(err.Error(), "mem://bucket/models/none.gguf does not exist") {
		t.Errorf("a missing file: %v", err)
	}
	w := b.workspace
	for path, want := range map[string]string{"s3://": "expected s3://BUCKET/KEY", "s3://bucket": "expected s3://BUCKET/KEY", "s3://bucket/a?profile=x": "an option is not allowed"} {
		if _, err := w.remote(context.Background(), spec.RemoteWeights{Path: path}); err == nil || !strings.Contains(err.Error(), want) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A pinned digest that the bucket no longer has is an error, and what was downloaded is not used.
func TestChangedBucketWeights(t *testing.T) {
	b := inMemory(t, tinyFiles)
	pinned := protocol.Resolution{Files: []protocol.File{{Name: "config.json", Digest: protocol.Digest([]byte("[]")), Bytes: 2}}}
	err := b.workspace.fetchFrom(t.Context(), b, pinned)
	if protocol.KindOf(err) != protocol.Changed || !strings.Contains(err.Error(), "the file config.json of the weights changed from sha256:") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(b.path(pinned, "config.json")); err == nil {
		t.Error("the changed file is in place")
	}
	pinned.Files[0].Digest = protocol.Digest([]byte("{}"))
	if err := b.workspace.fetchFrom(t.Context(), b, pinned); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(b.path(pinned, "config.json")); err != nil || string(data) != "{}" {
		t.Errorf("%q, error %v", data, err)
	}
}

// google is the part of Google's storage service that weights need: it lists, describes and sends the objects of a
// bucket. The first answer with content ends after cut bytes.
type google struct {
	content map[string]string
	mu      sync.Mutex
	cut     int
	ranges  []string
}

func (g *google) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	describe := func(key string) map[string]string {
		return map[string]string{
			"name": key, "bucket": "bucket", "size": strconv.Itoa(len(g.content[key])), "etag": "e", "generation": "7", "updated": "2026-01-01T00:00:00Z",
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/storage/v1/b/bucket/o" {
		var items []map[string]string
		for key := range g.content {
			if strings.HasPrefix(key, r.URL.Query().Get("prefix")) {
				items = append(items, describe(key))
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"items": items})
		return
	}
	if key, ok := strings.CutPrefix(r.URL.Path, "/storage/v1/b/bucket/o/"); ok && g.content[key] != "" && r.URL.Query().Get("alt") != "media" {
		_ = json.NewEncoder(w).Encode(describe(key))
		return
	}
	key := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/storage/v1/b/bucket/o/"), "/bucket/")
	content, ok := g.content[key]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": 404, "message": "No such object"}})
		return
	}
	w.Header().Set("X-Goog-Generation", "7")
	w.Header().Set("Content-Type", "application/octet-stream")
	g.ranges = append(g.ranges, key+" "+r.Header.Get("Range"))
	if g.cut > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = io.WriteString(w, content[:g.cut])
		w.(http.Flusher).Flush()
		g.cut = 0
		panic(http.ErrAbortHandler)
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
}

// Weights are found, copied and continued in a bucket of Google's service, too.
func TestGoogleWeights(t *testing.T) {
	weights := strings.Repeat("weights ", 100_000)
	service := &google{content: map[string]string{"models/tiny/config.json": "{}", "models/tiny/a.safetensors": weights}, cut: 50_000}
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(server.URL, "http://"))
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	w := &Workspace{digests: digests.New(), absent: map[string]absentWeights{}}
	at, err := w.remote(t.Context(), spec.RemoteWeights{Format: "safetensors", Path: "gs://bucket/models/tiny"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := at.Close(); err != nil {
			t.Error(err)
		}
	}()
	files, _, err := at.find(t.Context())
	if err != nil || len(files) != 2 {
		t.Fatalf("files %v, error %v", files, err)
	}
	pinned := protocol.Resolution{Files: []protocol.File{
		{Name: "a.safetensors", Digest: protocol.Digest([]byte(weights)), Bytes: int64(len(weights))}, {Name: "config.json", Digest: protocol.Digest([]byte("{}")), Bytes: 2},
	}}
	if err := w.fetchFrom(t.Context(), at, pinned); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(at.path(pinned, "a.safetensors")); err != nil || string(data) != weights {
		t.Errorf("%d bytes, error %v", len(data), err)
	}
	service.mu.Lock()
	defer service.mu.Unlock()
	if len(service.ranges) != 3 || service.ranges[1] != "models/tiny/a.safetensors bytes=50000-" {
		t.Errorf("requests %q", service.ranges)
	}
	if _, err := w.remote(t.Context(), spec.RemoteWeights{Format: "gguf", Path: "gs://bucket/../tiny.gguf"}); err == nil || !strings.Contains(err.Error(), `has a part "." or ".."`) {
		t.Errorf("error %v", err)
	}
}
