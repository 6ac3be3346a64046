package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"surprisal.dev/plugins/protocol"
)

const (
	// attempts is how often a request is sent before its failure is final.
	attempts = 6
	// firstDelay is the wait before the first repetition without Retry-After; it doubles each time.
	firstDelay = time.Second
	// longestDelay is the longest wait that a hub can ask for. A longer one ends the command, with the time.
	longestDelay = 5 * time.Minute
	maxRedirects = 5
)

// request is a request for something of a repository.
type request struct {
	repository Repository
	revision   string
	// file is the file that is asked for, or "".
	file    string
	address *url.URL
	method  string
	// from and to are the range of bytes, [from, to); to 0 means the end, and both 0 the whole.
	from, to int64
	// noRedirect returns the answer that redirects to another host.
	noRedirect bool
}

func (r request) what() string {
	if r.file != "" {
		return fmt.Sprintf("%s, file %s", r.repository, protocol.Visible(r.file))
	}
	return r.repository.String()
}

// statusError is an answer that reports a failure.
type statusError struct {
	status int
	code   string
	after  time.Duration
	text   string
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("status %d %s", e.status, http.StatusText(e.status))
	if e.text != "" {
		text += ": " + e.text
	}
	return text
}

// broken is an error of a connection; another attempt may succeed.
type broken struct{ err error }

func (e *broken) Error() string { return e.err.Error() }
func (e *broken) Unwrap() error { return e.err }

// redirected is the key of the context of requests whose redirects to other hosts are returned.
type redirected struct{}

// checkRedirect drops the token when the hub redirects to another host.
func (c *Client) checkRedirect(next *http.Request, via []*http.Request) error {
	other := next.URL.Scheme != c.endpoint.Scheme || next.URL.Host != c.endpoint.Host
	switch {
	case other && via[0].Context().Value(redirected{}) != nil:
		return http.ErrUseLastResponse
	case len(via) > maxRedirects:
		return fmt.Errorf("more than %d redirects", maxRedirects)
	case next.URL.Scheme != "http" && next.URL.Scheme != "https":
		return fmt.Errorf("a redirect to %s", next.URL.Redacted())
	case other:
		next.Header.Del("Authorization")
	}
	return nil
}

// send sends a request once. Answers with a failure become errors.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	if c.offline {
		return nil, protocol.Invalid("%s is not in the cache %s, and HF_HUB_OFFLINE is set; download it first, or unset HF_HUB_OFFLINE", r.what(), c.cache)
	}
	if r.noRedirect {
		ctx = context.WithValue(ctx, redirected{}, true)
	}
	q, err := http.NewRequestWithContext(ctx, r.method, r.address.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	q.Header.Set("User-Agent", "surprisal")
	q.Header.Set("Accept-Encoding", "identity")
	if c.token != "" {
		q.Header.Set("Authorization", "Bearer "+c.token)
	}
	if r.to > 0 {
		q.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", r.from, r.to-1))
	} else if r.from > 0 {
		q.Header.Set("Range", fmt.Sprintf("bytes=%d-", r.from))
	}
	answer, err := c.http.Do(q)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &broken{err}
	}
	if answer.StatusCode < 400 {
		return answer, nil
	}
	failure := &statusError{status: answer.StatusCode, code: answer.Header.Get("X-Error-Code"), text: answer.Header.Get("X-Error-Message")}
	failure.after = retryAfter(answer.Header, time.Now())
	// The body is drained so that the connection can be used again; its text is markup more often than not.
	_, _ = io.CopyN(io.Discard, answer.Body, 64<<10)
	return nil, errors.Join(failure, answer.Body.Close())
}

// resetPattern matches the seconds until the hub's limit resets, in RateLimit: "api";r=0;t=55.
var resetPattern = regexp.MustCompile(`;\s*r=0\s*;\s*t=(\d{1,9})`)

// retryAfter returns the time that an answer asks to wait, or 0.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if m := resetPattern.FindStringSubmatch(h.Get("RateLimit")); value == "" && m != nil {
		value = m[1]
	}
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// retry calls do until it succeeds, fails for good, or has failed too often.
func (c *Client) retry(ctx context.Context, r request, do func() error) error {
	delay := firstDelay
	for attempt := 1; ; attempt++ {
		err := do()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		wait, again := delay, false
		if failure, ok := errors.AsType[*statusError](err); ok {
			again = failure.status == http.StatusTooManyRequests || failure.status == http.StatusRequestTimeout || failure.status >= 500
			wait = max(wait, failure.after)
		}
		if _, ok := errors.AsType[*broken](err); ok {
			again = true
		}
		if !again || attempt == attempts || wait > longestDelay {
			return c.explain(r, err)
		}
		// Without a share of chance, all processes would ask again at the same moment.
		if err := c.wait(ctx, wait+rand.N(wait/4+1)); err != nil {
			return err
		}
		delay *= 2
	}
}

// explain turns a final failure into an error that says what to do.
func (c *Client) explain(r request, err error) error {
	failure, ok := errors.AsType[*statusError](err)
	if !ok {
		if _, ok := errors.AsType[*broken](err); ok {
			return fmt.Errorf("%s: cannot read from the hub %s: %w; check the connection and HF_ENDPOINT, and run again: what was downloaded is kept", r.what(), c.endpoint.Host, err)
		}
		return err
	}
	page := c.page(r.repository)
	at := fmt.Sprintf("%s: %s", r.what(), protocol.Visible(failure.Error()))
	switch {
	case failure.code == "GatedRepo":
		return protocol.Invalid("%s: the repository is gated; accept its conditions at %s, and set HF_TOKEN to a token of that account%s", at, page, c.hasToken())
	case failure.code == "RevisionNotFound":
		return protocol.Invalid("%s: it has no revision %q; see %s/commits for its revisions", at, r.revision, page)
	case failure.code == "EntryNotFound":
		return protocol.Invalid("%s: revision %s has no such file; see %s/tree/%s for its files", at, r.revision, page, r.revision)
	case failure.status == http.StatusUnauthorized && c.token != "" && strings.Contains(strings.ToLower(failure.text), "credential"):
		return protocol.Invalid("%s: the hub does not accept the token; set HF_TOKEN to a valid one", at)
	case failure.code == "RepoNotFound" || failure.status == http.StatusUnauthorized || failure.status == http.StatusNotFound:
		return protocol.Invalid("%s: there is no such repository, or it is private; check its name at %s, or set HF_TOKEN to a token that may read it%s", at, page, c.hasToken())
	case failure.status == http.StatusForbidden:
		return protocol.Invalid("%s: access is refused; check the permissions of the token at %s%s", at, page, c.hasToken())
	case failure.status == http.StatusTooManyRequests:
		return fmt.Errorf("%s: too many requests; run again after %s%s: what was downloaded is kept", at, max(failure.after, time.Minute), c.moreWithToken())
	case failure.status >= 500:
		return fmt.Errorf("%s: the hub fails; run again later: what was downloaded is kept", at)
	}
	return fmt.Errorf("%s: unexpected answer from %s", at, r.address.Redacted())
}

// page is the address of a repository for people.
func (c *Client) page(r Repository) string {
	if r.Kind == Dataset {
		return c.endpoint.String() + "/datasets/" + r.ID
	}
	return c.endpoint.String() + "/" + r.ID
}

func (c *Client) hasToken() string {
	if c.token == "" {
		return " (no token is set)"
	}
	return " (a token is set)"
}

func (c *Client) moreWithToken() string {
	if c.token == "" {
		return ", or set HF_TOKEN, which allows more requests,"
	}
	return ""
}
