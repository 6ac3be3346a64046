package artifact

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/parquet-go/parquet-go"

	"surprisal.dev/plugins/footer"
	"surprisal.dev/plugins/protocol"
)

// column is a required column of a table, and its type as error messages name it.
type column struct{ name, kind string }

// Reader reads the rows of a Parquet file one by one. Only the pages under its cursors are in memory. An error for a
// damaged or unsuitable file names the file and, if possible, the column, row and value. Its kind is InvalidInput.
type Reader[T any] struct {
	path    string
	file    *os.File
	parquet *footer.File
	groups  []parquet.RowGroup
	rows    int64
	cursors []*cursor
	row     func([]*cursor, *T) error
	group   int   // the next row group
	left    int64 // rows left in the current one
	next    int64 // the row that Read returns
}

func open[T any](path string, columns []column, row func([]*cursor, *T) error) (_ *Reader[T], err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := &Reader[T]{path: path, file: file, row: row}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	f, err := footer.Open(path, file, info.Size(), parquet.ReadBufferSize(64<<10))
	if err != nil {
		return nil, err
	}
	err = guard(func() error {
		r.parquet, r.groups, r.rows = f, f.RowGroups(), f.NumRows()
		total := int64(0)
		for _, group := range r.groups {
			if group.NumRows() < 0 {
				return fmt.Errorf("a row group has %d rows", group.NumRows())
			}
			total += group.NumRows()
		}
		if total != r.rows || r.rows < 0 {
			return fmt.Errorf("the row groups have %d rows, but the footer declares %d", total, r.rows)
		}
		for _, want := range columns {
			c, err := newCursor(f.Root(), want)
			if err != nil {
				return err
			}
			r.cursors = append(r.cursors, c)
		}
		return nil
	})
	if err != nil {
		return nil, r.fault(err)
	}
	return r, nil
}

// fault adds the file's name to an error. The content of a file is user input, whatever the library's type of error.
func (r *Reader[T]) fault(err error) error {
	if pathError, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Errorf("%s: %w", r.path, pathError)
	}
	return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf("%s: %v", r.path, err)}
}

// guard turns a panic into an error, because parquet-go does not check everything that it decodes.
func guard(work func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged Parquet data: %v", p)
		}
	}()
	return work()
}

// Len returns the number of rows.
func (r *Reader[T]) Len() int64 { return r.rows }

// GroupBytes returns the uncompressed size of the row group that contains the next row. In files by this package's
// writers it exceeds 16 MiB only if one row has most of it.
func (r *Reader[T]) GroupBytes() int64 {
	group := r.group
	if r.left > 0 {
		group--
	}
	if group >= len(r.groups) {
		return 0
	}
	return r.parquet.GroupBytes(group)
}

// Read reads the next row into row, whose slices it reuses. The error after the last row is io.EOF.
func (r *Reader[T]) Read(row *T) error {
	if r.next >= r.rows {
		return io.EOF
	}
	for r.left == 0 {
		if err := r.enter(r.group, 0); err != nil {
			return err
		}
	}
	if err := r.row(r.cursors, row); err != nil {
		return r.fault(fmt.Errorf("row %d of %d: %w", r.next, r.rows, err))
	}
	r.next++
	r.left--
	return nil
}

// enter positions the cursors at a row of a row group.
func (r *Reader[T]) enter(group int, row int64) error {
	for _, c := range r.cursors {
		if err := c.enter(r.parquet, group, row); err != nil {
			return r.fault(err)
		}
	}
	r.group, r.left = group+1, r.groups[group].NumRows()-row
	return nil
}

// SeekRow makes row, counted from 0, the next that Read returns.
func (r *Reader[T]) SeekRow(row int64) error {
	if row < 0 || row >= r.rows {
		return fmt.Errorf("%s: no row %d: the table has %d rows", r.path, row, r.rows)
	}
	r.next = row
	for group := range r.groups {
		if n := r.groups[group].NumRows(); row >= n {
			row -= n
			continue
		}
		return r.enter(group, row)
	}
	return nil
}

// All yields the remaining rows, each with its own slices, and stops after an error.
func (r *Reader[T]) All() iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			var row T
			err := r.Read(&row)
			if errors.Is(err, io.EOF) || !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// Close closes the file.
func (r *Reader[T]) Close() error {
	for _, c := range r.cursors {
		c.leave()
	}
	return r.file.Close()
}
