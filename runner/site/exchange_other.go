//go:build !linux

package site

import (
	"errors"
	"os"
	"syscall"
)

// exchange returns errors.ErrUnsupported: two renames do what it does elsewhere.
func exchange(*os.Root, string, string) error { return errors.ErrUnsupported }

// syncAll writes files to their device.
func syncAll(root *os.Root, names []string) error {
	for _, name := range names {
		f, err := root.Open(name)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// isMount reports whether a directory is a mount point.
func isMount(parent *os.Root, name string) (bool, error) {
	above, err := parent.Lstat(".")
	if err != nil {
		return false, err
	}
	info, err := parent.Lstat(name)
	if err != nil {
		return false, err
	}
	return info.Sys().(*syscall.Stat_t).Dev != above.Sys().(*syscall.Stat_t).Dev, nil
}
