//go:build s3

package store_test

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"surprisal.dev/internal/s3test"
	"surprisal.dev/runner/store"
)

const bucketName = "experiments"

// server runs a real S3 server for the length of a test and returns its endpoint and the directory of its one bucket.
func server(t *testing.T) (endpoint, bucket string) {
	t.Helper()
	root := t.TempDir()
	bucket = filepath.Join(root, bucketName)
	if err := os.Mkdir(bucket, 0o777); err != nil {
		t.Fatal(err)
	}
	// Without extended attributes the server keeps checksums in separate files, and an overwrite is not atomic.
	return "http://" + s3test.Serve(t, root), bucket
}

func location(endpoint, bucket string) string {
	return "s3://" + bucket + "?use_path_style=true&endpoint=" + endpoint
}

func TestS3(t *testing.T) {
	endpoint, _ := server(t)
	testStore(t, open(t, location(endpoint, bucketName)))
	// Another prefix of the same bucket is another store.
	s := open(t, location(endpoint, bucketName+"/team/a"))
	if runs, err := s.Runs(t.Context()); err != nil || len(runs) != 0 {
		t.Errorf("Runs: %v, %v", runs, err)
	}
	testStore(t, s)
}

func TestS3GCBesideRuns(t *testing.T) {
	endpoint, _ := server(t)
	at := location(endpoint, bucketName)
	s := open(t, at)
	store.SetLiveness(s, 200*time.Millisecond, time.Minute, 4*time.Second)
	testGCBesideRuns(t, s, at, "SURPRISAL_STORE_TEST_EXPIRY=1")
}

// A writer that is killed during an upload leaves no incomplete object.
func TestS3Kill(t *testing.T) {
	endpoint, _ := server(t)
	at := location(endpoint, bucketName)
	s := open(t, at)
	for range 5 {
		c := start(t, "upload", at)
		c.line(t)
		time.Sleep(rand.N(300 * time.Millisecond))
		for _, key := range c.kill(t) {
			if !hit(t, s, key) {
				t.Errorf("action %s was stored and is gone", key)
			}
		}
		verify(t, s)
	}
}

// In a bucket, records are also created once, and foreign buckets are rejected.
func TestS3Marker(t *testing.T) {
	endpoint, bucket := server(t)
	writeTree(t, bucket, map[string]string{"old/actions/ab/x.json": "{}", "letters/letter.txt": "dear"})
	for prefix, want := range map[string]string{"old": "was made by an older runner", "letters": "is not a store: it contains letter.txt", "": "is not a store"} {
		s, err := store.Open(t.Context(), location(endpoint, bucketName+"/"+prefix))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open of %q: %v, %v; want an error with %q", prefix, s, err, want)
		}
	}
	at := location(endpoint, bucketName+"/new")
	var children []*child
	for range 4 {
		children = append(children, start(t, "others", at))
	}
	for range 20 {
		digests := map[string]bool{}
		for _, c := range children {
			digests[c.line(t)] = true
		}
		if len(digests) != 1 {
			t.Errorf("a key has the results %v", digests)
		}
	}
	for _, c := range children {
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	verify(t, open(t, at))
}

// An upload that fails at its end, after some parts were received, publishes nothing.
func TestS3Abort(t *testing.T) {
	endpoint, bucket := server(t)
	s := open(t, location(endpoint, bucketName))
	f, err := os.Create(filepath.Join(t.TempDir(), "changed"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, 20<<20)); err != nil {
		t.Fatal(err)
	}
	digest := "sha256:" + strings.Repeat("0", 64)
	if err := store.Adopt(t.Context(), s, digest, f); err == nil || !strings.Contains(err.Error(), "changed after it was hashed") {
		t.Errorf("upload of a file that changed: %v", err)
	}
	if _, err := s.Open(t.Context(), digest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was published: %v", err)
	}
	if left := files(t, bucket); len(left) != 1 || filepath.Base(left[0]) != "store.json" {
		t.Errorf("the server holds %v", left)
	}
}

// A download is checked before anyone can use it.
func TestS3Damage(t *testing.T) {
	endpoint, bucket := server(t)
	s := open(t, location(endpoint, bucketName))
	begin(t, s, "r")
	r := mustRecord(t, s, 1, "content", "more")
	path := func(i int) string {
		hex := r.Outputs[i].Digest[len("sha256:"):]
		return bucketName + "/blobs/sha256/" + hex[:2] + "/" + hex
	}
	// One blob is replaced through the server, another without its knowledge.
	if err := store.Overwrite(t.Context(), s, r.Outputs[0].Digest, "c0ntent"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(bucket), path(1)), []byte("m0re"), 0o666); err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	// Objects with a wrong checksum cannot be read; nothing else is known about them.
	for i, f := range r.Outputs {
		path, err := s.LocalPath(t.Context(), f.Digest, cache)
		if err == nil || errors.Is(err, fs.ErrNotExist) != (i == 0) {
			t.Errorf("LocalPath of a damaged blob: %s, %v", path, err)
		}
	}
	if left := files(t, filepath.Join(cache, "blobs")); len(left) != 0 {
		t.Errorf("the cache holds %v", left)
	}
	problems, err := s.Verify(t.Context(), nil)
	if err != nil || len(problems) != 3 { // one was moved aside and is missing, one cannot be read
		t.Errorf("Verify: %v, %v", problems, err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(bucket), path(0))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a damaged blob is where a good one belongs: %v", err)
	}
}

func TestS3Errors(t *testing.T) {
	endpoint, _ := server(t)
	if _, err := store.Open(t.Context(), location(endpoint, "absent")); err == nil || !strings.Contains(err.Error(), "s3://absent: no such bucket") {
		t.Errorf("absent bucket: %v", err)
	}
	s := open(t, location(endpoint, bucketName))
	if _, err := s.Open(t.Context(), "sha256:"+strings.Repeat("0", 64)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent blob: %v", err)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	if _, err := store.Open(t.Context(), location(endpoint, bucketName)); err == nil || !strings.Contains(err.Error(), "check the name, the endpoint, the network and the credentials") {
		t.Errorf("wrong credentials: %v", err)
	}
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	if _, err := store.Open(t.Context(), location("http://127.0.0.1:1", bucketName)); err == nil || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("no server: %v", err)
	}
}
