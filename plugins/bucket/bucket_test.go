package bucket_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"surprisal.dev/plugins/bucket"
	"surprisal.dev/plugins/protocol"
)

// offline sets credentials, and hides those of this machine from the test.
func offline(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "not a secret", "AWS_SESSION_TOKEN": "the session", "AWS_PROFILE": "",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": "", bucket.Endpoints: "",
		"GOOGLE_APPLICATION_CREDENTIALS": "", "CLOUDSDK_CONFIG": t.TempDir(), "HOME": t.TempDir(), "STORAGE_EMULATOR_HOST": "",
		"GCE_METADATA_HOST": "",
	} {
		t.Setenv(name, value)
	}
}

// listener is a server that counts requests and keeps the secret parts of their headers.
type listener struct {
	*httptest.Server
	mu       sync.Mutex
	requests int
	secrets  string
}

func listen(t *testing.T) *listener {
	l := &listener{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.requests++
		l.secrets += r.Header.Get("Authorization") + r.Header.Get("X-Amz-Security-Token")
		w.Header().Set("Content-Length", "3")
		if _, err := io.WriteString(w, "bee"); err != nil && r.Method != http.MethodHead {
			t.Error(err)
		}
	}))
	t.Cleanup(l.Close)
	return l
}

// Credentials go to an endpoint that a spec names only where the environment names it, too.
func TestEndpoints(t *testing.T) {
	offline(t)
	server := listen(t)
	host := strings.TrimPrefix(server.URL, "http://")
	_, port, _ := strings.Cut(host, ":")
	const refused, anonymous, signed = "refused", "anonymous", "signed"
	for _, test := range []struct {
		name     string
		origin   bucket.Origin
		options  string
		variable string
		value    string
		want     string
	}{
		{"a spec's", bucket.FromSpec, "", "", "", refused},
		{"a spec's, anonymous", bucket.FromSpec, "&anonymous=true", "", "", anonymous},
		{"a spec's, not anonymous", bucket.FromSpec, "&anonymous=false", "", "", refused},
		{"the user's", bucket.FromUser, "", "", "", signed},
		{"allowed", bucket.FromSpec, "", bucket.Endpoints, "other, " + host, signed},
		{"its host is allowed", bucket.FromSpec, "", bucket.Endpoints, "127.0.0.1", signed},
		{"another port is allowed", bucket.FromSpec, "", bucket.Endpoints, "127.0.0.1:1" + port, refused},
		{"a longer host is allowed", bucket.FromSpec, "", bucket.Endpoints, "x." + host, refused},
		{"AWS_ENDPOINT_URL", bucket.FromSpec, "", "AWS_ENDPOINT_URL", server.URL, signed},
		{"AWS_ENDPOINT_URL_S3", bucket.FromSpec, "", "AWS_ENDPOINT_URL_S3", server.URL + "/", signed},
		{"AWS_ENDPOINT_URL with https", bucket.FromSpec, "", "AWS_ENDPOINT_URL", "https://" + host, refused},
		{"another AWS_ENDPOINT_URL", bucket.FromSpec, "", "AWS_ENDPOINT_URL", "http://127.0.0.1:1", refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.variable != "" {
				t.Setenv(test.variable, test.value)
			}
			server.requests, server.secrets = 0, ""
			b, err := bucket.Open(t.Context(), "s3", "data", "region=eu-west-1&use_path_style=true&endpoint="+url.QueryEscape(server.URL)+test.options, test.origin)
			if test.want == refused {
				want := "s3://data: the spec names the endpoint " + server.URL + ", and your credentials would go there; set SURPRISAL_ENDPOINTS=" +
					host + " to allow that, or read without credentials: anonymous=true"
				if err == nil || err.Error() != want || protocol.KindOf(err) != protocol.InvalidInput || server.requests > 0 {
					t.Errorf("error %v of kind %q after %d requests\nwant %q", err, protocol.KindOf(err), server.requests, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if content, err := b.ReadAll(t.Context(), "b.txt"); err != nil || string(content) != "bee" {
				t.Errorf("content %q, error %v", content, err)
			}
			if server.requests == 0 || (server.secrets != "") != (test.want == signed) {
				t.Errorf("%d requests with the secrets %q, want %s ones", server.requests, server.secrets, test.want)
			}
		})
	}
}

// A spec names no file, profile or role of this machine, and no address in the place of a name.
func TestOptions(t *testing.T) {
	offline(t)
	for address, want := range map[string]string{
		"s3://data?profile=work":               `s3://data: an option is not allowed in a spec; allowed are accelerate, anonymous, dualstack, endpoint, fips, region, use_path_style.`,
		"s3://data?role=arn:aws:iam::1:role/x": `an option is not allowed in a spec`,
		"s3://data?disable_https=true":         `an option is not allowed in a spec`,
		"s3://data?hostname_immutable=true":    `an option is not allowed in a spec`,
		"gs://data?private_key_path=/etc/key":  `an option is not allowed in a spec; allowed are anonymous.`,
		"gs://data?access_id=me":               `an option is not allowed in a spec`,
		"gs://data?universe_domain=evil.com":   `an option is not allowed in a spec`,
		"s3://data?region=evil.com/":           `the option "region": expected lower-case letters`,
		"s3://data?region=a&region=b":          `the option "region" occurs 2 times; use it once`,
		"s3://data?endpoint=evil.com":          `the option "endpoint": expected http:// or https:// and a host`,
		"s3://data?endpoint=ftp://evil.com":    `the option "endpoint": expected http:// or https:// and a host`,
		"s3://data?endpoint=":                  `the option "endpoint": expected http:// or https:// and a host`,
		"s3://data?region=eu&use_path_style=x": `s3://data: the option "use_path_style": expected true or false`,
		"s3://data?anonymous=perhaps":          `s3://data: the option "anonymous": expected true or false`,
		"s3://data?region=a_b":                 `the option "region": expected lower-case letters`,
		"s3://data?endpoint=https://evil.com":  "the spec names the endpoint https://evil.com, and your credentials would go there",
		"s3://data?endpoint=http://":           `the option "endpoint": expected http:// or https:// and a host`,
		"s3://-data?region=eu":                 `s3://-data: invalid bucket name: use letters`,
		"az://data":                            `az://data: unknown scheme "az"; schemes are gs and s3`,
		"s3://data?%zz":                        `malformed options`,
		"s3://a@evil.com?region=eu-west-1":     `s3://...: invalid bucket name: use letters`,
		"gs://data":                            "gs://data: no credentials: ",
	} {
		rest, options, _ := strings.Cut(address, "?")
		scheme, name, _ := strings.Cut(rest, "://")
		b, err := bucket.Open(t.Context(), scheme, name, options, bucket.FromSpec)
		if err == nil || !strings.Contains(err.Error(), want) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s: bucket %v, error %v of kind %q; want one of invalid input with %q", address, b, err, protocol.KindOf(err), want)
		}
	}
	b, err := bucket.Open(t.Context(), "gs", "data", "anonymous=true", bucket.FromSpec)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// An endpoint is allowed if its host and port, or its host alone, is in the list; a part of a name does not suffice.
func TestAllowedHosts(t *testing.T) {
	offline(t)
	for _, test := range []struct {
		endpoint, variable, value string
		allowed                   bool
	}{
		{"http://store.test:9000", bucket.Endpoints, "a.test,store.test:9000,b.test", true},
		{"http://store.test:9000", bucket.Endpoints, " STORE.Test ", true},
		{"https://store.test", bucket.Endpoints, "store.test", true},
		{"https://store.test", bucket.Endpoints, "store.test:443", false},
		{"http://store.test:9000", bucket.Endpoints, ", ,,", false},
		{"http://store.test.evil", bucket.Endpoints, "store.test", false},
		{"http://store", bucket.Endpoints, "store.test", false},
		{"http://[::1]:9000", bucket.Endpoints, "[::1]", true},
		{"http://[::1]:9000", bucket.Endpoints, "::1", true},
		{"http://[::1]:9000", bucket.Endpoints, "[::1]:9000", true},
		{"http://[::1]:9000", bucket.Endpoints, "[::1]:9001", false},
		{"http://store.test:9000", "AWS_ENDPOINT_URL", "http://STORE.test:9000/path", true},
		{"http://store.test:9000", "AWS_ENDPOINT_URL_S3", "http://store.test", false},
		{"http://store.test:9000", "AWS_ENDPOINT_URL", "store.test:9000", false},
		{"http://store.test:9000", "HTTP_PROXY", "http://store.test:9000", false},
	} {
		t.Run(test.endpoint+" and "+test.value, func(t *testing.T) {
			t.Setenv(test.variable, test.value)
			b, err := bucket.Open(t.Context(), "s3", "data", "region=eu-west-1&endpoint="+url.QueryEscape(test.endpoint), bucket.FromSpec)
			if (err == nil) != test.allowed {
				t.Errorf("error %v, want allowed %v", err, test.allowed)
			}
			if err == nil {
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Errors contain neither credentials nor what may be parts of them.
func TestSecrets(t *testing.T) {
	offline(t)
	t.Setenv(bucket.Endpoints, "store.test")
	for _, address := range []string{
		"s3://AKIA:SeKrEt?region=eu", "s3://AKIA:SeKrEt@bucket?region=eu", "s3://AKIA%3ASeKrEt?region=eu", "AKIA:SeKrEt@s3://bucket?region=eu",
		"s3://bucket?SeKrEt", "s3://bucket?region=SeKrEt", "s3://bucket?x=%SeKrEt", "s3://bucket?x=SeKrEt;y=1", "s3://bucket?anonymous=SeKrEt",
		"s3://bucket?awssdk=v2&awssdk=SeKrEt", "s3://bucket?endpoint=SeKrEt", "s3://bucket?endpoint=http://me:SeKrEt@store.test",
		"s3://bucket?endpoint=http://SeKrEt@store.test", "s3://bucket?endpoint=http://store.test/?SeKrEt",
		"s3://bucket?anonymous=true&endpoint=http://me:SeKrEt@store.test", "gs://bucket?anonymous=SeKrEt", "gs://bucket?access_id=SeKrEt",
		"s3://bucket?role=SeKrEt", "s3://bucket?request_checksum_calculation=SeKrEt",
	} {
		rest, options, _ := strings.Cut(address, "?")
		scheme, name, _ := strings.Cut(rest, "://")
		for _, origin := range []bucket.Origin{bucket.FromSpec, bucket.FromUser} {
			b, err := bucket.Open(t.Context(), scheme, name, options, origin)
			if err == nil && origin == bucket.FromUser { // whose options are not restricted
				if err := b.Close(); err != nil {
					t.Error(err)
				}
				continue
			}
			if err == nil || strings.Contains(strings.ReplaceAll(err.Error(), "See https", ""), "Se") || protocol.KindOf(err) != protocol.InvalidInput {
				t.Errorf("%s of origin %d: error %v of kind %q", address, origin, err, protocol.KindOf(err))
			}
		}
		if _, err := bucket.Parse(rest + "/key?" + options); err == nil || strings.Contains(err.Error(), "Se") {
			t.Errorf("%s: error %v of Parse", address, err)
		}
	}
}

// The user's own URLs may have options that are not allowed in a spec, and an emulator of Google's storage needs no credentials.
func TestOfUser(t *testing.T) {
	offline(t)
	b, err := bucket.Open(t.Context(), "s3", "data", "region=eu-west-1&disable_https=true", bucket.FromUser)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if _, err := bucket.Open(t.Context(), "gs", "data", "", bucket.FromUser); err == nil || !strings.Contains(err.Error(), "no credentials: ") {
		t.Errorf("without credentials: %v", err)
	}
	t.Setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:1")
	if b, err = bucket.Open(t.Context(), "gs", "data", "", bucket.FromUser); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// A redirect is an error that names the addresses: the other address gets no request and no credentials.
func TestRedirects(t *testing.T) {
	offline(t)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		other := listen(t)
		asked := 0
		first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			http.Redirect(w, r, other.URL+"/stolen?key=secret", status)
		}))
		t.Cleanup(first.Close)
		t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(first.URL, "http://"))
		for scheme, options := range map[string]string{
			"s3": "region=eu-west-1&use_path_style=true&endpoint=" + url.QueryEscape(first.URL), "gs": "",
		} {
			asked, other.requests = 0, 0
			b, err := bucket.Open(t.Context(), scheme, "data", options, bucket.FromUser)
			if err != nil {
				t.Fatal(err)
			}
			content, err := b.ReadAll(t.Context(), "b.txt")
			want := first.URL + " answers with a redirect to " + other.URL + " (status "
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "redirects are not followed") || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s, %d: content %q, error %v; want %q", scheme, status, content, err, want)
			}
			if other.requests > 0 || asked != 1 {
				t.Errorf("%s, %d: %d requests, and %d to the other address", scheme, status, asked, other.requests)
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
