package checkpoint

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"surprisal.dev/plugins/torch/family"
	"surprisal.dev/plugins/torch/graph"
)

// stored is a tensor as stored in a file, one row after the other.
type stored struct {
	name  string
	file  string
	typ   Type
	shape []int64
	// offset is the position of data in the data section of the file.
	offset uint64
	data   []byte
	// scales has those of MXFP4Blocks.
	scales []byte
}

// decode writes the elements from first to last, which are whole blocks of a type.
func (s stored) decode(typ Type, dst []float32, first, last int64) {
	f := formats[typ]
	data := s.data[first/f.elements*f.bytes : last/f.elements*f.bytes]
	if typ == MXFP4Blocks {
		decodeMXFP4Blocks(dst, data, s.scales[first/f.elements:last/f.elements])
		return
	}
	f.decode(dst, data)
}

// overlap rejects tensors of one file that share bytes.
func overlap(tensors []stored) error {
	order := slices.SortedFunc(slices.Values(tensors), func(a, b stored) int { return cmp.Compare(a.offset, b.offset) })
	for i := 1; i < len(order); i++ {
		if a, b := order[i-1], order[i]; a.offset+uint64(len(a.data)) > b.offset {
			return invalid("%s: tensors %q and %q share bytes; download the file again", a.file, a.name, b.name)
		}
	}
	return nil
}

// Tensor is one tensor of a checkpoint in its canonical form. It is valid until the checkpoint is closed. Its methods
// are safe for concurrent use.
type Tensor struct {
	Name string
	// Type is the storage type of the elements.
	Type Type
	// Shape is [outputs, inputs] for a matrix, [elements] for a vector. A row is the last dimension, and all others count
	// rows; the rows of a vector are its elements.
	Shape []int64

	// from is the stored tensor, or the first of others, which follow it and have as many rows each.
	from   stored
	others []stored
	view   family.View
}

// part returns the stored tensor that has a row, and the row's number in it.
func (t Tensor) part(row int64) (stored, int64) {
	if len(t.others) == 0 {
		return t.from, row
	}
	rows, _ := graph.Rows(t.from.shape)
	if row < rows {
		return t.from, row
	}
	return t.others[row/rows-1], row % rows
}

// Elements is the number of elements.
func (t Tensor) Elements() int64 {
	rows, width := graph.Rows(t.Shape)
	return rows * width
}

// Float32 writes all elements to dst, which must have exactly as many.
func (t Tensor) Float32(dst []float32) error {
	rows, _ := graph.Rows(t.Shape)
	return t.Rows(dst, 0, rows)
}

// Rows writes the rows from to to-1 to dst, which must have exactly as many elements.
func (t Tensor) Rows(dst []float32, from, to int64) error {
	_, width := graph.Rows(t.Shape)
	return t.Block(dst, graph.Span{From: from, To: to}, graph.Span{To: width})
}

// Whole returns the smallest span of columns that contains the given ones and consists of whole blocks of the type.
func (t Tensor) Whole(columns graph.Span) graph.Span {
	n := formats[t.Type].elements
	return graph.Span{From: columns.From / n * n, To: (columns.To + n - 1) / n * n}
}

// Block writes some columns of some rows to dst, row after row. dst must have exactly as many elements, and the columns
// must consist of whole blocks of the type. A large block is decoded on all cores.
func (t Tensor) Block(dst []float32, rows, columns graph.Span) error {
	height, width := graph.Rows(t.Shape)
	if rows.From < 0 || rows.Len() < 0 || rows.To > height {
		return fmt.Errorf("rows %d to %d of tensor %s, which has %d", rows.From, rows.To, t.Name, height)
	}
	if columns.From < 0 || columns.Len() < 0 || columns.To > width || t.Whole(columns) != columns {
		return fmt.Errorf("columns %d to %d of tensor %s of type %s, which has %d", columns.From, columns.To, t.Name, t.Type, width)
	}
	if n := rows.Len() * columns.Len(); int64(len(dst)) != n {
		return fmt.Errorf("rows %d to %d and columns %d to %d of tensor %s are %d elements, the destination has %d",
			rows.From, rows.To, columns.From, columns.To, t.Name, n, len(dst))
	}
	if t.view.Transposed {
		parallel(columns, rows.Len(), func(part graph.Span) { t.decodeColumns(dst, rows, columns, part) })
	} else {
		parallel(rows, columns.Len(), func(part graph.Span) {
			t.decodeRows(dst[(part.From-rows.From)*columns.Len():(part.To-rows.From)*columns.Len()], part, columns)
		})
	}
	return nil
}

// decodeRows decodes a block of a matrix that is not transposed.
func (t Tensor) decodeRows(dst []float32, rows, columns graph.Span) {
	_, width := graph.Rows(t.Shape)
	if t.view.Row == nil && columns.Len() == width && len(t.others) == 0 {
		first := t.view.First
		t.from.decode(t.Type, dst, (first+rows.From)*width, (first+rows.To)*width)
		return
	}
	for r := rows.From; r < rows.To; r++ {
		row := t.view.First + r
		if t.view.Row != nil {
			row = t.view.Row(r)
		}
		from, row := t.part(row)
		from.decode(t.Type, dst[:columns.Len()], row*width+columns.From, row*width+columns.To)
		dst = dst[columns.Len():]
	}
}

// decodeColumns decodes the columns part of a block of a transposed matrix: each is a row of the stored one. Of several
// matrices each is transposed.
func (t Tensor) decodeColumns(dst []float32, rows, columns, part graph.Span) {
	height := t.Shape[len(t.Shape)-2]
	size := t.from.shape[len(t.from.shape)-2:]
	line := make([]float32, size[1])
	for c := part.From; c < part.To; c++ {
		for r := rows.From; r < rows.To; {
			matrix, end := r/height, min(rows.To, (r/height+1)*height)
			at := (matrix*size[0] + c) * size[1]
			t.from.decode(t.Type, line, at, at+size[1])
			for ; r < end; r++ {
				column := t.view.First + r%height
				if t.view.Row != nil {
					column = t.view.Row(r % height)
				}
				dst[(r-rows.From)*columns.Len()+c-columns.From] = line[column]
			}
		}
	}
}

// grain is the number of elements for which another goroutine is worth its start: decoding them takes at least 10 µs.
const grain = 1 << 15

// parallel calls work for parts of a span whose units have size elements each, on all cores if there are many elements.
func parallel(span graph.Span, size int64, work func(graph.Span)) {
	parts := min(int64(runtime.GOMAXPROCS(0)), span.Len()*size/grain, span.Len())
	if parts < 2 {
		work(span)
		return
	}
	var workers sync.WaitGroup
	for i := range parts {
		part := graph.Rank{Index: int(i), Count: int(parts)}.Share(span.Len())
		workers.Go(func() { work(graph.Span{From: span.From + part.From, To: span.From + part.To}) })
	}
	workers.Wait()
}

// Raw returns the stored bytes of some rows, row after row in Type's layout, if that is also the canonical form.
func (t Tensor) Raw(rows graph.Span) (data []byte, ok bool) {
	if t.view.Transposed || t.view.Row != nil || rows.Len() < 1 {
		return nil, false
	}
	from, first := t.part(t.view.First + rows.From)
	if last, _ := t.part(t.view.First + rows.To - 1); last.offset != from.offset || last.file != from.file {
		return nil, false
	}
	f := formats[t.Type]
	_, width := graph.Rows(t.Shape)
	stride := width / f.elements * f.bytes
	return slices.Clip(from.data[first*stride : (first+rows.Len())*stride]), true
}
