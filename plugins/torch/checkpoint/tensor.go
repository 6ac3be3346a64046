package checkpoint

import (
	"cmp"
	"fmt"
	"slices"

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

	from stored
	view family.View
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
	rows, w := graph.Rows(t.Shape)
	if from < 0 || to < from || to > rows {
		return fmt.Errorf("rows %d to %d of tensor %s, which has %d", from, to, t.Name, rows)
	}
	if int64(len(dst)) != (to-from)*w {
		return fmt.Errorf("rows %d to %d of tensor %s are %d elements, the destination has %d", from, to, t.Name, (to-from)*w, len(dst))
	}
	f := formats[t.Type]
	switch stride := w / f.elements * f.bytes; {
	case t.view.Transposed:
		t.columns(dst, f, from, to)
	case t.view.Row != nil:
		for r := from; r < to; r++ {
			at := t.view.Row(r) * stride
			f.decode(dst[(r-from)*w:(r-from+1)*w], t.from.data[at:at+stride])
		}
	default:
		f.decode(dst, t.from.data[(t.view.First+from)*stride:(t.view.First+to)*stride])
	}
	return nil
}

// columns writes columns of the stored matrix as rows.
func (t Tensor) columns(dst []float32, f format, from, to int64) {
	w, storedWidth := t.Shape[1], t.from.shape[1]
	line := make([]float32, to-from)
	for c := range w {
		at := (c*storedWidth + t.view.First + from) * f.bytes
		f.decode(line, t.from.data[at:at+(to-from)*f.bytes])
		for r, x := range line {
			dst[int64(r)*w+c] = x
		}
	}
}

// Raw returns the stored bytes, row after row in Type's layout, if that is also the canonical form.
func (t Tensor) Raw() (data []byte, ok bool) {
	if t.view.Transposed || t.view.Row != nil {
		return nil, false
	}
	f := formats[t.Type]
	rows, width := graph.Rows(t.Shape)
	stride := width / f.elements * f.bytes
	return slices.Clip(t.from.data[t.view.First*stride : (t.view.First+rows)*stride]), true
}
