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

	"surprisal.dev/internal/address"
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
	where := printable(scheme, name)
	query, err := parseOptions(scheme, name, options)
	if err != nil {
		return nil, err
	}
	if _, ok := allowed[scheme]; !ok {
		return nil, invalid("%s: unknown scheme %q; schemes are gs and s3", where, address.Printable(scheme))
	}
	if err := checkName(scheme, name); err != nil {
		return nil, err
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
		return nil, invalid("%s: %s", where, Cause(err, u))
	}
	return b, nil
}

// Cause returns the text of an error of opening the bucket of u, without the parts of u that may be secret: those that
// the drivers quote, and the values of options.
func Cause(err error, u *url.URL) string {
	const shortest = 6 // a shorter value is not a secret, and may occur in other words
	secrets := []string{u.String()}
	for _, values := range u.Query() {
		for _, v := range values {
			if len(v) >= shortest {
				secrets = append(secrets, v)
			}
		}
	}
	return address.Cause(strings.TrimPrefix(err.Error(), "open bucket "+u.String()+": "), secrets...)
}

// printable returns the address of a bucket for a message.
func printable(scheme, name string) string { return address.Printable(scheme + "://" + name) }

// parseOptions parses the options of a URL. Its errors do not quote them.
func parseOptions(scheme, name, options string) (url.Values, error) {
	query, err := url.ParseQuery(options)
	if err != nil {
		return nil, invalid("%s: malformed options: %s; use NAME=VALUE&NAME=VALUE", printable(scheme, name), address.Cause(err.Error()))
	}
	return query, nil
}

func checkName(scheme, name string) error {
	if !bucketPattern.MatchString(name) {
		return invalid("%s: invalid bucket name: use letters, digits, dots, hyphens and underscores", printable(scheme, name))
	}
	return nil
}

// check rejects options that a spec must not have. Its errors quote no name that is not allowed, and no value: both may be
// secret.
func check(scheme, name string, query url.Values) error {
	if err := checkName(scheme, name); err != nil {
		return err
	}
	where := scheme + "://" + name
	for option, values := range query {
		if !slices.Contains(allowed[scheme], option) {
			return invalid("%s: an option is not allowed in a spec; allowed are %s. What depends on the user or the machine, "+
				"such as a profile, belongs in the environment", where, strings.Join(allowed[scheme], ", "))
		}
		if len(values) != 1 {
			return invalid("%s: the option %q occurs %d times; use it once", where, option, len(values))
		}
		if expected := checkOption(option, values[0]); expected != "" {
			return invalid("%s: the option %q: expected %s", where, option, expected)
		}
	}
	return nil
}

// checkOption returns what is expected of an option that has a wrong value.
func checkOption(option, value string) string {
	switch option {
	case "region":
		if value != "" && !regionPattern.MatchString(value) {
			return "lower-case letters, digits and hyphens, as in eu-west-1"
		}
	case "endpoint":
		if u, err := url.Parse(value); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" ||
			u.User != nil || u.ForceQuery || u.RawQuery != "" || u.Fragment != "" {
			return "http:// or https:// and a host, without a user, a password and options"
		}
	default:
		if _, err := strconv.ParseBool(value); err != nil {
			return "true or false"
		}
	}
	return ""
}

// checkEndpoint rejects an endpoint of a spec to which the user did not allow credentials to be sent. The options were
// checked.
func checkEndpoint(scheme, name string, query url.Values) error {
	anonymous, _ := strconv.ParseBool(query.Get("anonymous")) // none is false
	if !query.Has("endpoint") || anonymous {
		return nil
	}
	endpoint, err := url.Parse(query.Get("endpoint"))
	if err != nil {
		return err
	}
	if userAllows(endpoint) {
		return nil
	}
	return invalid("%s://%s: the spec names the endpoint %s, and your credentials would go there; set %s=%s to allow that, or read "+
		"without credentials: anonymous=true", scheme, name, endpoint, Endpoints, endpoint.Host)
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
