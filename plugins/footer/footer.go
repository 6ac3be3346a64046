package footer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"

	"surprisal.dev/plugins/protocol"
)

// frame counts the bytes of a file around its pages and its footer: PAR1 at both ends and the footer's size, in 4 bytes.
const frame = 12

// Open opens a Parquet file of size bytes with its page index and bloom filters left unread. What is wrong with its
// content is an error of the kind InvalidInput that begins with the name and a colon; an error of r is returned as it is.
func Open(name string, r io.ReaderAt, size int64, options ...parquet.FileOption) (*parquet.File, error) {
	source := &source{ReaderAt: r, opening: true}
	file, err := open(source, size, options)
	source.opening = false
	switch {
	case source.err != nil:
		return nil, source.err
	case err != nil:
		return nil, &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf("%s: %v", name, err)}
	}
	return file, nil
}

// source keeps a reader's first error in opening, to tell it from those of the content.
type source struct {
	io.ReaderAt
	opening bool
	err     error
}

func (s *source) ReadAt(b []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fmt.Errorf("no byte %d", offset)
	}
	n, err := s.ReaderAt.ReadAt(b, offset)
	if err != nil && s.opening && s.err == nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func open(r io.ReaderAt, size int64, options []parquet.FileOption) (file *parquet.File, err error) {
	if err := checkFrame(r, size); err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
		if err != nil {
			err = fmt.Errorf("damaged Parquet footer: %w; get the file again", err)
		}
	}()
	footer, err := read(r, size)
	if err != nil {
		return nil, err
	}
	if err := check(footer); err != nil {
		return nil, err
	}
	file, err = parquet.OpenFile(r, size, append(options, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))...)
	if err != nil {
		return nil, err
	}
	for _, group := range file.Metadata().RowGroups {
		for _, c := range group.Columns {
			offset, length := c.OffsetIndexOffset, int64(c.OffsetIndexLength)
			if offset < 0 || length < 0 || length > size || offset > size-length {
				return nil, fmt.Errorf("an index of %d bytes at byte %d of %d", length, offset, size)
			}
		}
	}
	return file, nil
}

func checkFrame(r io.ReaderAt, size int64) error {
	if size < frame {
		return fmt.Errorf("%d bytes are no Parquet file", size)
	}
	var head, tail [4]byte
	if err := errors.Join(full(r, head[:], 0), full(r, tail[:], size-4)); err != nil {
		return err
	}
	if string(head[:]) == "PARE" || string(tail[:]) == "PARE" {
		return errors.New("the Parquet file is encrypted; decrypt it first")
	}
	if string(head[:]) != "PAR1" || string(tail[:]) != "PAR1" {
		return fmt.Errorf("no Parquet file, or one that is cut off: it begins with %q and ends with %q, not PAR1; get the file again", head, tail)
	}
	return nil
}

// read returns the footer.
func read(r io.ReaderAt, size int64) ([]byte, error) {
	var claim [4]byte
	if err := full(r, claim[:], size-8); err != nil {
		return nil, err
	}
	length := int64(binary.LittleEndian.Uint32(claim[:]))
	if length > size-frame {
		return nil, fmt.Errorf("it claims %d bytes of a file of %d", length, size)
	}
	footer := make([]byte, length)
	return footer, full(r, footer, size-8-length)
}

func full(r io.ReaderAt, b []byte, offset int64) error {
	_, err := io.ReadFull(io.NewSectionReader(r, offset, int64(len(b))), b)
	return err
}
