package workspace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"surprisal.dev/internal/filelock"
	"surprisal.dev/plugins/bucket"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/spec"
)

// bucketWeights are weights in a bucket. Local copies are named after their place and version in the cache, and those of
// a model are linked from a directory that is named after their digests.
type bucketWeights struct {
	workspace *Workspace
	bucket    *blob.Bucket
	// where is the bucket for people, and key the file or the directory.
	where, key string
	single     bool
}

// locateWeights parses the URL of weights, without network.
func locateWeights(address string) (bucket.Location, error) {
	at, err := bucket.ParseDirectory(address)
	if err != nil {
		return at, err
	}
	at.Key = strings.TrimSuffix(at.Key, "/")
	if !fs.ValidPath(at.Key) {
		return at, invalid("path %q: the key %q has an empty part, or is not UTF-8; use %s/KEY as the bucket lists it",
			at.Where()+"/"+at.Key, at.Key, at.Where())
	}
	return at, nil
}

func (w *Workspace) openBucketWeights(ctx context.Context, m spec.RemoteWeights) (*bucketWeights, error) {
	at, err := locateWeights(m.Path)
	if err != nil {
		return nil, err
	}
	b, err := at.Open(ctx)
	if err != nil {
		return nil, err
	}
	return &bucketWeights{w, b, at.Where(), at.Key, m.Format == "gguf"}, nil
}

// Close closes the bucket.
func (b *bucketWeights) Close() error { return b.bucket.Close() }

func (b *bucketWeights) find(ctx context.Context) ([]remoteFile, string, error) {
	if b.single {
		a, err := b.bucket.Attributes(ctx, b.key)
		if err != nil {
			return nil, "", b.failed(b.key, err)
		}
		return []remoteFile{{name: path.Base(b.key), bytes: a.Size}}, "", nil
	}
	var files []remoteFile
	objects := b.bucket.List(&blob.ListOptions{Prefix: b.key + "/", Delimiter: "/"})
	for {
		o, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			return files, "", checkModel(b.where+"/"+b.key, false, files)
		}
		if err != nil {
			return nil, "", b.failed(b.key, err)
		}
		if name := strings.TrimPrefix(o.Key, b.key+"/"); !o.IsDir && isWeights(name) {
			files = append(files, remoteFile{name: name, bytes: o.Size})
		}
	}
}

func (b *bucketWeights) object(f remoteFile) string {
	if b.single {
		return b.key
	}
	return b.key + "/" + f.name
}

// failed explains an error of the service.
func (b *bucketWeights) failed(key string, err error) error {
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case gcerrors.Code(err) == gcerrors.NotFound:
		return invalid("%s/%s does not exist: %v", b.where, key, err)
	case gcerrors.Code(err) == gcerrors.PermissionDenied:
		return invalid("%s/%s: not allowed: %v; check the credentials in the environment", b.where, key, err)
	}
	return fmt.Errorf("reading %s/%s: %w", b.where, key, err)
}

// weightsCache is the directory of copies of weights and of their outlines.
func weightsCache(parts ...string) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", invalid("the cache of weights has no place: %v; set XDG_CACHE_HOME", err)
	}
	return filepath.Join(append([]string{dir, "surprisal", "weights"}, parts...)...), nil
}

// fetch copies an object. The name of the copy has the version of the object, so that the parts of two are not mixed.
func (b *bucketWeights) fetch(ctx context.Context, _ string, f remoteFile) (_ string, err error) {
	key := b.object(f)
	a, err := b.bucket.Attributes(ctx, key)
	if err != nil {
		return "", b.failed(key, err)
	}
	version := sha256.Sum256(fmt.Appendf(nil, "%s/%s %s %d %d", b.where, key, a.ETag, a.Size, a.ModTime.UnixNano()))
	to, err := weightsCache("objects", hex.EncodeToString(version[:]))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return "", unwritable(err)
	}
	part, err := os.OpenFile(to+".incomplete", os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o666)
	if err != nil {
		return "", unwritable(err)
	}
	defer func() { err = errors.Join(err, part.Close()) }()
	if err := filelock.Wait(ctx, part, filelock.Exclusive); err != nil {
		return "", err
	}
	if info, err := os.Stat(to); err == nil && info.Size() == a.Size {
		// Another process has renamed the file that this one has opened, or this one has just made an empty one.
		return to, removeEmpty(part)
	}
	if err := b.append(ctx, part, key, a.Size, f); err != nil {
		return "", err
	}
	if err := part.Sync(); err != nil {
		return "", unwritable(err)
	}
	return to, unwritable(os.Rename(part.Name(), to))
}

// removeEmpty removes a file that nothing was written to.
func removeEmpty(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Size() > 0 {
		return err
	}
	named, err := os.Stat(f.Name())
	if err != nil || !os.SameFile(info, named) {
		return nil //nolint:nilerr // Another process has removed or renamed it.
	}
	return os.Remove(f.Name())
}

const bucketAttempts = 5

// append copies the rest of an object. A connection that breaks is continued.
func (b *bucketWeights) append(ctx context.Context, part *os.File, key string, size int64, f remoteFile) error {
	failures := 0
	for {
		info, err := part.Stat()
		if err != nil {
			return err
		}
		done := info.Size()
		if done > size {
			if err := part.Truncate(0); err != nil {
				return unwritable(err)
			}
			continue
		}
		if done == size {
			return nil
		}
		copied, err := b.appendFrom(ctx, part, key, done, Fetched{b.where + "/" + b.key, f.name, done, size})
		if copied > 0 {
			failures = 0
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case protocol.KindOf(err) != "":
			return err
		case err != nil || copied == 0:
			if failures++; failures == bucketAttempts {
				return fmt.Errorf("%w; run again: what was downloaded is kept", b.failed(key, cmpError(err)))
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Duration(failures) * time.Second):
			}
		}
	}
}

func cmpError(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendFrom copies an object from an offset on.
func (b *bucketWeights) appendFrom(ctx context.Context, part *os.File, key string, from int64, progress Fetched) (int64, error) {
	r, err := b.bucket.NewRangeReader(ctx, key, from, -1, nil)
	if err != nil {
		return 0, b.failed(key, err)
	}
	defer r.Close()
	copied := int64(0)
	buffer := make([]byte, 1<<20)
	for {
		n, err := r.Read(buffer)
		if _, writeErr := part.Write(buffer[:n]); writeErr != nil {
			return copied, unwritable(writeErr)
		}
		copied += int64(n)
		progress.Done += int64(n)
		b.workspace.progress(progress)
		if errors.Is(err, io.EOF) {
			return copied, nil
		}
		if err != nil {
			return copied, err
		}
	}
}

func unwritable(err error) error {
	if err == nil {
		return nil
	}
	return invalid("cannot write to the cache of weights: %v; free space, or set XDG_CACHE_HOME to a directory that you may write to, and run again", err)
}

func (b *bucketWeights) begin(ctx context.Context, _ string, f remoteFile, n int64) (_ []byte, err error) {
	r, err := b.bucket.NewRangeReader(ctx, b.object(f), 0, min(n, f.bytes), nil)
	if err != nil {
		return nil, b.failed(b.object(f), err)
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (*bucketWeights) path(pinned protocol.Resolution, file string) string {
	dir, err := weightsCache("models", identity(pinned))
	if err != nil {
		return file // which does not exist there, so that a download names the problem
	}
	return filepath.Join(dir, path.Base(file))
}

// identity names pinned weights by their content.
func identity(pinned protocol.Resolution) string {
	h := sha256.New()
	for _, f := range pinned.Files {
		fmt.Fprintf(h, "%s %s\n", f.Digest, f.Name)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// complete links a copy from the directory of its model.
func (b *bucketWeights) complete(pinned protocol.Resolution, file, copied string) error {
	to := b.path(pinned, file)
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return unwritable(err)
	}
	temporary := fmt.Sprintf("%s.%d.new", to, os.Getpid())
	if err := os.Symlink(copied, temporary); err != nil {
		return unwritable(err)
	}
	return unwritable(os.Rename(temporary, to))
}
