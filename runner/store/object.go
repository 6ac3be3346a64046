package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"strings"
)

// IsURL reports whether a location is a URL and not a path.
func IsURL(location string) bool { return strings.Contains(location, "://") }

// CopyObject writes one object, which need not be in a store, to w: a file, or a URL such as s3://bucket/directory/name. It
// returns the digest and the size of what it wrote. That there is no such object is an error of kind InvalidInput.
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
	u, err := url.Parse(location)
	if err != nil || u.Path == "" || strings.HasSuffix(u.Path, "/") {
		return nil, invalid("%q names no object; write s3://BUCKET/NAME or gs://BUCKET/NAME", location)
	}
	name := path.Base(u.Path)
	u.Path = path.Dir(u.Path)
	b, err := openBucket(ctx, u.String())
	if err != nil {
		return nil, err
	}
	in, err := b.open(ctx, name)
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return &objectReader{in, b}, nil
}

// objectReader closes the bucket together with the object.
type objectReader struct {
	io.ReadCloser
	of *bucket
}

func (r *objectReader) Close() error { return errors.Join(r.ReadCloser.Close(), r.of.close()) }
