//go:build torch

package tensor

// #include "extra.h"
import "C"

import (
	"math"
	"slices"
	"unsafe"
)

// Head turns hidden states into the logits of a vocabulary, or of a shard of one.
type Head struct {
	// Weights are the rows of tokens, in pieces [some tokens, width]; the logits of one piece exist at a time. They may
	// be packed by PackFloat32.
	Weights []Tensor
	// First is the token of the first row.
	First int64
	// Softcap c replaces each logit z by c*tanh(z/c); 0: none.
	Softcap float64
	// Rows is the number of rows whose logits exist at a time.
	Rows int64
	// Reference disables code that only some processors support.
	Reference bool
}

// Partial is the state of losses after some shards of a vocabulary: for each row the greatest logit, the sum of
// e^(logit - greatest), and the target's logit, which is -Inf if no shard had it. The other fields are those of
// confidence, and nil without it.
type Partial struct {
	Maxima, Sums, Logits []float64
	// Moments are the sums of e^(logit - greatest) (logit - greatest).
	Moments []float64
	// Tops are the lowest tokens among those with the greatest logit; -1 if there is none.
	Tops []float64
	// Preceding is how many tokens have a greater logit than the target, or the same logit and a lower id.
	Preceding []float64
	// Greatest are the greatest logits of the rows, one row after the other, in any order, -Inf where a shard has too
	// few; empty without ConfidenceOptions.TopK.
	Greatest []float64
}

// Append adds the rows of q.
func (p *Partial) Append(q Partial) {
	to, from := p.columns(), q.columns()
	for i := range to {
		*to[i] = append(*to[i], *from[i]...)
	}
}

func (p *Partial) columns() [7]*[]float64 {
	return [...]*[]float64{&p.Maxima, &p.Sums, &p.Logits, &p.Moments, &p.Tops, &p.Preceding, &p.Greatest}
}

// ConfidenceOptions are what ConfidentLogits needs in addition to targets.
type ConfidenceOptions struct {
	// TargetLogits are those of Scope.TargetLogits, from the shard that has the target.
	TargetLogits []float64
	// TopK is the number of the greatest logits that are kept; 0: none.
	TopK int
}

// Logits computes the logits of each row of hidden [rows, width] in float32, whatever the type of hidden and the head,
// and reduces them at once. Exponentials are summed in float64.
func (s *Scope) Logits(hidden Tensor, head Head, targets []int64) Partial {
	return s.reduce(hidden, head, targets, ConfidenceOptions{})
}

// ConfidentLogits is Logits with the fields of confidence. The fields of losses have the same bits.
func (s *Scope) ConfidentLogits(hidden Tensor, head Head, targets []int64, o ConfidenceOptions) Partial {
	return s.reduce(hidden, head, targets, o)
}

func (s *Scope) reduce(hidden Tensor, head Head, targets []int64, o ConfidenceOptions) (p Partial) {
	n, columns := len(targets), p.columns()
	fields := columns[:3]
	if o.TargetLogits != nil {
		fields = columns[:6]
	}
	values := make([]float64, (len(fields)+o.TopK)*n)
	pieces := head.pieces()
	s.do("logits", func() *C.char {
		return C.extra_losses(hidden.x(), unsafe.SliceData(pieces), C.size_t(len(pieces)), C.int64_t(head.Rows), C.int64_t(head.First),
			(*C.int64_t)(unsafe.SliceData(targets)), (*C.double)(unsafe.SliceData(o.TargetLogits)), C.int64_t(o.TopK),
			(*C.double)(unsafe.SliceData(values)), C.double(head.Softcap), flag(head.Reference))
	})
	for i, field := range fields {
		*field = values[i*n : (i+1)*n : (i+1)*n]
	}
	p.Greatest = values[len(fields)*n:]
	return p
}

// TargetLogits computes the logits of the targets alone, -Inf for a target that the head's shard does not have. They
// are those of Logits if IndependentRows is true. Otherwise, and on a GPU, they may differ by rounding.
func (s *Scope) TargetLogits(hidden Tensor, head Head, targets []int64) []float64 {
	logits := make([]float64, len(targets))
	pieces := head.pieces()
	s.do("target logits", func() *C.char {
		return C.extra_target_logits(hidden.x(), unsafe.SliceData(pieces), C.size_t(len(pieces)), C.int64_t(head.Rows), C.int64_t(head.First),
			(*C.int64_t)(unsafe.SliceData(targets)), (*C.double)(unsafe.SliceData(logits)), C.double(head.Softcap), flag(head.Reference))
	})
	return logits
}

func (h Head) pieces() []C.extra_tensor {
	pieces := make([]C.extra_tensor, len(h.Weights))
	for i, w := range h.Weights {
		pieces[i] = w.x()
	}
	return pieces
}

// Losses returns the losses in nats of the targets: logsumexp(z) - z[target] over all shards.
func Losses(shards ...Partial) []float64 {
	losses := make([]float64, len(shards[0].Maxima))
	for i := range losses {
		maximum, sum := total(shards, i)
		target := math.Inf(-1)
		for _, p := range shards {
			target = max(target, p.Logits[i])
		}
		losses[i] = math.Log(sum) + (maximum - target)
	}
	return losses
}

// total returns the greatest logit z of row i over all shards, and the sum of e^(z - greatest).
func total(shards []Partial, i int) (maximum, sum float64) {
	maximum = math.Inf(-1)
	for _, p := range shards {
		maximum = max(maximum, p.Maxima[i])
	}
	for _, p := range shards {
		sum += p.Sums[i] * math.Exp(p.Maxima[i]-maximum)
	}
	return maximum, sum
}

// Confidence describes the predicted distributions p = softmax(z) of rows. Each field has one value per row.
type Confidence struct {
	// Top is the token with the greatest logit, the lowest if several have it; -1 if all are NaN or -Inf.
	Top []int32
	// TopNLL is the negative log-likelihood of Top in nats.
	TopNLL []float64
	// Ranks are the ranks of targets: 1 plus the number of tokens with a greater logit, or the same logit and a
	// lower id. A rank is 1 if and only if the target is Top. Where Logits and TargetLogits differ, tokens whose logits
	// differ from the target's by rounding may be counted wrongly.
	Ranks []int32
	// Entropies are the sums of -p ln(p) in nats.
	Entropies []float64
	// TopKMass are the logarithms of the sums of the greatest ConfidenceOptions.TopK p; empty without it.
	TopKMass []float64
}

// Confidences returns the confidence of predictions of targets over all shards, which are in the order of their tokens.
func Confidences(targets []int64, shards ...Partial) Confidence {
	n := len(targets)
	c := Confidence{Top: make([]int32, n), TopNLL: make([]float64, n), Ranks: make([]int32, n), Entropies: make([]float64, n)}
	for i, target := range targets {
		maximum, sum := total(shards, i)
		top, preceding, moment := -1.0, 0.0, 0.0
		for _, p := range shards {
			if top < 0 && p.Maxima[i] == maximum {
				top = p.Tops[i]
			}
			preceding += p.Preceding[i]
			if p.Sums[i] != 0 {
				shift := p.Maxima[i] - maximum
				moment += (p.Moments[i] + p.Sums[i]*shift) * math.Exp(shift)
			}
		}
		rank := 1 + int32(preceding)
		switch {
		case int64(top) == target:
			rank = 1
		case rank == 1: // the target's logit differs from TargetLogits
			rank = 2
		}
		// With q = e^(z - greatest), p = q/sum and -ln(p) = ln(sum) - (z - greatest).
		c.Top[i], c.TopNLL[i], c.Ranks[i], c.Entropies[i] = int32(top), math.Log(sum), rank, math.Log(sum)-moment/sum
		if k := len(shards[0].Greatest) / n; k > 0 {
			c.TopKMass = append(c.TopKMass, math.Log(greatestSum(shards, i, k, maximum))-math.Log(sum))
		}
	}
	return c
}

// greatestSum returns the sum of e^(logit - maximum) of the k greatest logits of row i over all shards.
func greatestSum(shards []Partial, i, k int, maximum float64) (sum float64) {
	var logits []float64
	for _, p := range shards {
		logits = append(logits, p.Greatest[i*k:(i+1)*k]...)
	}
	slices.Sort(logits)
	for _, z := range logits[len(logits)-k:] {
		sum += math.Exp(z - maximum)
	}
	return sum
}
