package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"surprisal.dev/internal/glob"
	"surprisal.dev/plugins/bucket"
	"surprisal.dev/plugins/sdk"
)

// remoteEnvironment lists the variables that the clients of remote services read: credentials, addresses and proxies.
var remoteEnvironment = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE",
	"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE",
	"AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	"AWS_EC2_METADATA_DISABLED",
	"GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CONFIG", "GCE_METADATA_HOST", "STORAGE_EMULATOR_HOST",
	bucket.Endpoints, "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
}

// locate parses the URL of an object or a glob, without network.
func locate(address string) (bucket.Location, error) {
	at, err := bucket.Parse(address)
	if err != nil {
		return at, err
	}
	_, _, _, err = parseGlob(at)
	return at, err
}

// parseGlob parses the key of a location as a glob below a directory, which is nil if the key has none.
func parseGlob(at bucket.Location) (base, pattern string, matching *glob.Glob, err error) {
	base, pattern = doublestar.SplitPattern(at.Key)
	if strings.ContainsAny(at.Key, `*[{\`) {
		if matching, err = glob.Parse(pattern); err != nil {
			err = sdk.Invalid("path %.200q %v", at.Where()+"/"+at.Key, err)
		}
	}
	return base, pattern, matching, err
}

// findRemote finds the objects that a location names.
func findRemote(ctx context.Context, at bucket.Location) (*set, error) {
	bucket, err := at.Open(ctx)
	if err != nil {
		return nil, err
	}
	s := &set{bucket: bucket}
	if err := s.list(ctx, at); err != nil {
		return nil, errors.Join(err, bucket.Close())
	}
	return s, nil
}

// list adds the objects that a location names.
func (s *set) list(ctx context.Context, at bucket.Location) error {
	prefix, key := at.Where()+"/", at.Key
	exists, err := s.bucket.Exists(ctx, key)
	if err != nil {
		return remoteError(prefix+key, err)
	}
	if exists {
		s.entries = []entry{{name: key[strings.LastIndexByte(key, '/')+1:], label: prefix + key, bucket: s.bucket, key: key}}
		return nil
	}
	base, pattern, matching, err := parseGlob(at)
	if err != nil {
		return err
	}
	root := ""
	if base != "." {
		root = base + "/"
	}
	var others []string
	objects := s.bucket.List(&blob.ListOptions{Prefix: root})
	for {
		o, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return remoteError(prefix+root, err)
		}
		name := strings.TrimPrefix(o.Key, root)
		switch {
		case name == "" || strings.HasSuffix(name, "/"): // a directory marker
		case matching != nil && matching.Match(name):
			s.entries = append(s.entries, entry{name: name, label: prefix + o.Key, bucket: s.bucket, key: o.Key})
		case len(others) < 1000:
			others = append(others, name)
		}
	}
	if len(s.entries) == 0 {
		return sdk.Invalid("path %q: no object matches; under %s there are %s", prefix+key, prefix+root,
			advise(Candidates(pattern, others), "check the key"))
	}
	s.sort()
	return nil
}

// remoteError explains a service's error to the user.
func remoteError(label string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return sdk.Invalid("%s does not exist: %v", label, err)
	case gcerrors.PermissionDenied:
		return sdk.Invalid("%s: not allowed: %v; check the credentials in the environment", label, err)
	}
	return fmt.Errorf("reading %s: %w", label, err)
}
