package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"

	"surprisal.dev/plugins/digests"
	"surprisal.dev/plugins/protocol"
)

// invalid returns an error caused by the user's choice of checkpoint.
func invalid(format string, args ...any) error {
	return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(format, args...)}
}

// mapping is a file of the checkpoint, mapped read-only.
type mapping struct {
	path string
	file *os.File
	// opened is the file's identity before anything was read.
	opened digests.Identity
	data   []byte
}

func newMapping(path string) (*mapping, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, invalid("no file %s; check the model's path", path)
	}
	if err != nil {
		return nil, err
	}
	m := &mapping{path: path, file: f}
	if m.opened, err = digests.Identify(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = invalid("%s is not a file", path)
	case info.Size() == 0:
		err = invalid("%s is empty; download it again", path)
	case info.Size() > math.MaxInt:
		err = invalid("%s has %d bytes, more than this machine can address", path, info.Size())
	default:
		if m.data, err = unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED); err != nil {
			err = fmt.Errorf("mapping %s: %w", path, err)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return m, nil
}

func (m *mapping) close() error {
	err := unix.Munmap(m.data)
	m.data = nil
	return errors.Join(err, m.file.Close())
}

// forget returns the pages that were read to the system, which reads them again when needed.
func (m *mapping) forget() error {
	if err := unix.Madvise(m.data, unix.MADV_DONTNEED); err != nil {
		return fmt.Errorf("mapping of %s: %w", m.path, err)
	}
	return nil
}

// digest reads the file rather than the mapping, so that a failing disk causes an error and not a signal.
func (m *mapping) digest(ctx context.Context, known *digests.Cache) (string, error) {
	digest, _, err := known.Digest(ctx, m.file)
	if err != nil {
		return "", fmt.Errorf("digest of %s: %w", m.path, err)
	}
	return digest, nil
}

// unchanged returns an error if the file has changed since it was opened.
func (m *mapping) unchanged() error {
	now, err := digests.Identify(m.file)
	if err != nil {
		return err
	}
	if now != m.opened {
		return &protocol.Error{Kind: protocol.Changed, Message: m.path + " changed while it was loaded; run `runner plan` again, or restore the file"}
	}
	return nil
}
