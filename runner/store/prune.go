package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"surprisal.dev/internal/filelock"
)

// usersLock is locked by all who use a cache, so that nothing of it is removed meanwhile.
const usersLock = "users.lock"

// use says that this process uses a cache until it closes it. It waits while the cache is pruned.
func (d *directory) use(ctx context.Context) error {
	root, err := d.ensure()
	if err != nil {
		return err
	}
	f, err := root.OpenFile(usersLock, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return explain(err)
	}
	if err := filelock.Wait(ctx, f, filelock.Shared); err != nil {
		return errors.Join(err, f.Close())
	}
	d.users = f
	return nil
}

// PruneCache removes the copies of blobs that a bucket's cache holds, and what was learnt of the bucket, and returns how many
// bytes that were. Nothing else is removed. A cache that another process uses is left as it is, and the error says so. Where
// there is no cache, there is nothing to do.
func PruneCache(ctx context.Context, cacheDir string, dryRun bool) (bytes int64, err error) {
	if _, err := os.Stat(cacheDir); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	d, err := openDirectory(cacheDir, kindCache)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	root, err := d.at()
	if err != nil {
		return 0, noError(err)
	}
	f, err := root.OpenFile(usersLock, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return 0, explain(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if free, err := filelock.Try(f, filelock.Exclusive); err != nil {
		return 0, err
	} else if !free {
		return 0, fmt.Errorf("cache %s: another process uses it; prune it when that has ended", d.path)
	}
	for _, prefix := range []string{"blobs/", "facts/", damagedPrefix} {
		for o, err := range d.list(ctx, prefix) {
			if err != nil {
				return bytes, err
			}
			if blobDigest(o.name) == "" && !segmentPath.MatchString(o.name) && !isHex64(path.Base(o.name)) {
				continue
			}
			if !dryRun {
				if err := d.remove(ctx, o.name); err != nil {
					return bytes, err
				}
			}
			bytes += o.bytes
		}
	}
	return bytes, nil
}

// PruneRuns removes what runs kept in directories of their own, called by the runs' ids, within root: the files with the given
// names, and the directory if nothing else is in it. It returns the ids of those that it removed.
func PruneRuns(root *os.Root, ids, files []string, dryRun bool) (removed []string, err error) {
	for _, id := range ids {
		if err := checkName("run", id); err != nil {
			return removed, err
		}
		info, err := root.Lstat(id)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
			continue
		}
		if err != nil {
			return removed, err
		}
		removed = append(removed, id)
		if dryRun {
			continue
		}
		for _, name := range files {
			if err := removeOne(root, path.Join(id, name)); err != nil {
				return removed, err
			}
		}
		// A directory that holds something of the user's stays.
		if names, err := root.Open(id); err == nil {
			left, readErr := names.Readdirnames(1)
			if err := names.Close(); err != nil {
				return removed, err
			}
			if len(left) > 0 || readErr == nil {
				continue
			}
		}
		if err := removeOne(root, id); err != nil {
			return removed, err
		}
	}
	return removed, nil
}
