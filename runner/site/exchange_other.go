//go:build !linux

package site

import (
	"errors"
	"os"
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
