package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"surprisal.dev/internal/address"
	"surprisal.dev/internal/confine"
	buckets "surprisal.dev/plugins/bucket"
)

// IsURL reports whether a location is a URL and not a path.
func IsURL(location string) bool { return strings.Contains(location, "://") }

// CopyObject copies to w an object that a spec refers to, which need not be in a store: a file, or a URL such as
// s3://bucket/directory/name. It returns the digest and the size of the data. A URL may have the options that package
// bucket allows in a spec, and credentials are sent to its endpoint only if the user allows that. An invalid URL and a
// missing object are errors of kind InvalidInput. If confined is set, a file outside of that directory is an error.
func CopyObject(ctx context.Context, w io.Writer, location, confined string) (digest string, size int64, err error) {
	shown := location
	if !IsURL(location) { // bucket.Parse checks a URL
		shown = address.Printable(location)
	}
	in, err := openObject(ctx, location, confined)
	if errors.Is(err, fs.ErrNotExist) {
		return "", 0, invalid("there is no %s; check the path", shown)
	}
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	h := sha256.New()
	if size, err = io.Copy(io.MultiWriter(w, h), in); err != nil {
		return "", size, fmt.Errorf("%s: %w", shown, err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), size, nil
}

func openObject(ctx context.Context, location, confined string) (io.ReadCloser, error) {
	if !IsURL(location) {
		f, err := confine.Open(confined, location)
		if irregular, ok := errors.AsType[*confine.IrregularError](err); ok {
			return nil, invalid("%s is not a regular file (%s)", location, irregular.Mode)
		}
		if err != nil {
			return nil, err
		}
		return f, nil
	}
	at, err := buckets.Parse(location)
	if err != nil {
		return nil, err
	}
	b, err := at.Open(ctx)
	if err != nil {
		return nil, err
	}
	k := &bucket{b: b, name: at.Where()}
	in, err := k.open(ctx, at.Key)
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
