//go:build s3

package source

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/internal/s3test"
	"surprisal.dev/plugins/bucket"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/providers/source/sourcetest"
)

// serve runs a real S3 server over a directory, whose subdirectories are buckets, and returns the options of its URLs.
func serve(t *testing.T, root string) (options string) {
	t.Helper()
	address := s3test.Serve(t, root, "--sidecar", t.TempDir())
	t.Setenv(bucket.Endpoints, address)
	return "?region=us-east-1&use_path_style=true&endpoint=http://" + address
}

func TestS3(t *testing.T) {
	root := sourcetest.Dir(t, map[string]string{"bucket/in/b.txt": "bee", "bucket/in/a/c.txt": "sea", "bucket/x.md": ""})
	options := serve(t, root)
	source := func(path string) protocol.Source { return sourcetest.Source("", pathConfig(t, path+options)) }

	s := source("s3://bucket/in/**/*.txt")
	pinned, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: s, Network: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []protocol.File{
		{Name: "a/c.txt", Digest: protocol.Digest([]byte("sea")), Bytes: 3},
		{Name: "b.txt", Digest: protocol.Digest([]byte("bee")), Bytes: 3},
	}
	if diff := cmp.Diff(want, pinned.Files); diff != "" || pinned.Local {
		t.Errorf("local %v, files (-want +got):\n%s", pinned.Local, diff)
	}
	rows, err := sourcetest.ReadPinned(t, newWhole(), s, pinned, 0, 0, "text")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`0 a/c.txt:0 "sea"`, `1 b.txt:0 "bee"`}, sourcetest.Format(rows)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}

	sourcetest.Write(t, root+"/bucket/in/b.txt", "wasp")
	if _, err := sourcetest.ReadPinned(t, newWhole(), s, pinned, 0, 0, "text"); protocol.KindOf(err) != protocol.Changed {
		t.Errorf("reading a changed object: %v", err)
	}
	for path, want := range map[string]string{
		"s3://bucket/in/z.txt":  `no object matches; under s3://bucket/in/ there are "b.txt", "a/c.txt"`,
		"s3://bukcet/in/b*.txt": "s3://bukcet/in/ does not exist",
	} {
		_, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: source(path), Network: true})
		if err == nil || !strings.Contains(err.Error(), want) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s: error %v of kind %q; want one of invalid input with %q", path, err, protocol.KindOf(err), want)
		}
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	_, err = newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: s, Network: true})
	if err == nil || !strings.Contains(err.Error(), "check the credentials") || protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("with a wrong secret: error %v of kind %q", err, protocol.KindOf(err))
	}
}
