package store_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"surprisal.dev/plugins/bucket"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/store"
)

// A file is copied with its digest and size. Anything but a regular file is rejected, because opening a pipe would
// block.
func TestCopyObjectFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "table")
	if err := os.WriteFile(path, []byte("bee"), 0o666); err != nil {
		t.Fatal(err)
	}
	var copied strings.Builder
	digest, n, err := store.CopyObject(t.Context(), &copied, path, "")
	if err != nil || copied.String() != "bee" || n != 3 || digest != protocol.Digest([]byte("bee")) {
		t.Errorf("copied %q, %d bytes, %s, %v", copied.String(), n, digest, err)
	}
	for location, want := range map[string]string{
		dir: "is not a regular file (d", os.DevNull: "is not a regular file (D", path + "x": "there is no " + path + "x; check the path",
	} {
		if _, _, err := store.CopyObject(t.Context(), io.Discard, location, ""); protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), want) {
			t.Errorf("CopyObject(%s): %v; want an error with %q", location, err, want)
		}
	}
	for location, want := range map[string]bool{"s3://b/x": true, "file:///x": true, "/x": false, "x:y": false, "C:/x": false} {
		if store.IsURL(location) != want {
			t.Errorf("IsURL(%q) is not %v", location, want)
		}
	}
}

// FileOf finds a file by its whole name.
func TestFileOf(t *testing.T) {
	files := []store.File{{Name: "a", Bytes: 1}, {Name: "b/c", Bytes: 2}}
	if f, err := store.FileOf(files, "b/c"); err != nil || f != files[1] {
		t.Errorf("got %v, %v", f, err)
	}
	if f, err := store.FileOf(files, "c"); err == nil || err.Error() != `there is no file "c"; the files are a, b/c` || f != (store.File{}) {
		t.Errorf("got %v, %v", f, err)
	}
}

// A spec may refer to an untrusted server. It gets no credentials unless the user allows it, and a URL must have no
// option that refers to this machine.
func TestCopyObjectURL(t *testing.T) {
	var requests, signed atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.Header.Get("Authorization")+r.Header.Get("X-Amz-Security-Token") != "" {
			signed.Add(1)
		}
		if r.URL.Path != "/b/dir/table.parquet" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if _, err := io.WriteString(w, "bee"); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	endpoint := "?region=us-east-1&use_path_style=true&endpoint=" + server.URL
	for _, test := range []struct {
		name, location, allowed string
		refused                 string // part of the error, "" if the object is read
		requests, signed        bool
	}{
		{"an endpoint", "s3://b/dir/table.parquet" + endpoint, "", bucket.Endpoints, false, false},
		{"anonymous", "s3://b/dir/table.parquet" + endpoint + "&anonymous=true", "", "", true, false},
		{"allowed", "s3://b/dir/table.parquet" + endpoint, host, "", true, true},
		{"no such object", "s3://b/dir/none.parquet" + endpoint, host, "there is no s3://b/dir/none.parquet", true, true},
		{"a profile", "s3://b/dir/table.parquet?profile=other", "", "an option is not allowed", false, false},
		{"a key file", "gs://b/dir/table.parquet?private_key_path=/k", "", "an option is not allowed", false, false},
		{"another scheme", "mem://b/dir/table.parquet", "", "schemes are gs and s3", false, false},
		{"a file's URL", "file:///dir/table.parquet", "", `unknown scheme "file"`, false, false},
		{"a mistyped URL", "s3:/AKIA:SeKrEt@b/table.parquet", "", "there is no ...; check the path", false, false},
		{"no object", "s3://b/", "", "expected s3://BUCKET/KEY", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, value := range map[string]string{
				"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "not a secret", "AWS_SESSION_TOKEN": "the session",
				"AWS_PROFILE": "", "AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": "", "AWS_EC2_METADATA_DISABLED": "true",
				"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, bucket.Endpoints: test.allowed,
			} {
				t.Setenv(name, value)
			}
			requests.Store(0)
			signed.Store(0)
			var copied strings.Builder
			_, n, err := store.CopyObject(t.Context(), &copied, test.location, "")
			switch {
			case test.refused == "" && (err != nil || copied.String() != "bee" || n != 3):
				t.Errorf("copied %q, %d bytes, %v, want bee", copied.String(), n, err)
			case test.refused != "" && (protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), test.refused)):
				t.Errorf("error %v, want invalid input with %q", err, test.refused)
			}
			if requests.Load() > 0 != test.requests || signed.Load() > 0 != test.signed {
				t.Errorf("%d requests, %d with credentials, want any: %t and %t", requests.Load(), signed.Load(), test.requests, test.signed)
			}
		})
	}
}
