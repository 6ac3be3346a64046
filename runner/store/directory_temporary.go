package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"syscall"

	"surprisal.dev/internal/filelock"
)

// discard closes and removes a temporary file, which may have been renamed. Errors do not matter, because files under
// tmp are swept.
func (d *directory) discard(f *os.File, name string) {
	_ = f.Close()
	_ = d.root.Remove(name)
}

func lockName(owner string) string { return "tmp/" + owner + ".lock" }

func (d *directory) tempName() (string, error) {
	if err := d.mkdir("tmp"); err != nil {
		return "", explain(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.lock == nil {
		if err := d.becomeOwner(); err != nil {
			return "", explain(err)
		}
	}
	d.next++
	return "tmp/" + d.owner + "." + strconv.Itoa(d.next), nil
}

// becomeOwner tries to create and lock tmp/<owner>.lock. A sweeper may remove the file before it is locked; the caller
// then tries another name.
func (d *directory) becomeOwner() error {
	owner := fmt.Sprintf("%d-%s", os.Getpid(), random())
	f, err := d.root.OpenFile(lockName(owner), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	held, err := filelock.Try(f, filelock.Exclusive)
	if err == nil && held && filelock.IsAt(f, d.root, lockName(owner)) {
		d.owner, d.lock = owner, f
		return nil
	}
	return errors.Join(err, f.Close())
}

// Names that only this package generates. Nothing else is swept.
var (
	ownerLock = regexp.MustCompile(`^([0-9]+-[0-9a-f]{16})\.lock$`)
	ownedFile = regexp.MustCompile(`^([0-9]+-[0-9a-f]{16})\.[0-9]+$`)
)

// sweep removes the files of dead processes: under tmp, their leases and their lock files.
func (d *directory) sweep() error {
	ctx := context.Background()
	for _, prefix := range []string{writers, collectors} {
		claims, err := d.claimed(ctx, prefix)
		if err != nil {
			return err
		}
		for _, c := range claims {
			if !c.live {
				if err := d.remove(ctx, c.name); err != nil {
					return err
				}
			}
		}
	}
	names, err := d.names("tmp")
	if err != nil {
		return err
	}
	for _, name := range names {
		if m := ownerLock.FindStringSubmatch(name); m != nil {
			if err := d.sweepOwner(m[1]); err != nil {
				return err
			}
		}
	}
	return d.sweepLocks()
}

// sweepOwner removes the files of a dead owner. An owner creates its lock before its first file and holds it while it
// lives, and a sweep removes the lock last. Files without a lock are therefore not from this package.
func (d *directory) sweepOwner(owner string) error {
	lock, err := d.root.OpenFile(lockName(owner), os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return ignoreMissing(err)
	}
	defer lock.Close()
	if dead, err := filelock.Try(lock, filelock.Exclusive); err != nil || !dead {
		return err
	}
	if err := d.removeOwned(owner); err != nil {
		return err
	}
	return removeOne(d.root, lockName(owner))
}

// removeOwned removes the files of an owner under tmp, except its lock.
func (d *directory) removeOwned(owner string) error {
	f, err := d.root.Open("tmp")
	if err != nil {
		return ignoreMissing(err)
	}
	names, err := f.Readdirnames(-1)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	for _, name := range names {
		if m := ownedFile.FindStringSubmatch(name); m != nil && m[1] == owner {
			if err := d.root.RemoveAll("tmp/" + name); err != nil {
				return err
			}
		}
	}
	return nil
}
