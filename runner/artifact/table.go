package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/parquet-go/parquet-go"
)

// ReadTable yields the rows of a table that TableFile wrote, and stops after an error. T has the columns that are read.
func ReadTable[T any](path string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		r, err := openPlain[T](path)
		if err != nil {
			yield(none, err)
			return
		}
		defer r.Close()
		for {
			var row T
			err := r.Read(&row)
			if errors.Is(err, io.EOF) || !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// SortTable yields rows in an order, like SortScored. T is a struct as for TableFile, and size returns the bytes of a row
// in memory.
func SortTable[T any](ctx context.Context, rows iter.Seq2[T, error], dir string, size func(*T) int, compare func(a, b *T) int) iter.Seq2[T, error] {
	return sorter[T]{
		limit: sortBytes, size: size, compare: compare,
		create: func(w io.Writer) rowWriter[T] { return NewWriter(w, size) },
		open:   func(path string) (rowReader[T], error) { return openPlain[T](path) },
	}.sort(ctx, rows, dir)
}

// plainReader reads rows of a struct without lists.
type plainReader[T any] struct {
	path string
	file *os.File
	rows *parquet.GenericReader[T]
	held []T
	next int
	done bool
}

// plainRows is the number of rows that are read at once.
const plainRows = 256

func openPlain[T any](path string) (_ *plainReader[T], err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := &plainReader[T]{path: path, file: f}
	err = guard(func() error {
		r.rows = parquet.NewGenericReader[T](f)
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return r, nil
}

// Read implements rowReader.
func (r *plainReader[T]) Read(row *T) error {
	if r.next == len(r.held) {
		if err := r.fill(); err != nil {
			return err
		}
	}
	*row = r.held[r.next]
	r.next++
	return nil
}

func (r *plainReader[T]) fill() error {
	if r.done {
		return io.EOF
	}
	// Each batch has its own memory, because rows may be kept.
	r.held, r.next = make([]T, plainRows), 0
	n := 0
	err := guard(func() (err error) {
		n, err = r.rows.Read(r.held)
		return err
	})
	r.held = r.held[:n]
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", r.path, err)
	}
	r.done = err != nil
	if n == 0 {
		return io.EOF
	}
	return nil
}

// Close closes the file.
func (r *plainReader[T]) Close() error { return errors.Join(r.rows.Close(), r.file.Close()) }
