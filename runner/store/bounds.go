package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/dustin/go-humanize"
	"golang.org/x/sync/semaphore"

	"surprisal.dev/internal/bounded"
)

// MaxDescriptor is the maximum size of a descriptor in bytes. A table of 100 models on 1,000 datasets needs 10 MB.
const MaxDescriptor = 32 << 20

// Maximum sizes of objects in bytes. A store may come with a repository, in which a huge object takes little space.
const (
	// maxRest bounds the part of a record that is not its descriptor: its outputs, warnings and measurements.
	maxRest   = 1 << 20
	maxRecord = MaxDescriptor + maxRest
	// maxJob bounds a job, which has local paths in addition to a descriptor.
	maxJob = 4 * MaxDescriptor
	// maxManifest bounds a run, which has about 150 bytes per action, and a lease.
	maxManifest = 256 << 20
	// maxSmall bounds markers, tags and generations.
	maxSmall = 64 << 10
	// maxSidecar bounds the record next to an exported artifact, which is indented and in which characters are escaped.
	maxSidecar = maxManifest
)

// reading bounds the objects that all goroutines read and decode at a time, in bytes.
var reading = semaphore.NewWeighted(maxManifest)

// read reads an object of at most most bytes and passes it to decode. bad makes the error of a larger object, or of one
// that decode refuses.
func (s *Store) read(
	ctx context.Context, name string, most int64, bad func(where, found string) error, decode func(data []byte) error,
) error {
	r, err := s.b.open(ctx, name)
	if err != nil {
		return fmt.Errorf("store %s: %w", s, err)
	}
	err = readObject(ctx, r, most, decode)
	closeErr := r.Close()
	if content, ok := errors.AsType[*contentError](err); ok {
		return errors.Join(bad(s.b.where(name), content.Error()), closeErr)
	}
	if err := errors.Join(err, closeErr); err != nil {
		return fmt.Errorf("store: read %s: %w", s.b.where(name), err)
	}
	return nil
}

// contentError is an error of an object's content, not of reading it.
type contentError struct{ error }

func readObject(ctx context.Context, r io.Reader, most int64, decode func(data []byte) error) error {
	size := most
	switch r := r.(type) {
	case interface{ Stat() (fs.FileInfo, error) }: // a file
		info, err := r.Stat()
		if err != nil {
			return err
		}
		size = info.Size()
	case interface{ Size() int64 }: // an object of a bucket
		size = r.Size()
	}
	if size > most {
		return &contentError{&bounded.TooLargeError{Most: most}}
	}
	if err := reading.Acquire(ctx, size); err != nil {
		return err
	}
	defer reading.Release(size)
	data, err := bounded.ReadAll(r, most)
	if _, tooLarge := errors.AsType[*bounded.TooLargeError](err); tooLarge {
		return &contentError{err}
	}
	if err != nil {
		return err
	}
	if err := decode(data); err != nil {
		return &contentError{err}
	}
	return nil
}

// checkSize checks the size of an encoded record.
func (r *Record) checkSize(bytes int) error {
	if len(r.Descriptor) > MaxDescriptor {
		return fmt.Errorf("its descriptor has %s, more than the limit of %s", size(len(r.Descriptor)), size(MaxDescriptor))
	}
	if rest := bytes - len(r.Descriptor); rest > maxRest {
		return fmt.Errorf("its outputs, warnings and measurements have %s, more than the limit of %s", size(rest), size(maxRest))
	}
	return nil
}

func size(n int) string { return humanize.IBytes(uint64(n)) }
