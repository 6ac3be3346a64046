package libtorch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"
)

// errWrongHash means that a download is not the pinned file. Retrying cannot help.
var errWrongHash = errors.New("not the pinned file")

// download downloads a wheel into path and resumes an interrupted download. report receives the number of bytes so far.
// After an error, the partial file is kept for the next call, unless it has the wrong hash.
func (i *Installer) download(ctx context.Context, w wheel, url, path string, report func(done int64)) error {
	for try := range i.tries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(i.pause << (try - 1)):
			}
		}
		info, err := os.Stat(path)
		resumed := err == nil && info.Size() > 0
		err = i.fetch(ctx, w, url, path, report)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errWrongHash) && resumed && try < i.tries-1:
			// The previous content may have been damaged; it has been removed.
		case errors.Is(err, errRefused):
			return fmt.Errorf("%s from %s: %w; workaround: `pip install torch==%s` in an active environment", w.requirement(), redacted(url), err, Version)
		case errors.Is(err, errWrongHash), errors.As(err, new(*os.PathError)):
			return fmt.Errorf("%s from %s: %w", w.requirement(), redacted(url), err)
		case try == i.tries-1:
			return fmt.Errorf("%s from %s: %w; run it again to resume the download, or `pip install torch==%s` in an active environment",
				w.requirement(), redacted(url), err, Version)
		}
		i.Log(fmt.Sprintf("%s: %v; trying again", w.requirement(), err))
	}
	return nil
}

// redacted removes the password from a URL.
func redacted(text string) string {
	if u, err := url.Parse(text); err == nil {
		return u.Redacted()
	}
	return text
}

// errRefused means that the server refuses to serve the file; retrying cannot help.
var errRefused = errors.New("refused")

// errSilent means that the server keeps a connection open and sends nothing.
var errSilent = errors.New("the server sent nothing")

// fetch makes one attempt.
func (i *Installer) fetch(ctx context.Context, w wheel, url, path string, report func(done int64)) (err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		closeErr := file.Close()
		if errors.Is(err, errWrongHash) {
			closeErr = os.Remove(path)
		}
		err = errors.Join(err, closeErr)
	}()
	sum := sha256.New()
	have, err := io.Copy(sum, file)
	if err != nil {
		return err
	}
	if have < w.size {
		if have, err = i.rest(ctx, w, url, file, sum, have, report); err != nil {
			return err
		}
	}
	if have < w.size {
		return fmt.Errorf("the connection ended after %d of %d bytes", have, w.size)
	}
	if got := fmt.Sprintf("%x", sum.Sum(nil)); got != w.sha256 {
		return fmt.Errorf("%w: its sha256 is %s, not %s", errWrongHash, got, w.sha256)
	}
	report(have)
	return nil
}

// rest requests the missing part of a wheel of which a file has have bytes, or all of it if the server does not support
// ranges. It returns the resulting size.
func (i *Installer) rest(ctx context.Context, w wheel, url string, file *os.File, sum hash.Hash, have int64, report func(done int64)) (_ int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(i.silence, func() { cancel(errSilent) })
	defer watch.Stop()
	// The error of a canceled request does not contain the cause.
	defer func() {
		if err != nil && errors.Is(context.Cause(ctx), errSilent) {
			err = fmt.Errorf("%w for %v", errSilent, i.silence)
		}
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return have, err
	}
	if have > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	response, err := i.client.Do(request)
	if err != nil {
		return have, err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusPartialContent && have > 0:
	case response.StatusCode == http.StatusOK:
		have = 0
		sum.Reset()
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return have, err
		}
		if err := file.Truncate(0); err != nil {
			return have, err
		}
	case response.StatusCode >= 500 || response.StatusCode == http.StatusTooManyRequests:
		return have, fmt.Errorf("the server answered %s", response.Status)
	default:
		return have, fmt.Errorf("%w: the server answered %s", errRefused, response.Status)
	}
	report(have)
	// One byte too many is enough to recognize a different file.
	body := &counter{in: io.LimitReader(response.Body, w.size-have+1), n: have, report: func(done int64) {
		watch.Reset(i.silence)
		report(done)
	}}
	if _, err := io.Copy(io.MultiWriter(file, sum), body); err != nil {
		return have, err
	}
	return body.n, nil
}

type counter struct {
	in     io.Reader
	n      int64
	report func(int64)
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	c.report(c.n)
	return n, err
}
