//go:build torch

package tensor

// #include <stdlib.h>
// #include "extra.h"
import "C"

import (
	"fmt"
	"unsafe"

	"github.com/sugarme/gotch/libtch"
)

func (t Tensor) c() libtch.Ctensor { return libtch.Ctensor(t.p) }

func (t Tensor) x() C.extra_tensor { return C.extra_tensor(t.p) }

// Element is a Go type whose slices become tensors.
type Element interface {
	~float32 | ~int32 | ~int64 | ~uint16
}

// New copies data into a tensor of a shape. The elements of a []uint16 are the bits of type t, BFloat16 or Float16.
func New[E Element](s *Scope, data []E, t Type, shape ...int64) Tensor {
	n := int64(1)
	for _, size := range shape {
		n *= size
	}
	if n != int64(len(data)) {
		s.err = fmt.Errorf("%d elements do not fill the shape %v", len(data), shape)
	}
	return s.extra("new tensor", func(out *C.extra_tensor) *C.char {
		return C.extra_from_data(out, unsafe.Pointer(unsafe.SliceData(data)), (*C.int64_t)(unsafe.SliceData(shape)), C.size_t(len(shape)), C.int(t))
	})
}

// Device is the location of tensors: CPU, or the number of a CUDA device.
type Device int

// CPU is the device that is not a CUDA device.
const CPU Device = -1

// Empty returns a tensor for Fill.
func (s *Scope) Empty(t Type, d Device, shape ...int64) Tensor {
	return s.extra("new tensor", func(out *C.extra_tensor) *C.char {
		return C.extra_empty(out, (*C.int64_t)(unsafe.SliceData(shape)), C.size_t(len(shape)), C.int(t), C.int(d))
	})
}

// Fill copies rows of data [rows, width], elements of type t, into x's rows, starting at row. It copies the columns
// that start at first, as many as x has. A vector has rows of one column.
func Fill[E Element | byte](s *Scope, x Tensor, row int64, data []E, t Type, width, first int64) {
	var e E
	rows := int64(len(data)) * int64(unsafe.Sizeof(e)) / t.Bytes() / width
	s.do("fill", func() *C.char {
		return C.extra_fill(x.x(), C.int64_t(row), unsafe.Pointer(unsafe.SliceData(data)), C.int(t), C.int64_t(rows), C.int64_t(width), C.int64_t(first))
	})
}

// To returns x with another type of elements and on a device.
func (s *Scope) To(x Tensor, t Type, d Device) Tensor {
	return s.extra("convert", func(out *C.extra_tensor) *C.char { return C.extra_to(out, x.x(), C.int(t), C.int(d)) })
}

// Float64s copies x's elements.
func (s *Scope) Float64s(x Tensor) []float64 {
	if s.err != nil {
		return nil
	}
	n := int64(1)
	for _, size := range x.Shape() {
		n *= size
	}
	values := make([]float64, n)
	s.do("copy", func() *C.char { return C.extra_to_doubles(x.x(), (*C.double)(unsafe.SliceData(values)), C.size_t(n)) })
	return values
}

// Rows returns the rows of table [rows, width] with the indices [n], as [n, width].
func (s *Scope) Rows(table, indices Tensor) Tensor {
	return s.call("rows", func(out *libtch.Ctensor) { libtch.AtgIndexSelect(out, table.c(), 0, indices.c()) })
}

// Pack returns the matrix w in the packed layout that Linear and LinearAdd read fastest if x has many rows. Nothing
// else can use the result. It returns w if there is no such layout.
func (s *Scope) Pack(w Tensor) Tensor {
	return s.extra("pack", func(out *C.extra_tensor) *C.char { return C.extra_pack(out, w.x()) })
}

// PackFloat32 is Pack for LinearFloat32 and Logits. If HasPackedLayout is false, it returns w.
func (s *Scope) PackFloat32(w Tensor) Tensor {
	return s.extra("pack", func(out *C.extra_tensor) *C.char { return C.extra_pack_float32(out, w.x()) })
}

// Linear returns x w^T + b for x [n, in], w [out, in], which may be packed, and b [out] or none.
func (s *Scope) Linear(x, w, b Tensor) Tensor { return s.LinearAdd(x, w, b, Tensor{}) }

// LinearAdd returns x w^T + b + y, rounded once to x's type, for x [n, in], w [out, in], which may be packed, b [out] or
// none, and y [n, out] or none.
func (s *Scope) LinearAdd(x, w, b, y Tensor) Tensor {
	return s.extra("linear", func(out *C.extra_tensor) *C.char { return C.extra_linear(out, x.x(), w.x(), b.x(), y.x()) })
}

// LinearFloat32 returns x w^T in float32, whatever the type of x [n, in] and w [out, in], which may be packed by
// PackFloat32.
func (s *Scope) LinearFloat32(x, w Tensor) Tensor {
	return s.extra("linear", func(out *C.extra_tensor) *C.char { return C.extra_linear_float32(out, x.x(), w.x()) })
}

// Add returns x + y.
func (s *Scope) Add(x, y Tensor) Tensor {
	return s.call("add", func(out *libtch.Ctensor) { libtch.AtgAdd(out, x.c(), y.c()) })
}

// Multiply returns x times y, element by element.
func (s *Scope) Multiply(x, y Tensor) Tensor {
	return s.call("multiply", func(out *libtch.Ctensor) { libtch.AtgMul(out, x.c(), y.c()) })
}

// Activation is a function of single elements.
type Activation int

// Activations: x / (1 + e^-x), and x times the normal distribution's probability below x, by the approximation with
// tanh and exactly (Hendrycks and Gimpel, arXiv:1606.08415).
const (
	SiLU Activation = iota
	GELUTanh
	GELU
)

// Activate replaces x by its activation. reference disables code that only some processors support.
func (s *Scope) Activate(x Tensor, a Activation, reference bool) {
	s.do("activate", func() *C.char { return C.extra_activate(x.x(), C.int(a), flag(reference)) })
}

// Gate returns the activation of the first half of each row of x [n, 2*width] times the second half (Shazeer,
// arXiv:2002.05202), as [n, width]. The activation is rounded to x's type first. reference is that of Activate.
func (s *Scope) Gate(x Tensor, a Activation, reference bool) Tensor {
	return s.extra("gate", func(out *C.extra_tensor) *C.char { return C.extra_gate(out, x.x(), C.int(a), flag(reference)) })
}

// View returns x with another shape.
func (s *Scope) View(x Tensor, shape ...int64) Tensor {
	return s.call("view", func(out *libtch.Ctensor) { libtch.AtgView(out, x.c(), shape, len(shape)) })
}

// Narrow returns x[..., start:start+length, ...] of a dimension.
func (s *Scope) Narrow(x Tensor, dimension, start, length int64) Tensor {
	return s.call("narrow", func(out *libtch.Ctensor) { libtch.AtgNarrow(out, x.c(), dimension, start, length) })
}

// Pieces returns x in pieces of that many rows; the last may have fewer. They share x's memory.
func (s *Scope) Pieces(x Tensor, rows int64) []Tensor {
	if s.err != nil {
		return nil
	}
	var pieces []Tensor
	for from, all := int64(0), x.Shape()[0]; from < all; from += rows {
		pieces = append(pieces, s.Narrow(x, 0, from, min(rows, all-from)))
	}
	return pieces
}

// Contiguous returns x with its elements in order.
func (s *Scope) Contiguous(x Tensor) Tensor {
	return s.call("contiguous", func(out *libtch.Ctensor) { libtch.AtgContiguous(out, x.c()) })
}

// LayerNorm returns (x - mean) / sqrt(variance + epsilon) * w + b over the last dimension (Ba et al., arXiv:1607.06450),
// computed in float32 and rounded once to x's type; b may be none. w and b may have another type than x.
func (s *Scope) LayerNorm(x, w, b Tensor, epsilon float64) Tensor {
	return s.extra("layer norm", func(out *C.extra_tensor) *C.char {
		return C.extra_layer_norm(out, x.x(), w.x(), b.x(), C.double(epsilon))
	})
}

// RMSNormOptions configure RMSNorm.
type RMSNormOptions struct {
	Epsilon float64
	// AddOne is true if the weights are stored less 1.
	AddOne bool
}

// RMSNorm returns x / sqrt(mean(x^2) + epsilon) times w over the last dimension (Zhang and Sennrich, arXiv:1910.07467),
// computed in float32 and rounded once to x's type. w may have another type than x.
func (s *Scope) RMSNorm(x, w Tensor, n RMSNormOptions) Tensor {
	return s.extra("rms norm", func(out *C.extra_tensor) *C.char {
		return C.extra_rms_norm(out, x.x(), w.x(), C.double(n.Epsilon), flag(n.AddOne))
	})
}

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// ApplyRoPE rotates, in place, the pairs (i, i+n) of each head of x [tokens, heads, head size]. cosines and sines are
// those of the angles, float32 [tokens, n] (Su et al., arXiv:2104.09864, with the pairs half a head apart). reference
// disables code that only some processors support.
func (s *Scope) ApplyRoPE(x, cosines, sines Tensor, reference bool) {
	s.do("rotate", func() *C.char { return C.extra_rotate(x.x(), cosines.x(), sines.x(), flag(reference)) })
}

// AttentionOptions configure Attention.
type AttentionOptions struct {
	// Scale multiplies q·k.
	Scale float64
	// Window is how many keys a query sees, its own included; 0: all up to its own.
	Window int64
	// Sinks, float32 [heads] or none, are logits that take a share of the weights of each head and have no value (Xiao et
	// al., arXiv:2309.17453).
	Sinks Tensor
	// Reference disables code that only some processors support.
	Reference bool
}

// Segment is a range of consecutive rows of a sequence. Segments follow each other.
type Segment struct {
	// End is the row after the last.
	End int64
	// Start is the position of the first row in the sequence. The rows before it are those of Parent, which ends there, and
	// its parents.
	Start int64
	// Parent is the number of an earlier segment, or -1 if Start is 0.
	Parent int64
}

// Sequences are sequences of rows. Those that begin with the same rows share segments.
type Sequences struct {
	// ends are those of the segments. Each segment is a sequence unless they are shared.
	ends     []int64
	segments []C.extra_segment
	// offsets are the starts of sequences and the end of the last, int32 on a GPU; none on the CPU.
	offsets Tensor
}

// NewSequences returns sequences that share no rows, whose ends are the row indices in ends, for tensors on a device.
func NewSequences(s *Scope, ends []int64, d Device) Sequences {
	segments := make([]Segment, len(ends))
	for i, end := range ends {
		segments[i] = Segment{End: end, Parent: -1}
	}
	return NewSegments(s, segments, d)
}

// NewSegments returns sequences of segments for tensors on a device. On a GPU no segment may have a parent.
func NewSegments(s *Scope, segments []Segment, d Device) (q Sequences) {
	offsets := make([]int32, 1, len(segments)+1)
	for i, g := range segments {
		if g.Parent < -1 || g.Parent >= int64(i) || (g.Parent < 0) != (g.Start == 0) || g.Parent >= 0 && d != CPU {
			s.Fail(fmt.Errorf("segment %d starts at position %d of segment %d", i, g.Start, g.Parent))
		}
		q.ends, offsets = append(q.ends, g.End), append(offsets, int32(g.End))
		q.segments = append(q.segments, C.extra_segment{to: C.int64_t(g.End), start: C.int64_t(g.Start), parent: C.int64_t(g.Parent)})
	}
	if d != CPU {
		q.offsets = s.To(New(s, offsets, Int32, int64(len(offsets))), Int32, d)
	}
	return q
}

// Attention lets the queries q [tokens, heads, head size] attend to keys and values [tokens, key heads, head size] at
// the same or earlier positions in the same sequence. If IndependentRows is true, the results have the same bits for
// sequences that share segments and for the same sequences without segments in common.
func (s *Scope) Attention(q, k, v Tensor, in Sequences, a AttentionOptions) Tensor {
	return s.extra("attention", func(out *C.extra_tensor) *C.char {
		return C.extra_attention(out, q.x(), k.x(), v.x(), unsafe.SliceData(in.segments), C.size_t(len(in.segments)), in.offsets.x(), a.Sinks.x(),
			C.double(a.Scale), C.int64_t(a.Window), flag(a.Reference))
	})
}

// ProductFailure returns what is wrong with the fastest products with float32 results on this processor, if a check of
// PackFloat32 found that they must not be used, and otherwise "".
func ProductFailure() string {
	return text(C.extra_product_failure())
}

// oneDNNMultiplies reports whether oneDNN multiplies matrices of a type on a processor with these features.
func oneDNNMultiplies(t Type, avx512, avx512BF16 bool) bool {
	return C.extra_onednn_multiplies(C.int(t), flag(avx512), flag(avx512BF16)) != 0
}

// kernelFault is what is wrong with the kernel of mixedProduct.
type kernelFault int

const (
	noFault kernelFault = iota
	roundsSums
	dependsOnRows
)

// mixedProduct returns x w^T in float32 for x and w in bfloat16, by the code for processors with bfloat16 products, but
// with a kernel that all processors have. It fails if the check of the kernel does.
func (s *Scope) mixedProduct(x, w Tensor, fault kernelFault) Tensor {
	return s.extra("product", func(out *C.extra_tensor) *C.char { return C.extra_mixed_test(out, x.x(), w.x(), C.int(fault)) })
}
