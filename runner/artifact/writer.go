package artifact

import (
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// groupBytes bounds the uncompressed bytes of a row group, and with them what a writer holds. A row group of one large
// row may have more.
const groupBytes = 8 << 20

// pageBytes is the size of a page before compression: large enough that a score takes at most three bytes for each byte of
// text, small enough that a reader by range gets little more than the document it wants.
const pageBytes = 256 << 10

// Writer writes rows of T, a struct with parquet tags, as a zstd-compressed parquet file. The same rows give the same
// bytes. Nothing is readable before Close.
type Writer[T any] struct {
	file  *parquet.GenericWriter[T]
	size  func(*T) int
	check func(*T) error
	held  int
	rows  int64
	one   [1]T
}

// NewWriter returns a writer of rows to w. The size of a row in bytes, before compression, bounds the row groups.
func NewWriter[T any](w io.Writer, size func(*T) int) *Writer[T] {
	return &Writer[T]{size: size, file: parquet.NewGenericWriter[T](w,
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}),
		parquet.PageBufferSize(pageBytes),
		// The library's default names the build, which would make equal tables differ between binaries.
		parquet.CreatedBy("surprisal", "1", "0"),
		// The header of a page would hold the page's least and greatest value: of a large text, the text itself, twice, and
		// not compressed. The index of the columns has what a reader can use.
		parquet.DataPageStatistics(false),
		parquet.SkipPageBounds("text"),
		parquet.SkipPageBounds("per_byte_loss", "list", "element"),
		parquet.SkipPageBounds("token_nll", "list", "element"),
	)}
}

// Write appends a row. It keeps no reference to the row's slices.
func (w *Writer[T]) Write(row T) error {
	if w.check != nil {
		if err := w.check(&row); err != nil {
			return err
		}
	}
	w.one[0] = row
	if _, err := w.file.Write(w.one[:]); err != nil {
		return fmt.Errorf("row %d: %w", w.rows, err)
	}
	w.rows++
	if w.held += w.size(&row); w.held >= groupBytes {
		w.held = 0
		if err := w.file.Flush(); err != nil {
			return fmt.Errorf("row group that ends at row %d: %w", w.rows, err)
		}
	}
	return nil
}

// Close writes the footer; it does not close the underlying writer.
func (w *Writer[T]) Close() error { return w.file.Close() }
