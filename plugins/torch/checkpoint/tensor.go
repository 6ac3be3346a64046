package checkpoint

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
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

// maxElements is small enough that the bytes of as many elements of any type do not overflow int64.
const maxElements = 1 << 58

// elements multiplies the sizes of a shape; ok is false if the product exceeds maxElements or a size is not positive.
func elements(shape []int64) (n int64, ok bool) {
	n = 1
	for _, size := range shape {
		if size <= 0 {
			return 0, false
		}
		high, low := bits.Mul64(uint64(n), uint64(size))
		if high != 0 || low > maxElements {
			return 0, false
		}
		n = int64(low)
	}
	return n, true
}

// view maps the rows of a canonical tensor to those of a stored tensor.
type view struct {
	// first is the stored row that is row 0.
	first int64
	// row returns the stored row of a row; it is nil if rows are consecutive.
	row func(row int64) int64
	// transposed is true if the rows are the stored tensor's columns, from first.
	transposed bool
}

// Tensor is one tensor of a checkpoint in its canonical form. It is valid until the checkpoint is closed. Its methods
// are safe for concurrent use.
type Tensor struct {
	Name string
	// Type is the storage type of the elements.
	Type Type
	// Shape is [outputs, inputs] for a matrix, [elements] for a vector.
	Shape []int64

	from stored
	view view
}

// width is the number of elements of a row; the rows of a vector are its elements.
func width(shape []int64) int64 {
	if len(shape) < 2 {
		return 1
	}
	return shape[1]
}

// Elements is the number of elements.
func (t Tensor) Elements() int64 { return t.Shape[0] * width(t.Shape) }

// Float32 writes all elements to dst, which must have exactly as many.
func (t Tensor) Float32(dst []float32) error { return t.Rows(dst, 0, t.Shape[0]) }

// Rows writes the rows from to to-1 (for a vector, the elements) to dst, which must have exactly as many elements.
func (t Tensor) Rows(dst []float32, from, to int64) error {
	if from < 0 || to < from || to > t.Shape[0] {
		return fmt.Errorf("rows %d to %d of tensor %s, which has %d", from, to, t.Name, t.Shape[0])
	}
	w := width(t.Shape)
	if int64(len(dst)) != (to-from)*w {
		return fmt.Errorf("rows %d to %d of tensor %s are %d elements, the destination has %d", from, to, t.Name, (to-from)*w, len(dst))
	}
	f := formats[t.Type]
	switch stride := w / f.elements * f.bytes; {
	case t.view.transposed:
		t.columns(dst, f, from, to)
	case t.view.row != nil:
		for r := from; r < to; r++ {
			at := t.view.row(r) * stride
			f.decode(dst[(r-from)*w:(r-from+1)*w], t.from.data[at:at+stride])
		}
	default:
		f.decode(dst, t.from.data[(t.view.first+from)*stride:(t.view.first+to)*stride])
	}
	return nil
}

// columns writes columns of the stored matrix as rows.
func (t Tensor) columns(dst []float32, f format, from, to int64) {
	w, storedWidth := t.Shape[1], width(t.from.shape)
	line := make([]float32, to-from)
	for c := range w {
		at := (c*storedWidth + t.view.first + from) * f.bytes
		f.decode(line, t.from.data[at:at+(to-from)*f.bytes])
		for r, x := range line {
			dst[int64(r)*w+c] = x
		}
	}
}

// Raw returns the stored bytes, row after row in Type's layout, if that is also the canonical form.
func (t Tensor) Raw() (data []byte, ok bool) {
	if t.view.transposed || t.view.row != nil {
		return nil, false
	}
	f := formats[t.Type]
	stride := width(t.Shape) / f.elements * f.bytes
	return slices.Clip(t.from.data[t.view.first*stride : (t.view.first+t.Shape[0])*stride]), true
}
