package source

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// Line is a line of a file.
type Line struct {
	// Text is the line without its end. Nil if Long.
	Text []byte
	// End is "\n", "\r\n", or empty for a last line that has no end.
	End []byte
	// Number counts lines from 1.
	Number int64
	// Long is true if the line has more bytes than allowed.
	Long bool
}

// Lines splits a file into lines. A line ends with "\n", and an immediately preceding "\r" belongs to its end; any
// other "\r" is text. A file that ends with "\n" has no empty line after it.
type Lines struct {
	r    *bufio.Reader
	max  int
	buf  []byte
	line Line
}

// NewLines returns the lines of r. Those of more than max bytes are Long, and their text is not kept.
func NewLines(r io.Reader, max int) *Lines {
	return &Lines{r: bufio.NewReaderSize(r, 1<<20), max: max}
}

// Next returns the next line, which stays valid until the next call, or io.EOF.
func (l *Lines) Next() (Line, error) {
	all, err := l.r.ReadSlice('\n')
	long := false
	if errors.Is(err, bufio.ErrBufferFull) {
		l.buf = append(l.buf[:0], all...)
		for errors.Is(err, bufio.ErrBufferFull) {
			all, err = l.r.ReadSlice('\n')
			if len(l.buf)+len(all) > l.max+len("\r\n") {
				long = true
				continue
			}
			l.buf = append(l.buf, all...)
		}
		all = l.buf
	}
	if err != nil && (err != io.EOF || len(all) == 0) { //nolint:errorlint // A wrapped EOF is not the end of the data.
		return Line{}, err
	}
	l.line.Number++
	text := bytes.TrimSuffix(all, []byte("\n"))
	if len(text) < len(all) {
		text = bytes.TrimSuffix(text, []byte("\r"))
	}
	if long || len(text) > l.max {
		return Line{Number: l.line.Number, Long: true}, nil
	}
	return Line{Text: text, End: all[len(text):], Number: l.line.Number}, nil
}
