package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"surprisal.dev/plugins/protocol"
)

const (
	// firstBlock is what a read that is not the continuation of another asks for; the size doubles up to largestBlock
	// while reads continue each other.
	firstBlock   = 1 << 20
	largestBlock = 8 << 20
	// maxBlocks is how many blocks are kept: enough for a page of each of a few columns.
	maxBlocks = 8
)

// Ranges reads parts of a file of a commit. It is safe for concurrent use.
type Ranges struct {
	client *Client
	ctx    context.Context
	query  request
	file   File

	mu sync.Mutex
	// location is where the hub redirects to, or nil.
	location *url.URL
	blocks   []block // the most recently used is the last
	requests int
	read     int64
}

type block struct {
	from int64
	data []byte
}

func (b block) end() int64 { return b.from + int64(len(b.data)) }

// Ranges returns a reader of parts of a file of which the SHA-256 is known.
func (c *Client) Ranges(ctx context.Context, r Repository, commit string, f File) (*Ranges, error) {
	if err := r.Check(commit); err != nil {
		return nil, err
	}
	if !validName(f.Path) || f.SHA256 == "" {
		return nil, protocol.Invalid("%s: file %q with digest %q cannot be read in parts", r, f.Path, f.SHA256)
	}
	return &Ranges{client: c, ctx: ctx, query: c.fileRequest(r, commit, f.Path), file: f}, nil
}

// Size is the number of bytes of the file.
func (r *Ranges) Size() int64 { return r.file.Bytes }

// Traffic returns the number of requests and of bytes read so far.
func (r *Ranges) Traffic() (requests int, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests, r.read
}

// ReadAt implements io.ReaderAt.
func (r *Ranges) ReadAt(b []byte, offset int64) (n int, err error) {
	if offset < 0 {
		return 0, fmt.Errorf("a read from %d", offset)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for n < len(b) {
		at := offset + int64(n)
		if at >= r.file.Bytes {
			return n, io.EOF
		}
		found, err := r.block(at)
		if err != nil {
			return n, err
		}
		n += copy(b[n:], found.data[at-found.from:])
	}
	return n, nil
}

// block returns a block that has the byte at an offset within the file.
func (r *Ranges) block(at int64) (block, error) {
	size := int64(firstBlock)
	for i := len(r.blocks) - 1; i >= 0; i-- {
		known := r.blocks[i]
		if known.from <= at && at < known.end() {
			r.blocks = append(append(r.blocks[:i], r.blocks[i+1:]...), known)
			return known, nil
		}
		if known.end() == at {
			size = min(2*int64(len(known.data)), largestBlock)
		}
	}
	b := block{from: at, data: make([]byte, min(size, r.file.Bytes-at))}
	if err := r.fetch(b); err != nil {
		return b, err
	}
	if len(r.blocks) == maxBlocks {
		r.blocks = r.blocks[1:]
	}
	r.blocks = append(r.blocks, b)
	return b, nil
}

// fetch fills a block.
func (r *Ranges) fetch(b block) error {
	n := 0
	for n < len(b.data) {
		before := n
		err := r.client.retry(r.ctx, r.query, func() error {
			if n > before {
				return nil // the outer loop continues from there
			}
			got, err := r.part(b.from+int64(n), b.data[n:])
			n += got
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// part reads what one answer has of the bytes from an offset on.
func (r *Ranges) part(from int64, into []byte) (int, error) {
	if r.location == nil {
		if err := r.locate(); err != nil {
			return 0, err
		}
	}
	q := r.query
	q.address, q.from, q.to = r.location, from, from+int64(len(into))
	answer, err := r.client.sendTo(r.ctx, q)
	if err != nil {
		r.location = nil // addresses of storage services expire
		if failure, ok := errors.AsType[*statusError](err); ok && failure.status == http.StatusForbidden {
			return 0, &broken{err}
		}
		return 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusPartialContent || !startsAt(answer.Header, from) {
		return 0, fmt.Errorf("%s: asked for the bytes from %d, the hub answers with status %d and the range %.100q; use a hub that serves ranges",
			q.what(), from, answer.StatusCode, answer.Header.Get("Content-Range"))
	}
	n, err := io.ReadFull(answer.Body, into)
	r.requests++
	r.read += int64(n)
	if err != nil {
		return n, &broken{err}
	}
	return n, nil
}

// locate asks the hub where the file is, and whether it is still the same.
func (r *Ranges) locate() error {
	q := r.query
	q.method, q.noRedirect = http.MethodHead, true
	answer, err := r.client.send(r.ctx, q)
	if err != nil {
		return err
	}
	if err := answer.Body.Close(); err != nil {
		return err
	}
	if etag := etagOf(answer.Header); etag != r.file.SHA256 {
		return &protocol.Error{Kind: protocol.Changed, Message: fmt.Sprintf(
			"%s: the hub now names the digest %.100q, but %s is pinned; run `runner pin` to accept the change", q.what(), etag, r.file.SHA256)}
	}
	r.location = q.address
	if location := answer.Header.Get("Location"); location != "" && answer.StatusCode >= 300 {
		if r.location, err = q.address.Parse(location); err != nil {
			return fmt.Errorf("%s: the hub redirects to %.200q: %w", q.what(), location, err)
		}
	}
	return nil
}

// sendTo sends a request to an address that the hub named. The token goes to the endpoint alone.
func (c *Client) sendTo(ctx context.Context, r request) (*http.Response, error) {
	if r.address.Scheme == c.endpoint.Scheme && r.address.Host == c.endpoint.Host {
		return c.send(ctx, r)
	}
	anonymous := *c
	anonymous.token = ""
	return anonymous.send(ctx, r)
}
