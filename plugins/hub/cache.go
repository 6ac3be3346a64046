package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"surprisal.dev/internal/bounded"
	"surprisal.dev/internal/filelock"
	"surprisal.dev/plugins/protocol"
)

// directory is the name of a repository's directory in the cache.
func (r Repository) directory() string {
	return r.Kind.plural() + "--" + strings.ReplaceAll(r.ID, "/", "--")
}

func (c *Client) blob(r Repository, etag string) string {
	return filepath.Join(c.cache, r.directory(), "blobs", etag)
}

// Path is where a file of a commit is in the cache, or would be.
func (c *Client) Path(r Repository, commit, file string) string {
	return filepath.Join(c.cache, r.directory(), "snapshots", commit, filepath.FromSlash(file))
}

// Cached returns the path of a file of a commit in the cache. ok is false if the cache does not have it.
func (c *Client) Cached(r Repository, commit, file string) (path string, ok bool) {
	if r.Check(commit) != nil || !validName(file) {
		return "", false
	}
	path = c.Path(r, commit, file)
	info, err := os.Stat(path)
	return path, err == nil && info.Mode().IsRegular()
}

// note records the commit of a revision in the cache.
func (c *Client) note(r Repository, revision, commit string) error {
	path := filepath.Join(c.cache, r.directory(), "refs", filepath.FromSlash(revision))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return c.unwritable(err)
	}
	if data, err := os.ReadFile(path); err == nil && string(data) == commit {
		return nil
	}
	return c.unwritable(replace(path, []byte(commit)))
}

// replace writes a file that others may read at the same time.
func replace(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// noted returns the commit of a revision that the cache has a note of.
func (c *Client) noted(r Repository, revision string) (string, error) {
	dir := filepath.Join(c.cache, r.directory(), "refs")
	data, err := bounded.ReadFile(os.DirFS(dir), revision, 1<<10)
	commit := strings.TrimSpace(string(data))
	if err != nil || !IsCommit(commit) {
		return "", protocol.Invalid("%s, revision %s is not in the cache %s, and HF_HUB_OFFLINE is set; unset it, or name a commit", r, revision, c.cache)
	}
	return commit, nil
}

// lock locks a blob between processes, as the hub's own tools do.
func (c *Client) lock(ctx context.Context, r Repository, etag string) (unlock func() error, err error) {
	dir := filepath.Join(c.cache, ".locks", r.directory())
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, c.unwritable(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, etag+".lock"), os.O_CREATE|os.O_RDWR, 0o664)
	if err != nil {
		return nil, c.unwritable(err)
	}
	if err := filelock.Wait(ctx, f, filelock.Exclusive); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	// The file stays: who waits for it has it open.
	return f.Close, nil
}

// link makes a file of a commit refer to its blob. A link of an earlier download is replaced.
func (c *Client) link(r Repository, commit string, f File) (string, error) {
	path := c.Path(r, commit, f.Path)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return "", c.unwritable(err)
	}
	target, err := filepath.Rel(filepath.Dir(path), c.blob(r, f.Etag()))
	if err != nil {
		return "", err
	}
	if existing, err := os.Readlink(path); err == nil && existing == target {
		return path, nil
	}
	temporary := fmt.Sprintf("%s.%d.link", path, os.Getpid())
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", c.unwritable(err)
	}
	if err := os.Symlink(target, temporary); err != nil {
		return "", c.unwritable(err)
	}
	return path, c.unwritable(os.Rename(temporary, path))
}

// unwritable explains an error of writing to the cache.
func (c *Client) unwritable(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return protocol.Invalid("the disk of the cache %s is full: %v; free space, or set HF_HUB_CACHE to a directory on another disk, and run again: what was downloaded is kept", c.cache, err)
	case errors.Is(err, syscall.EFBIG):
		return protocol.Invalid("the disk of the cache %s takes no larger file: %v; raise `ulimit -f`, or set HF_HUB_CACHE to a directory on another disk, and run again: what was downloaded is kept", c.cache, err)
	}
	return protocol.Invalid("cannot write to the cache %s: %v; set HF_HUB_CACHE to a directory that you may write to", c.cache, err)
}
