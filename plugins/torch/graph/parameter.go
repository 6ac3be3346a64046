package graph

import (
	"iter"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Role is what the computation does with a parameter.
type Role int8

// Roles.
const (
	// Matrix is a matrix [outputs, inputs], or several in leading dimensions, that is used only in products.
	Matrix Role = iota
	// Table has rows that are looked up.
	Table
	// Vector is a norm's weight.
	Vector
)

// Parameter declares a weight, and the bias that it may have. Checkpoints are converted to this form: rotated pairs of
// q and k, for example, are half a head apart, however a family stores them.
type Parameter struct {
	// Key is the name with N in place of the layer's number, without ".weight".
	Key string
	// Layer is the number of the layer; it is 0 for parameters outside of layers.
	Layer int
	// Shape is [outputs, inputs] for a matrix, [rows, width] for a table, [elements] for a vector.
	Shape []int64
	Role  Role
	// Share returns a rank's part of dimension Axis of the shape. If it is nil, each rank holds all of the weight.
	Share func(Rank) Span
	Axis  int
	// Product names the product that the matrix is a part of, with others of the layer that have the same inputs and one
	// Product: their outputs follow each other. Empty: the matrix is multiplied alone.
	Product string
	// Active is how many of the matrices of the first dimension a token uses; 0: all.
	Active int64
	// Float32 is true if the weight is kept in float32, whatever the type of the other weights is.
	Float32 bool
}

// Name is the name of a parameter, without ".weight".
func (p Parameter) Name() string { return p.In(p.Key) }

// In replaces N in a name by the parameter's layer.
func (p Parameter) In(name string) string {
	return strings.Replace(name, "N", strconv.Itoa(p.Layer), 1)
}

// Bias declares the bias, one element for each output, or for each element of a vector. Ranks that divide the outputs
// divide it likewise. If they divide the inputs, their products are summed, and the complete bias is added once. The
// biases of several matrices are [matrices, outputs, 1], so that the elements are rows as those of one bias are. ok is
// false for tables, which have no bias.
func (p Parameter) Bias() (b Parameter, ok bool) {
	b = p
	if p.Role == Matrix {
		last := len(p.Shape) - 1
		b.Shape = p.Shape[:last]
		if p.Axis == last {
			b.Share, b.Axis = nil, 0
		}
		if last > 1 {
			b.Shape = append(slices.Clone(b.Shape), 1)
		}
	}
	return b, p.Role != Table
}

// Used is the number of elements that a token uses.
func (p Parameter) Used() int64 {
	n, _ := Elements(p.Shape)
	if p.Active > 0 {
		n = n / p.Shape[0] * p.Active
	}
	return n
}

// One returns the part of several matrices, or of their biases, that is the matrix of that number.
func (p Parameter) One(number int64) Parameter {
	p.Share, p.Axis = func(Rank) Span { return Span{number, number + 1} }, 0
	return p
}

// Sharded returns the shape of a rank's part.
func (p Parameter) Sharded(r Rank) []int64 {
	shape := slices.Clone(p.Shape)
	if p.Share != nil {
		shape[p.Axis] = p.Share(r).Len()
	}
	return shape
}

// Rows returns a rank's part as ranges of rows, and a range of columns of them. A row is the last dimension, and all
// others count rows; the rows of a vector are its elements.
func (p Parameter) Rows(r Rank) (rows []Span, columns Span) {
	height, width := Rows(p.Shape)
	whole, last := Span{0, height}, len(p.Shape)-1
	switch {
	case p.Share == nil:
		return []Span{whole}, Span{0, width}
	case p.Axis == last && last > 0:
		return []Span{whole}, p.Share(r)
	}
	share, inner := p.Share(r), int64(1)
	for _, size := range p.Shape[p.Axis+1 : max(last, p.Axis+1)] {
		inner *= size
	}
	for first := int64(0); first < height; first += p.Shape[p.Axis] * inner {
		rows = append(rows, Span{first + share.From*inner, first + share.To*inner})
	}
	return rows, Span{0, width}
}

// copies is the number of elements that ranks hold together.
func (p Parameter) copies(ranks int) int64 {
	var n int64
	for i := range ranks {
		part, _ := Elements(p.Sharded(Rank{i, ranks}))
		n += part
	}
	return n
}

// maxElements is small enough that the bytes of as many elements of any type do not overflow int64.
const maxElements = 1 << 58

// Elements multiplies the sizes of a shape; ok is false if the product exceeds 2^58 or a size is not positive.
func Elements(shape []int64) (n int64, ok bool) {
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

// Rows returns the number of rows of a shape and their width. A row is the last dimension, and all others count rows;
// the rows of a vector are its elements.
func Rows(shape []int64) (rows, width int64) {
	last := len(shape) - 1
	if last < 1 {
		last = len(shape)
	}
	rows, width = 1, 1
	for i, size := range shape {
		if i < last {
			rows *= size
		} else {
			width = size
		}
	}
	return rows, width
}

// matrix declares a matrix that each rank holds completely.
func matrix(key string, outputs, inputs int64) Parameter {
	return Parameter{Key: key, Shape: []int64{outputs, inputs}}
}

// table declares a lookup table.
func table(key string, rows, width int64) Parameter {
	return Parameter{Key: key, Shape: []int64{rows, width}, Role: Table}
}

// norm declares the weight of a norm.
func norm(key string, size int64) Parameter {
	return Parameter{Key: key, Shape: []int64{size}, Role: Vector, Float32: true}
}

// outputs divides a matrix's outputs among the ranks.
func (p Parameter) outputs(share func(Rank) Span) Parameter {
	p.Share, p.Axis = share, len(p.Shape)-2
	return p
}

// joined makes a matrix a part of a product.
func (p Parameter) joined(product string) Parameter {
	p.Product = product
	return p
}

// inputs divides a matrix's inputs among the ranks, whose products are summed.
func (p Parameter) inputs(share func(Rank) Span) Parameter {
	p.Share, p.Axis = share, len(p.Shape)-1
	return p
}

// Sites returns the norms before mixers and before feed-forward parts, in the order of computation. Each rank computes
// their complete outputs.
func (a Architecture) Sites() []Parameter {
	var all []Parameter
	for p := range a.Parameters() {
		if p.Key == "layers.N.mixer.norm" || p.Key == "layers.N.ffn.norm" {
			all = append(all, p)
		}
	}
	return all
}

// Parameters yields all parameters of the graph.
func (a Architecture) Parameters() iter.Seq[Parameter] {
	return func(yield func(Parameter) bool) {
		vocabulary, hidden := int64(a.Vocabulary), int64(a.Hidden)
		outer := []Parameter{table("embedding", vocabulary, hidden), norm("norm", hidden)}
		if a.Positions > 0 {
			outer = append(outer, table("positions", int64(a.Positions), hidden))
		}
		if !a.TiedHead {
			outer = append(outer, matrix("head", vocabulary, hidden).outputs(evenly(vocabulary)))
		}
		for _, p := range outer {
			if !yield(p) {
				return
			}
		}
		for n, l := range a.Layers {
			for _, p := range l.parameters(a.Hidden) {
				p.Key, p.Layer = "layers.N."+p.Key, n
				if p.Product != "" {
					p.Product = p.In("layers.N." + p.Product)
				}
				if !yield(p) {
					return
				}
			}
		}
	}
}
