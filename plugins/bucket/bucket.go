package bucket

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/blob/s3blob"

	"surprisal.dev/plugins/protocol"
)

// Origin is the source of a URL.
type Origin int

// Origins of URLs.
const (
	// FromUser is a URL from the user: all options are allowed.
	FromUser Origin = iota
	// FromSpec is a URL from a spec, which may be untrusted.
	FromSpec
)

// Endpoints is the environment variable that lists the endpoints that specs may use.
const Endpoints = "SURPRISAL_ENDPOINTS"

// allowed lists the options that a spec's URLs may have, by scheme.
var allowed = map[string][]string{
	s3blob.Scheme:  {"accelerate", "anonymous", "dualstack", "endpoint", "fips", "region", "use_path_style"},
	gcsblob.Scheme: {"anonymous"},
}

var (
	bucketPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	regionPattern = regexp.MustCompile(`^[a-z0-9-]+$`)
)

func invalid(format string, values ...any) error {
	return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(format, values...)}
}

// Open opens the bucket of a URL, SCHEME://BUCKET?OPTIONS. It sends no request to the service. Its errors begin with
// the bucket, never contain an option's value that may be secret, and have the kind InvalidInput.
func Open(ctx context.Context, scheme, name, options string, origin Origin) (*blob.Bucket, error) {
	where := scheme + "://" + name
	query, err := url.ParseQuery(options)
	if err != nil {
		return nil, invalid("%s: malformed options: %v", where, err)
	}
	if _, ok := allowed[scheme]; !ok {
		return nil, invalid("%s: unknown scheme %q; schemes are gs and s3", where, scheme)
	}
	if origin == FromSpec {
		if err := check(scheme, name, query); err != nil {
			return nil, err
		}
		if err := checkEndpoint(scheme, name, query); err != nil {
			return nil, err
		}
	}
	u := &url.URL{Scheme: scheme, Host: name, RawQuery: options}
	var b *blob.Bucket
	if scheme == gcsblob.Scheme {
		b, err = Google(ctx, u)
	} else {
		b, err = Amazon(ctx, u, func(*http.Transport) {})
	}
	if err != nil {
		return nil, invalid("%s: %v", where, err)
	}
	return b, nil
}

// check rejects options that a spec must not have.
func check(scheme, name string, query url.Values) error {
	where := scheme + "://" + name
	if !bucketPattern.MatchString(name) {
		return invalid("%s: invalid bucket name %q: use letters, digits, dots, hyphens and underscores", where, name)
	}
	for option, values := range query {
		if !slices.Contains(allowed[scheme], option) {
			return invalid("%s: the option %q is not allowed in a spec; allowed are %s. What depends on the user or the machine, "+
				"such as a profile, belongs in the environment", where, option, strings.Join(allowed[scheme], ", "))
		}
		if len(values) != 1 {
			return invalid("%s: the option %q occurs %d times; use it once", where, option, len(values))
		}
	}
	if region := query.Get("region"); region != "" && !regionPattern.MatchString(region) {
		return invalid("%s: region %q: expected lower-case letters, digits and hyphens, as in eu-west-1", where, region)
	}
	return nil
}

// checkEndpoint rejects an endpoint of a spec to which the user did not allow credentials to be sent.
func checkEndpoint(scheme, name string, query url.Values) error {
	where := scheme + "://" + name
	anonymous, _ := strconv.ParseBool(query.Get("anonymous")) // a value that is not a boolean is rejected later
	if !query.Has("endpoint") || anonymous {
		return nil
	}
	endpoint, err := url.Parse(query.Get("endpoint"))
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
		return invalid("%s: endpoint %q: expected http:// or https:// and a host", where, query.Get("endpoint"))
	}
	if userAllows(endpoint) {
		return nil
	}
	return invalid("%s: the spec names the endpoint %s, and your credentials would go there; set %s=%s to allow that, or read "+
		"without credentials: anonymous=true", where, endpoint.Redacted(), Endpoints, endpoint.Host)
}

// userAllows reports whether the environment allows the host of an endpoint.
func userAllows(endpoint *url.URL) bool {
	for _, variable := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"} {
		if own, err := url.Parse(os.Getenv(variable)); err == nil && own.Host != "" && same(own, endpoint) {
			return true
		}
	}
	for host := range strings.SplitSeq(os.Getenv(Endpoints), ",") {
		host = strings.TrimSpace(host)
		_, _, err := net.SplitHostPort(host)
		if host != "" && (strings.EqualFold(host, endpoint.Host) || err != nil && strings.EqualFold(strings.Trim(host, "[]"), endpoint.Hostname())) {
			return true
		}
	}
	return false
}

func same(a, b *url.URL) bool { return a.Scheme == b.Scheme && strings.EqualFold(a.Host, b.Host) }
