package bucket

import (
	"context"
	"slices"
	"strings"

	"gocloud.dev/blob"

	"surprisal.dev/internal/address"
)

// Location is a place in a bucket that a spec names. Its key is used literally, without percent escapes.
type Location struct {
	Scheme, Name, Key, Options string
}

// Parse parses the URL of an object, or of a glob of objects: SCHEME://BUCKET/KEY?OPTIONS. It sends no request. Its
// errors have the kind InvalidInput, and contain neither credentials nor values of options.
func Parse(address string) (Location, error) {
	l, err := ParseDirectory(address)
	if err == nil && strings.HasSuffix(l.Key, "/") {
		return l, invalid("path %q: expected %s://BUCKET/KEY, where KEY is an object or a glob and does not end with a slash", l.Where()+"/"+l.Key, l.Scheme)
	}
	return l, err
}

// ParseDirectory is Parse for a key that may end with a slash.
func ParseDirectory(location string) (l Location, err error) {
	place, options, _ := strings.Cut(location, "?")
	scheme, rest, _ := strings.Cut(place, "://")
	name, key, _ := strings.Cut(rest, "/")
	shown := address.Printable(place)
	if at := strings.LastIndexByte(location, '@'); strings.Contains(name, "@") || at >= 0 && strings.ContainsAny(name, ":%") {
		return l, invalid("path %q: the URL has credentials, which everybody who reads the spec sees; "+
			"remove them, and set credentials in the environment", shown)
	}
	if _, ok := allowed[scheme]; !ok {
		return l, invalid("path %q: unknown scheme %q; schemes are gs and s3", shown, address.Printable(scheme))
	}
	if name == "" || strings.Trim(key, "/") == "" {
		return l, invalid("path %q: expected %s://BUCKET/KEY", shown, scheme)
	}
	parts := strings.Split(key, "/")
	if slices.Contains(parts, "..") || slices.Contains(parts, ".") {
		return l, invalid(`path %q: the key has a part "." or ".."; use %s://BUCKET/KEY as the bucket lists it`, shown, scheme)
	}
	query, err := parseOptions(scheme, name, options)
	if err != nil {
		return l, err
	}
	return Location{scheme, name, key, options}, check(scheme, name, query)
}

// Where is the bucket.
func (l Location) Where() string { return l.Scheme + "://" + l.Name }

// Open opens the bucket, with the options that a spec may have; see Open.
func (l Location) Open(ctx context.Context) (*blob.Bucket, error) {
	return Open(ctx, l.Scheme, l.Name, l.Options, FromSpec)
}
