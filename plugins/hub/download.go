package hub

import (
	"context"
	"crypto/sha1" //nolint:gosec // Git's digests are SHA-1.
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"surprisal.dev/plugins/protocol"
)

// Download returns the path of a file of a commit in the cache. It downloads what the cache does not have.
func (c *Client) Download(ctx context.Context, r Repository, commit string, f File) (_ string, err error) {
	if err := r.Check(commit); err != nil {
		return "", err
	}
	if !validName(f.Path) {
		return "", protocol.Invalid("%s: file %q: expected a path within the repository, such as \"data/train.jsonl\"", r, f.Path)
	}
	if path, ok := c.Cached(r, commit, f.Path); ok && sized(path, f) && linked(path, f) {
		return path, nil
	}
	unlock, err := c.lock(ctx, r, f.Etag())
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if !sized(c.blob(r, f.Etag()), f) {
		if err := c.fetch(ctx, r, commit, f); err != nil {
			return "", err
		}
	}
	return c.link(r, commit, f)
}

// sized reports whether there is a file with the size of f.
func sized(path string, f File) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == f.Bytes
}

// linked reports whether a file of a commit leads to the blob of f. On disks without links the file is the blob.
func linked(path string, f File) bool {
	target, err := os.Readlink(path)
	return err != nil || filepath.Base(target) == f.Etag()
}

// digester returns the hash whose sum is f's digest.
func (f File) digester() hash.Hash {
	if f.SHA256 != "" {
		return sha256.New()
	}
	h := sha1.New() //nolint:gosec // As above.
	_, _ = h.Write([]byte("blob " + strconv.FormatInt(f.Bytes, 10) + "\x00"))
	return h
}

// fetch downloads a blob, from where an earlier download ended. The caller holds the blob's lock.
func (c *Client) fetch(ctx context.Context, r Repository, commit string, f File) (err error) {
	path := c.blob(r, f.Etag())
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return c.unwritable(err)
	}
	// Whoever can write to the cache must not lead the download elsewhere.
	part, err := os.OpenFile(path+".incomplete", os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o666)
	if errors.Is(err, unix.ELOOP) {
		return protocol.Invalid("%s.incomplete is a link, which no download leaves; remove it and run again", path)
	}
	if err != nil {
		return c.unwritable(err)
	}
	defer func() { err = errors.Join(err, part.Close()) }()
	d := &download{client: c, repository: r, commit: commit, file: f, part: part}
	if err := d.begin(ctx); err != nil {
		return err
	}
	if err := d.run(ctx); err != nil {
		return err
	}
	if got := hex.EncodeToString(d.hash.Sum(nil)); got != f.Etag() {
		return errors.Join(fmt.Errorf("%s, file %s: the download has the digest %s, but the hub lists %s; it is discarded; run again, and report it to %s if it stays",
			r, f.Path, got, f.Etag(), c.page(r)), os.Remove(part.Name()))
	}
	if err := errors.Join(part.Chmod(0o644), part.Sync()); err != nil {
		return c.unwritable(err)
	}
	return c.unwritable(os.Rename(part.Name(), path))
}

// download is a download in progress.
type download struct {
	client     *Client
	repository Repository
	commit     string
	file       File
	part       *os.File
	hash       hash.Hash
	done       int64
}

// begin hashes what an earlier download left, and checks that there is space for the rest.
func (d *download) begin(ctx context.Context) error {
	d.hash = d.file.digester()
	n, err := io.Copy(d.hash, contextReader{ctx, io.LimitReader(d.part, d.file.Bytes+1)})
	if err != nil {
		return err
	}
	if d.done = n; n > d.file.Bytes {
		return d.restart()
	}
	var s unix.Statfs_t
	if unix.Fstatfs(int(d.part.Fd()), &s) == nil && s.Blocks > 0 {
		if free := int64(s.Bavail) * int64(s.Bsize); free < d.file.Bytes-d.done { //nolint:unconvert // The types differ between systems.
			return d.client.unwritable(&fs.PathError{Op: fmt.Sprintf("%d bytes are needed for %s and %d are free", d.file.Bytes-d.done, d.file.Path, free), Path: d.part.Name(), Err: unix.ENOSPC})
		}
	}
	return nil
}

// restart discards what was downloaded.
func (d *download) restart() error {
	d.done, d.hash = 0, d.file.digester()
	if err := d.part.Truncate(0); err != nil {
		return d.client.unwritable(err)
	}
	_, err := d.part.Seek(0, io.SeekStart)
	return err
}

// run reads until the file is complete. Every attempt that makes progress is followed by as many more as the first.
func (d *download) run(ctx context.Context) error {
	for d.done < d.file.Bytes || d.file.Bytes == 0 {
		before := d.done
		err := d.client.retry(ctx, d.request(), func() error {
			if d.done > before {
				return nil // the outer loop continues from there
			}
			return d.read(ctx)
		})
		if err != nil || d.file.Bytes == 0 {
			return err
		}
	}
	return nil
}

func (d *download) request() request {
	q := d.client.fileRequest(d.repository, d.commit, d.file.Path)
	q.from = d.done
	return q
}

// fileRequest returns the request for a whole file.
func (c *Client) fileRequest(r Repository, commit, file string) request {
	parts := []string{r.ID, "resolve", commit, file}
	if r.Kind == Dataset {
		parts = append([]string{"datasets"}, parts...)
	}
	return request{repository: r, revision: commit, file: file, address: c.address(parts...)}
}

// read appends what one answer has.
func (d *download) read(ctx context.Context) error {
	q := d.request()
	answer, err := d.client.send(ctx, q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	switch {
	case q.from == 0 || answer.StatusCode == http.StatusPartialContent && startsAt(answer.Header, q.from):
	case answer.StatusCode == http.StatusOK:
		if err := d.restart(); err != nil { // the server does not know ranges
			return err
		}
	default:
		return &broken{fmt.Errorf("asked for the bytes from %d, the hub answers with status %d and the range %.100q", q.from, answer.StatusCode, answer.Header.Get("Content-Range"))}
	}
	buffer := make([]byte, 256<<10)
	for {
		n, err := answer.Body.Read(buffer)
		if int64(n) > d.file.Bytes-d.done {
			return errors.Join(fmt.Errorf("%s, file %s: the hub sends more than the %d bytes that it lists; the download is discarded", d.repository, d.file.Path, d.file.Bytes), d.restart())
		}
		if _, writeErr := d.part.Write(buffer[:n]); writeErr != nil {
			return d.client.unwritable(writeErr)
		}
		_, _ = d.hash.Write(buffer[:n])
		d.done += int64(n)
		if n > 0 && d.client.Progress != nil {
			d.client.Progress(Progress{d.repository, d.file.Path, d.done, d.file.Bytes})
		}
		switch {
		case errors.Is(err, io.EOF) && d.done < d.file.Bytes:
			return &broken{fmt.Errorf("the connection ended after %d of %d bytes", d.done, d.file.Bytes)}
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return &broken{err}
		}
	}
}

// startsAt reports whether an answer's range of bytes begins at offset.
func startsAt(h http.Header, offset int64) bool {
	return strings.HasPrefix(h.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset))
}

// contextReader fails once its context is done.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}
