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

// usersLock is locked by all processes that use a cache, so that nothing in it is removed meanwhile.
const usersLock = "users.lock"

// use registers this process as a user of a cache until it closes it. It waits while the cache is being pruned.
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

// PruneCache removes the copies of blobs in a bucket's cache, and the facts about the bucket. It returns their size in
// bytes. Nothing else is removed. If another process uses the cache, PruneCache changes nothing and returns an error.
// If there is no cache, it does nothing.
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
		return 0, ignoreMissing(err)
	}
	f, err := root.OpenFile(usersLock, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return 0, explain(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if free, err := filelock.Try(f, filelock.Exclusive); err != nil {
		return 0, err
	} else if !free {
		return 0, fmt.Errorf("cache %s: another process uses it; prune it when that process has ended", d.path)
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

// PruneRuns removes the directories of runs within root, which are named by the runs' IDs: the files with the given
// names, and the directory if it is then empty. It returns the IDs of the removed runs.
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
		// Keep a directory that contains files of the user.
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
