//go:build torch

package tensor

// #include "extra.h"
import "C"

import "unsafe"

// Expert has the weights of an expert.
type Expert struct {
	// In is [2*width, inputs], the rows of the gate and the others, and may be packed by Pack; Down is [outputs, width] and
	// may be packed by PackFloat32. Biases may be none.
	In, InBias, Down, DownBias Tensor
}

// ExpertsOptions configure Experts.
type ExpertsOptions struct {
	// First is the number of the first of the experts, and Active is how many of all experts each row uses.
	First, Active int64
	// Sigmoid makes scores the sigmoid of logits; otherwise they are their softmax.
	Sigmoid bool
	// Normalize divides weights by their sum; then Scale multiplies them.
	Normalize bool
	Scale     float64
	Activation
	// Grouped computes the products of all experts at once, GroupedRows rows at a time. Their matrices follow each other in
	// memory and are not packed, and the outputs of experts are rounded to x's type before they are added.
	Grouped bool
	// Clamp, unless nil, replaces the activation g sigmoid(g) u by g sigmoid(Alpha g) (u + 1), with g at most Limit and u
	// from -Limit to Limit.
	Clamp *Clamp
}

// GroupedRows is how many rows grouped products have at a time.
const GroupedRows int64 = C.extra_grouped_rows

// Clamp configures a clamped gate.
type Clamp struct{ Limit, Alpha float64 }

// Experts returns for each row of x [n, inputs] the sum of the outputs of its active experts times their weights, in
// float32. Experts that are not in the list count as 0. logits [n, all experts] are float32; correction, [all experts]
// in float32 or none, is added to the scores for the choice only.
func (s *Scope) Experts(x, logits, correction Tensor, experts []Expert, o ExpertsOptions) Tensor {
	var in, inBiases, down, downBiases []C.extra_tensor
	for _, e := range experts {
		in, inBiases = append(in, e.In.x()), append(inBiases, e.InBias.x())
		down, downBiases = append(down, e.Down.x()), append(downBiases, e.DownBias.x())
	}
	options := C.extra_experts_options{
		first: C.int64_t(o.First), active: C.int64_t(o.Active), sigmoid: flag(o.Sigmoid), normalize: flag(o.Normalize), scale: C.double(o.Scale),
		activation: C.int(o.Activation), grouped: flag(o.Grouped),
	}
	if o.Clamp != nil {
		options.clamped, options.limit, options.alpha = 1, C.double(o.Clamp.Limit), C.double(o.Clamp.Alpha)
	}
	return s.extra("experts", func(out *C.extra_tensor) *C.char {
		return C.extra_experts(out, x.x(), logits.x(), correction.x(), unsafe.SliceData(in), unsafe.SliceData(inBiases), unsafe.SliceData(down),
			unsafe.SliceData(downBiases), C.size_t(len(experts)), &options)
	})
}

// ScaleBySigmoid returns x [n, width] times the sigmoid of z, [n, 1] for each row or [n, width] for each element,
// computed in float32 and rounded once to their type.
func (s *Scope) ScaleBySigmoid(x, z Tensor) Tensor {
	return s.extra("scale", func(out *C.extra_tensor) *C.char { return C.extra_scale_by_sigmoid(out, x.x(), z.x()) })
}
