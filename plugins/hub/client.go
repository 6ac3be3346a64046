package hub

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"surprisal.dev/internal/bounded"
	"surprisal.dev/plugins/protocol"
)

// Environment lists the variables that FromEnvironment reads, and those that Go's client of HTTP reads.
var Environment = []string{
	"HF_TOKEN", "HF_TOKEN_PATH", "HF_ENDPOINT", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "XDG_CACHE_HOME",
	"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
}

const (
	defaultEndpoint = "https://huggingface.co"
	// maxToken is the maximum size of a token file in bytes.
	maxToken = 64 << 10
)

// Client reads from one hub and keeps downloads in one cache. It is safe for concurrent use.
type Client struct {
	// Progress, if set, is called as a download grows, from several goroutines.
	Progress func(Progress)

	endpoint *url.URL
	token    string
	cache    string
	offline  bool
	http     *http.Client
	// wait waits before a request is repeated.
	wait func(context.Context, time.Duration) error
}

// Progress is the state of a download.
type Progress struct {
	Repository Repository
	File       string
	// Done and Total are bytes.
	Done, Total int64
}

// FromEnvironment returns a client with the settings of the environment.
func FromEnvironment() (*Client, error) {
	address := strings.TrimRight(cmp.Or(os.Getenv("HF_ENDPOINT"), defaultEndpoint), "/")
	endpoint, err := url.Parse(address)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
		return nil, protocol.Invalid("HF_ENDPOINT %q: expected http:// or https:// and a host", address)
	}
	home, err := homeDir()
	if err != nil {
		return nil, err
	}
	cache := cmp.Or(os.Getenv("HF_HUB_CACHE"), filepath.Join(home, "hub"))
	if cache, err = filepath.Abs(cache); err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:errcheck,forcetypeassert // It is one.
	transport.ResponseHeaderTimeout = time.Minute
	c := &Client{
		endpoint: endpoint, token: token(home), cache: cache, offline: isTrue(os.Getenv("HF_HUB_OFFLINE")), wait: sleep,
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: c.checkRedirect}
	return c, nil
}

// homeDir returns the directory of the hub's own tools.
func homeDir() (string, error) {
	if home := os.Getenv("HF_HOME"); home != "" {
		return home, nil
	}
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", protocol.Invalid("the cache of hubs has no place: %v; set HF_HOME", err)
		}
		cache = filepath.Join(home, ".cache")
	}
	return filepath.Join(cache, "huggingface"), nil
}

// token returns the token of the environment or of the token file, or "".
func token(home string) string {
	if t := strings.TrimSpace(os.Getenv("HF_TOKEN")); t != "" {
		return t
	}
	file := cmp.Or(os.Getenv("HF_TOKEN_PATH"), filepath.Join(home, "token"))
	// Without a readable file, requests are anonymous, and the hub's refusal says that a token is needed.
	data, err := bounded.ReadFile(os.DirFS(filepath.Dir(file)), filepath.Base(file), maxToken)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func isTrue(value string) bool {
	switch strings.ToUpper(value) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
