package store_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"surprisal.dev/plugins/bucket"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/store"
)

// What a spec names may be a stranger's server: it gets no credentials unless the user allows it, and a URL has no option
// that names something of this machine.
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
		{"a profile", "s3://b/dir/table.parquet?profile=other", "", "profile", false, false},
		{"a key file", "gs://b/dir/table.parquet?private_key_path=/k", "", "private_key_path", false, false},
		{"another scheme", "mem://b/dir/table.parquet", "", "schemes are gs and s3", false, false},
		{"a file's URL", "file:///dir/table.parquet", "", "names no object", false, false},
		{"no object", "s3://b/", "", "names no object", false, false},
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
			_, n, err := store.CopyObject(t.Context(), &copied, test.location)
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
