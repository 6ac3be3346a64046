package footer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// depth bounds the nesting of a footer's values; Parquet's own footers are at most 8 levels deep.
const depth = 32

// Types of Thrift's compact protocol, https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.
const (
	stop = iota
	yes
	no
	i8
	i16
	i32
	i64
	double
	binaryType
	list
	set
	mapType
	structType
	uuid
)

// check walks the struct at the start of a footer, and stores none of it. A list whose size was walked cannot claim
// more than its bytes can contain.
func check(footer []byte) error {
	w := walker{rest: footer}
	if err := w.value(structType, 0); err != nil {
		return fmt.Errorf("byte %d of %d: %w", len(footer)-len(w.rest), len(footer), err)
	}
	return nil
}

type walker struct{ rest []byte }

func (w *walker) value(kind byte, level int) error {
	if level > depth {
		return fmt.Errorf("values nested more than %d deep", depth)
	}
	switch kind {
	case yes, no, i8:
		return w.skip(1)
	case i16, i32, i64:
		_, err := w.number()
		return err
	case double:
		return w.skip(8)
	case uuid:
		return w.skip(16)
	case binaryType:
		n, err := w.number()
		if err != nil {
			return err
		}
		return w.skip(n)
	case list, set:
		return w.list(level)
	case mapType:
		return w.entries(level)
	case structType:
		return w.fields(level)
	}
	return fmt.Errorf("a value of the unknown type %d", kind)
}

func (w *walker) fields(level int) error {
	for {
		head, err := w.byte()
		if err != nil {
			return err
		}
		if head == stop {
			return nil
		}
		if head>>4 == 0 {
			if _, err := w.number(); err != nil { // the field's id
				return err
			}
		}
		kind := head & 0xf
		if kind == yes || kind == no { // the type is the value
			continue
		}
		if err := w.value(kind, level+1); err != nil {
			return err
		}
	}
}

func (w *walker) list(level int) error {
	head, err := w.byte()
	if err != nil {
		return err
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = w.number(); err != nil {
			return err
		}
	}
	return w.repeat(n, level, head&0xf)
}

func (w *walker) entries(level int) error {
	n, err := w.number()
	if err != nil || n == 0 {
		return err
	}
	kinds, err := w.byte()
	if err != nil {
		return err
	}
	return w.repeat(n, level, kinds>>4, kinds&0xf)
}

// repeat walks n times values of the kinds. Each uses at least one byte, which bounds the walk.
func (w *walker) repeat(n uint64, level int, kinds ...byte) error {
	if n > uint64(len(w.rest)) {
		return fmt.Errorf("a list of %d values in %d bytes", n, len(w.rest))
	}
	for range n {
		for _, kind := range kinds {
			if err := w.value(kind, level+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walker) number() (uint64, error) {
	n, size := binary.Uvarint(w.rest)
	if size == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	if size < 0 {
		return 0, errors.New("a number of more than 64 bits")
	}
	w.rest = w.rest[size:]
	return n, nil
}

func (w *walker) byte() (byte, error) {
	if len(w.rest) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	b := w.rest[0]
	w.rest = w.rest[1:]
	return b, nil
}

func (w *walker) skip(n uint64) error {
	if n > uint64(len(w.rest)) {
		return fmt.Errorf("a value of %d bytes, but only %d are left", n, len(w.rest))
	}
	w.rest = w.rest[n:]
	return nil
}
