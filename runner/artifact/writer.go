package artifact

import (
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// layout is the sizes of the parts of a file.
type layout struct {
	// group bounds the uncompressed bytes of a row group, and therefore the memory of a writer. A row group with one large
	// row may be larger.
	group int
	// page is the size of a page before compression.
	page int
}

// Writer writes rows of T, a struct with parquet tags, as a zstd-compressed Parquet file. The same rows give the same
// bytes. The file is readable only after Close.
type Writer[T any] struct {
	file  *parquet.GenericWriter[T]
	size  func(*T) int
	check func(*T) error
	group int
	held  int
	rows  int64
	one   [1]T
}

// NewWriter returns a writer of rows to w. The function size returns the uncompressed bytes of a row, to bound row
// groups.
func NewWriter[T any](w io.Writer, size func(*T) int) *Writer[T] {
	// A score takes at most three bytes per byte of text.
	return newWriter(w, size, layout{group: 8 << 20, page: 256 << 10})
}

// NewRangedWriter is NewWriter for a table of which a browser reads a few rows by range. A document takes fewer bytes to
// read, and the file is a fifth larger.
func NewRangedWriter[T any](w io.Writer, size func(*T) int) *Writer[T] {
	return newWriter(w, size, layout{group: 4 << 20, page: 64 << 10})
}

func newWriter[T any](w io.Writer, size func(*T) int, l layout) *Writer[T] {
	return &Writer[T]{size: size, group: l.group, file: parquet.NewGenericWriter[T](w,
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}),
		parquet.PageBufferSize(l.page),
		// The library's default contains the build, so that equal tables would differ between binaries.
		parquet.CreatedBy("surprisal", "1", "0"),
		// The header of a page would contain the page's minimum and maximum. For a large text that is the text itself,
		// twice and uncompressed. Readers can use the column index instead.
		parquet.DataPageStatistics(false),
		parquet.SkipPageBounds("text"),
		parquet.SkipPageBounds("per_byte_loss", "list", "element"),
		parquet.SkipPageBounds("token_nll", "list", "element"),
		parquet.SkipPageBounds("top_nll", "list", "element"),
		parquet.SkipPageBounds("entropies", "list", "element"),
		parquet.SkipPageBounds("token_log_p", "list", "element"),
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
	if w.held += w.size(&row); w.held >= w.group {
		w.held = 0
		if err := w.file.Flush(); err != nil {
			return fmt.Errorf("row group that ends at row %d: %w", w.rows, err)
		}
	}
	return nil
}

// Close writes the footer; it does not close the underlying writer.
func (w *Writer[T]) Close() error { return w.file.Close() }
