//go:build s3

package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"surprisal.dev/internal/s3test"
	"surprisal.dev/plugins/bucket"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action/materialize"
)

// s3 is a machine with a bucket.
type s3 struct {
	*machine
	// files is the directory of the bucket's objects.
	files string
	// options are the options of URLs of the bucket.
	options string

	mu sync.Mutex
	// end, if set, may end the body of an answer to a request for an object early.
	end func(r *http.Request, body io.ReadCloser) io.ReadCloser
	// ranges are the ranges of the requests for objects so far, by key.
	ranges map[string][]string
	// ended is closed at the end of the test.
	ended chan struct{}
}

// newS3 runs a real S3 server behind a proxy that can end its answers early.
func newS3(t *testing.T) *s3 {
	t.Helper()
	root := t.TempDir()
	s := &s3{machine: newMachine(t), files: filepath.Join(root, "bucket"), ranges: map[string][]string{}, ended: make(chan struct{})}
	if err := os.Mkdir(s.files, 0o755); err != nil {
		t.Fatal(err)
	}
	behind, err := url.Parse("http://" + s3test.Serve(t, root, "--sidecar", t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		// The name of the host is part of the signature.
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(behind); r.Out.Host = r.In.Host },
		ModifyResponse: func(r *http.Response) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if r.Request.Method != http.MethodGet {
				return nil
			}
			s.ranges[r.Request.URL.Path] = append(s.ranges[r.Request.URL.Path], r.Request.Header.Get("Range"))
			if s.end != nil {
				r.Body = s.end(r.Request, r.Body)
			}
			return nil
		},
		// What is read is sent at once; that answers are cut is not worth a line.
		FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
	}
	front := httptest.NewServer(proxy)
	t.Cleanup(func() {
		close(s.ended)
		front.CloseClientConnections()
		front.Close()
	})
	s.options = "?use_path_style=true&endpoint=" + front.URL
	for name, value := range s3test.Environment {
		s.environment = append(s.environment, name+"="+value)
	}
	s.environment = append(s.environment, bucket.Endpoints+"="+strings.TrimPrefix(front.URL, "http://"))
	return s
}

// put writes an object.
func (s *s3) put(t *testing.T, key string, content []byte) {
	t.Helper()
	b, err := bucket.Open(t.Context(), "s3", "bucket", strings.TrimPrefix(s.options, "?"), bucket.FromUser)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.WriteAll(t.Context(), key, content, nil), b.Close()); err != nil {
		t.Fatal(err)
	}
}

// asked returns the ranges of the requests for an object since the last call.
func (s *s3) asked(key string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := "/bucket/" + key
	got := s.ranges[path]
	delete(s.ranges, path)
	return got
}

func (s *s3) endWith(end func(r *http.Request, body io.ReadCloser) io.ReadCloser) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = end
}

// cut is a body that ends with an error, after it has called then.
type cut struct {
	io.Reader
	io.Closer
	then func()
}

func (c *cut) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if err == io.EOF {
		c.then()
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// Weights in a bucket, as a directory and as a file, are pinned by their content. A connection that is cut, and a process
// that is killed, cost only what was not read yet. An object that has changed is refused.
func TestS3Weights(t *testing.T) {
	s := newS3(t)
	random := rand.New(rand.NewPCG(3, 4))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	const key, single = "models/tiny/model.safetensors", "models/tiny.gguf"
	weights, file := noise(6<<20), noise(3<<20)
	s.put(t, "models/tiny/config.json", []byte(`{"model_type": "tiny"}`))
	s.put(t, "models/tiny/tokenizer.json", []byte("{}"))
	s.put(t, "models/tiny/README.md", []byte("no part of it"))
	s.put(t, key, weights)
	s.put(t, single, file)
	s.experiment(t, "x", fmt.Sprintf(`
datasets: d: source: text: path: "x.cue"
models: directory: {backend: uniform: {}, weights: safetensors: path: "s3://bucket/models/tiny%s"}
models: file: {backend: uniform: {}, weights: gguf: path: "s3://bucket/models/tiny.gguf%s"}
`, s.options, s.options))

	if code, out := s.start(t, "plan", "x").end(); code != 2 || !strings.Contains(out, "the weights are not pinned; run `runner pin`") {
		t.Errorf("plan before pin: exit code %d\n%s", code, out)
	}

	// The process is killed while it waits for the second MiB.
	s.endWith(func(r *http.Request, body io.ReadCloser) io.ReadCloser {
		if !strings.HasSuffix(r.URL.Path, "/model.safetensors") {
			return body
		}
		return &cut{io.LimitReader(body, 1<<20), body, func() {
			select {
			case <-r.Context().Done():
			case <-s.ended:
			}
		}}
	})
	killed := s.start(t, "pin", "x")
	killed.until(t, func() bool { return s.incomplete(t) == 1<<20 })
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed.end()
	if _, err := os.Stat(filepath.Join(s.dir, "x", "surprisal.lock")); err == nil {
		t.Error("the killed process wrote a lock file")
	}

	// The next one continues there. Its connection is cut once.
	s.asked(key)
	cuts := 0
	s.endWith(func(r *http.Request, body io.ReadCloser) io.ReadCloser {
		if !strings.HasSuffix(r.URL.Path, "/model.safetensors") || cuts > 0 {
			return body
		}
		cuts++
		return &cut{io.LimitReader(body, 2<<20), body, func() {}}
	})
	s.must(t, "pin", "x")
	s.endWith(nil)
	if got, want := s.asked(key), []string{"bytes=1048576-", "bytes=3145728-"}; !slices.Equal(got, want) {
		t.Errorf("the weights were asked for from %q, want %q", got, want)
	}
	lock, err := os.ReadFile(filepath.Join(s.dir, "x", "surprisal.lock"))
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range [][]byte{weights, file} {
		if digest := protocol.Digest(content); !bytes.Contains(lock, []byte(digest)) {
			t.Errorf("the lock file does not have %s:\n%s", digest, lock)
		}
	}
	if bytes.Contains(lock, []byte("README")) {
		t.Errorf("the lock file has files other than weights:\n%s", lock)
	}
	s.must(t, "run", "x")
	if got := s.asked(key); len(got) > 0 {
		t.Errorf("a run asked again: %q", got)
	}

	// Without the copies, a run downloads the pinned content, and nothing else. A repeated action does that, too.
	s.forget(t)
	s.asked(single)
	s.must(t, "verify", "x", "score file d")
	if got := s.asked(single); len(got) != 1 {
		t.Errorf("to execute an action again, the file was asked for %d times", len(got))
	}
	if got := s.asked(key); len(got) > 0 {
		t.Errorf("to execute an action again, other weights were read: %q", got)
	}
	s.put(t, key, noise(6<<20))
	s.put(t, "models/tiny/new.json", []byte("{}"))
	if err := os.RemoveAll(filepath.Join(s.dir, "x", ".surprisal")); err != nil {
		t.Fatal(err)
	}
	s.forget(t)
	code, out := s.start(t, "run", "x").end()
	if want := "the file model.safetensors of the weights changed from sha256:"; code == 0 || !strings.Contains(out, want) || !strings.Contains(out, "runner pin") {
		t.Errorf("after a change: exit code %d\n%s\nwant %q", code, out, want)
	}
	s.must(t, "pin", "x")
	s.must(t, "run", "x")
}

// incomplete returns the size of the largest incomplete copy of weights.
func (s *s3) incomplete(t *testing.T) (largest int64) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.home, "cache", "surprisal", "weights", "objects", "*.incomplete"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		if info, err := os.Stat(path); err == nil {
			largest = max(largest, info.Size())
		}
	}
	return largest
}

// forget removes the copies of weights.
func (s *s3) forget(t *testing.T) {
	t.Helper()
	for _, name := range []string{"objects", "models"} {
		if err := os.RemoveAll(filepath.Join(s.home, "cache", "surprisal", "weights", name)); err != nil {
			t.Fatal(err)
		}
	}
}

// A dataset that is exported to a bucket is read from there, pinned by the digest that its description has, with the same
// losses.
func TestS3Export(t *testing.T) {
	s := newS3(t)
	s.experiment(t, "x", `
datasets: pages: {source: jsonl: path: "pages.jsonl", tags: ["web"], limits: documents: 2}
models: m: backend: uniform: {}
`)
	if err := os.WriteFile(filepath.Join(s.dir, "x", "pages.jsonl"), []byte("{\"text\": \"One page.\"}\n{\"text\": \"Une page <été> & more…\"}\n{\"text\": \"A third.\"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.must(t, "run", "x")
	to := "s3://bucket/heldout/pages" + s.options
	s.must(t, "export", "x", "materialize pages", to)
	if code, out := s.start(t, "export", "x", "materialize pages", to).end(); code != 2 || !strings.Contains(out, "cannot export to heldout/pages: the bucket has heldout/pages/") {
		t.Errorf("an export over another: exit code %d\n%s", code, out)
	}
	data, err := os.ReadFile(filepath.Join(s.files, "heldout", "pages", materialize.HeldoutMetadataFile))
	if err != nil {
		t.Fatal(err)
	}
	var described materialize.Heldout
	if err := json.Unmarshal(data, &described); err != nil {
		t.Fatal(err)
	}
	if described.Dataset != "pages" || described.File.Records != 2 || described.Source.RowsRead != 2 || len(described.Source.Files) != 1 {
		t.Errorf("the description is %s", data)
	}
	object, err := os.ReadFile(filepath.Join(s.files, "heldout", "pages", materialize.HeldoutFile))
	if err != nil || protocol.Digest(object) != described.File.Digest {
		t.Errorf("the object has the digest %s, described as %s; %v", protocol.Digest(object), described.File.Digest, err)
	}

	s.experiment(t, "y", fmt.Sprintf(`
datasets: pages: source: jsonl: path: "s3://bucket/heldout/pages/%s%s"
models: m: backend: uniform: {}
`, materialize.HeldoutFile, s.options))
	s.must(t, "pin", "y")
	lock, err := os.ReadFile(filepath.Join(s.dir, "y", "surprisal.lock"))
	if err != nil || !bytes.Contains(lock, []byte(described.File.Digest)) {
		t.Errorf("the lock file does not have %s, %v:\n%s", described.File.Digest, err, lock)
	}
	s.must(t, "run", "y")
	var summaries []string
	for _, dir := range []string{"x", "y"} {
		code, out := s.start(t, "show", "-C", dir, "score m pages", "summary.json").end()
		if code != 0 {
			t.Fatalf("exit code %d\n%s", code, out)
		}
		summaries = append(summaries, out)
	}
	if summaries[0] != summaries[1] {
		t.Errorf("the losses differ:\n%s\n%s", summaries[0], summaries[1])
	}

	// What is in the bucket now is not what was pinned.
	s.put(t, "heldout/pages/"+materialize.HeldoutFile, object[:len(object)-1])
	if err := os.RemoveAll(filepath.Join(s.dir, "y", ".surprisal")); err != nil {
		t.Fatal(err)
	}
	if code, out := s.start(t, "run", "y").end(); code == 0 || !strings.Contains(out, "changed") || !strings.Contains(out, "runner pin") {
		t.Errorf("after a change: exit code %d\n%s", code, out)
	}
}
