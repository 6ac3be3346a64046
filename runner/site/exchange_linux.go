package site

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// exchange swaps two directories at once. The error is errors.ErrUnsupported if the file system cannot.
func exchange(parent *os.Root, a, b string) (err error) {
	dir, err := parent.Open(".")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	fd := int(dir.Fd())
	err = unix.Renameat2(fd, a, fd, b, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return errors.ErrUnsupported
	}
	if err != nil {
		return &os.LinkError{Op: "exchange", Old: a, New: b, Err: err}
	}
	return nil
}

// syncAll writes the files of a directory to its device.
func syncAll(root *os.Root, _ []string) (err error) {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	// One call for the whole file system takes far less time than one for each of many small files.
	return unix.Syncfs(int(dir.Fd()))
}

// isMount reports whether a directory is a mount point.
func isMount(parent *os.Root, name string) (mounted bool, err error) {
	dir, err := parent.Open(".")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	var info unix.Statx_t
	if err := unix.Statx(int(dir.Fd()), name, unix.AT_SYMLINK_NOFOLLOW, 0, &info); err != nil {
		return false, &os.PathError{Op: "statx", Path: name, Err: err}
	}
	return info.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
}
