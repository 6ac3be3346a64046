package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	buckets "surprisal.dev/plugins/bucket"
)

// IsURL reports whether a location is a URL and not a path.
func IsURL(location string) bool { return strings.Contains(location, "://") }

// CopyObject copies to w an object that a spec refers to, which need not be in a store: a file, or a URL such as
// s3://bucket/directory/name. It returns the digest and the size of the data. A URL may have the options that package
// bucket allows in a spec, and credentials are sent to its endpoint only if the user allows that. An invalid URL and a
// missing object are errors of kind InvalidInput.
func CopyObject(ctx context.Context, w io.Writer, location string) (digest string, size int64, err error) {
	in, err := openObject(ctx, location)
	if errors.Is(err, fs.ErrNotExist) {
		return "", 0, invalid("there is no %s; check the path", location)
	}
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	h := sha256.New()
	if size, err = io.Copy(io.MultiWriter(w, h), in); err != nil {
		return "", size, fmt.Errorf("%s: %w", location, err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), size, nil
}

func openObject(ctx context.Context, location string) (io.ReadCloser, error) {
	if !IsURL(location) {
		if info, err := os.Stat(location); err == nil && !info.Mode().IsRegular() {
			return nil, invalid("%s is not a regular file (%s)", location, info.Mode())
		}
		return os.Open(location)
	}
	scheme, rest, _ := strings.Cut(location, "://")
	rest, options, _ := strings.Cut(rest, "?")
	name, key, _ := strings.Cut(rest, "/")
	if name == "" || key == "" || strings.HasSuffix(key, "/") {
		return nil, invalid("%q is not the URL of an object; use s3://BUCKET/NAME or gs://BUCKET/NAME", location)
	}
	b, err := buckets.Open(ctx, scheme, name, options, buckets.FromSpec)
	if err != nil {
		return nil, err
	}
	k := &bucket{b: b, name: scheme + "://" + name}
	in, err := k.open(ctx, key)
	if err != nil {
		return nil, errors.Join(err, k.close())
	}
	return &objectReader{in, k}, nil
}

// objectReader closes the bucket together with the object.
type objectReader struct {
	io.ReadCloser
	of *bucket
}

func (r *objectReader) Close() error { return errors.Join(r.ReadCloser.Close(), r.of.close()) }
