// Package bounded reads files, streams and lines into memory, up to a limit.
package bounded

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/dustin/go-humanize"
)

// TooLargeError is the error of content that exceeds a limit in bytes.
type TooLargeError struct{ Most int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("it is larger than %s", humanize.IBytes(uint64(e.Most)))
}

// ReadAll reads r to its end. If that is more than most bytes, the error is a TooLargeError. A file that is known to be
// larger is not read.
func ReadAll(r io.Reader, most int64) ([]byte, error) {
	if f, ok := r.(fs.File); ok {
		if info, err := f.Stat(); err == nil && info.Size() > most {
			return nil, &TooLargeError{most}
		}
	}
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(data)) > most {
		return nil, &TooLargeError{most}
	}
	return data, err
}

// ReadFile reads a regular file of at most most bytes. It does not open other files, such as named pipes and devices,
// because that could block forever.
func ReadFile(fsys fs.FS, name string, most int64) (_ []byte, err error) {
	info, err := fs.Stat(fsys, name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("not a regular file (%s)", info.Mode())
	case info.Size() > most:
		return nil, &TooLargeError{most}
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// The file may have grown, and some files of the kernel report no size.
	return ReadAll(f, most)
}

// ReadLine is in.ReadBytes('\n') for a line of at most most bytes. If a line is longer, the error is a TooLargeError and
// the rest of the line remains.
func ReadLine(in *bufio.Reader, most int) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > most {
			return nil, &TooLargeError{int64(most)}
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}
