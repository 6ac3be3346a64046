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

// errWrongHash says that a download is not the pinned file, which no further try can fix.
var errWrongHash = errors.New("not the pinned file")

// download fetches a wheel into path, going on where a broken download ended. report gets the bytes that are there.
// After an error, what is there is kept for the next call, except where it has the wrong hash.
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
			// What was there may have been damaged; it is gone now.
		case errors.Is(err, errRefused):
			return fmt.Errorf("%s from %s: %w; `pip install torch==%s` in an environment that is active is the way around it", w.requirement(), redacted(url), err, Version)
		case errors.Is(err, errWrongHash), errors.As(err, new(*os.PathError)):
			return fmt.Errorf("%s from %s: %w", w.requirement(), redacted(url), err)
		case try == i.tries-1:
			return fmt.Errorf("%s from %s: %w; run it again to go on where it stopped, or `pip install torch==%s` in an environment that is active",
				w.requirement(), redacted(url), err, Version)
		}
		i.Log(fmt.Sprintf("%s: %v; trying again", w.requirement(), err))
	}
	return nil
}

// redacted leaves the password out of a URL.
func redacted(text string) string {
	if u, err := url.Parse(text); err == nil {
		return u.Redacted()
	}
	return text
}

// errRefused says that the server will not hand out the file, however often it is asked.
var errRefused = errors.New("refused")

// errSilent says that the server keeps a connection open and sends nothing.
var errSilent = errors.New("the server sent nothing")

// fetch tries once.
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

// rest requests what a file of have bytes lacks of a wheel, or all of it from a server that knows no ranges. It returns how
// much there is then.
func (i *Installer) rest(ctx context.Context, w wheel, url string, file *os.File, sum hash.Hash, have int64, report func(done int64)) (_ int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(i.silence, func() { cancel(errSilent) })
	defer watch.Stop()
	// A cancelled request says so, and not why.
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
	// One byte too many is enough to tell that the file is another one.
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
