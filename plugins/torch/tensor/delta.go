//go:build torch

package tensor

// #include "extra.h"
import "C"

import "unsafe"

// DeltaWeights are weights of GatedDelta, all float32: the convolution [heads, channels, kernel] over the query, key and
// values of each key head, the logarithms of decays and the biases of time steps [value heads], and the weights of the
// norm [value size].
type DeltaWeights struct{ Convolution, Decay, Step, Norm Tensor }

// DeltaOptions configure GatedDelta.
type DeltaOptions struct {
	// Group is the number of value heads of a key head.
	Group, KeySize, ValueSize int
	// Kernel is the number of tokens of the convolution.
	Kernel  int
	Epsilon float64
}

// GatedDelta applies the gated delta rule (Yang et al., arXiv:2412.06464) to each sequence. in [tokens, columns] has for
// each key head the columns of query, key, values and gates, and rates the update rates of its value heads and their time
// steps. It returns the normalized values times the SiLU of their gates, [tokens, value heads*value size].
func (s *Scope) GatedDelta(in, rates Tensor, w DeltaWeights, q Sequences, o DeltaOptions) Tensor {
	weights := &C.extra_delta_weights{convolution: w.Convolution.x(), decay: w.Decay.x(), step: w.Step.x(), norm: w.Norm.x()}
	options := C.extra_delta_options{
		group: C.int64_t(o.Group), key_size: C.int64_t(o.KeySize), value_size: C.int64_t(o.ValueSize), kernel: C.int64_t(o.Kernel), epsilon: C.double(o.Epsilon),
	}
	ends, n := (*C.int64_t)(unsafe.SliceData(q.ends)), C.size_t(len(q.ends))
	return s.extra("gated delta rule", func(out *C.extra_tensor) *C.char {
		return C.extra_gated_delta(out, in.x(), rates.x(), weights, ends, n, &options)
	})
}
