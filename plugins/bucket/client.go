package bucket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/blob/s3blob"
	"gocloud.dev/gcp"
	"google.golang.org/api/option"
)

// Amazon opens the bucket of an s3 URL. It does not check the options. tune changes the settings of the connections.
// The client does not follow redirects.
func Amazon(ctx context.Context, u *url.URL, tune func(*http.Transport)) (*blob.Bucket, error) {
	var opener s3blob.URLOpener
	b, err := opener.OpenBucketURL(ctx, u)
	if err != nil {
		return nil, err
	}
	var client *s3.Client
	if !b.As(&client) {
		return nil, errors.Join(fmt.Errorf("%s://%s: a client of an unknown type", u.Scheme, u.Host), b.Close())
	}
	o := client.Options()
	transport := awshttp.NewBuildableClient().GetTransport()
	if h, ok := o.HTTPClient.(*awshttp.BuildableClient); ok {
		transport = h.GetTransport()
	}
	tune(transport)
	o.HTTPClient = &http.Client{Transport: noRedirects{transport}}
	// Not all servers store checksums, and digests are compared anyway.
	o.DisableLogOutputChecksumValidationSkipped = true
	if err := b.Close(); err != nil {
		return nil, err
	}
	return s3blob.OpenBucket(ctx, s3.New(o), u.Host, &opener.Options)
}

// Google opens the bucket of a gs URL with Google's application default credentials, which it looks up now. If there
// are none, gocloud.dev's own opener prints a warning on standard output. It does not check the options. The client
// does not follow redirects.
func Google(ctx context.Context, u *url.URL) (*blob.Bucket, error) {
	transport := noRedirects{gcp.DefaultTransport()}
	opener := gcsblob.URLOpener{Client: &gcp.HTTPClient{Client: http.Client{Transport: transport}}}
	anonymous, _ := strconv.ParseBool(u.Query().Get("anonymous")) // a value that is not a boolean is rejected below
	emulated := os.Getenv("STORAGE_EMULATOR_HOST") != ""
	if emulated {
		// The opener uses another client for an emulator.
		opener.Options.ClientOptions = []option.ClientOption{option.WithHTTPClient(&opener.Client.Client)}
	}
	if !emulated && !anonymous {
		credentials, err := gcp.DefaultCredentials(ctx)
		if err != nil {
			return nil, fmt.Errorf("no credentials: %w; run gcloud auth application-default login, set GOOGLE_APPLICATION_CREDENTIALS, "+
				"or read a public bucket without: ?anonymous=true", err)
		}
		if opener.Client, err = gcp.NewHTTPClient(transport, gcp.CredentialsTokenSource(credentials)); err != nil {
			return nil, err
		}
	}
	return opener.OpenBucketURL(ctx, u)
}

// noRedirects makes redirects errors: the address that the user or the spec named, and no other, gets the requests.
type noRedirects struct{ http.RoundTripper }

func (t noRedirects) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(r)
	if err != nil || response.StatusCode < 300 || response.StatusCode > 399 || response.Header.Get("Location") == "" {
		return response, err
	}
	to := "an invalid address"
	if u, err := response.Location(); err == nil {
		to = u.Scheme + "://" + u.Host
	}
	return nil, errors.Join(&redirectError{r.URL.Scheme + "://" + r.URL.Host, to, response.StatusCode}, response.Body.Close())
}

// redirectError is the error of an answer that redirects. Repeating the request does not help.
type redirectError struct {
	from, to string
	status   int
}

func (e *redirectError) Error() string {
	return fmt.Sprintf("%s answers with a redirect to %s (status %d); redirects are not followed; check the region and the endpoint",
		e.from, e.to, e.status)
}

// RetryableError tells Amazon's client not to repeat the request.
func (*redirectError) RetryableError() bool { return false }
