package graph

import "surprisal.dev/plugins/protocol"

// Experts is a mixture of feed-forward parts, of which each token uses a few (Shazeer et al., arXiv:1701.06538): the
// sum of the chosen experts' outputs times their weights, plus the output of a shared expert. Each expert is gated as
// Dense is.
type Experts struct {
	// Count is the number of experts, and Active is how many of them a token uses.
	Count, Active int
	// Width is the width of each expert.
	Width      int
	Activation Activation
	// Clamp replaces the activation; nil: it does not.
	Clamp  *Clamp
	Router Router
	// Shared is the width of the expert that every token uses; 0: there is none. SharedGate is true if the sigmoid of a
	// product with the token multiplies its output.
	Shared     int
	SharedGate bool
}

// Clamp is the gate of GPT-OSS (arXiv:2508.10925): g sigmoid(Alpha g) (u + 1), for gates g of at most Limit, and other
// elements u clamped to -Limit to Limit.
type Clamp struct{ Limit, Alpha float64 }

// Router chooses a token's experts by scores: the softmax or the sigmoid of the products with the router's rows. The
// scores of the chosen experts are their weights.
type Router struct {
	Sigmoid bool
	// Correction is true if a bias of each expert is added to the scores for the choice, not for the weights
	// (arXiv:2408.15664).
	Correction bool
	// Normalize divides the weights by their sum.
	Normalize bool
	// Scale multiplies the weights.
	Scale float64
	// ScaleInput is true if the weight multiplies the input of the expert, not its output. A token then uses one expert.
	ScaleInput bool
}

func (Experts) ffn() {}

// Parameters declares the weights: those of the router, those of all experts together, which ranks divide by experts,
// and those of the shared expert, whose width they divide.
func (x Experts) Parameters(hidden int) []Parameter {
	return append(append(x.router(int64(hidden)), x.chosen(int64(hidden))...), x.shared(int64(hidden))...)
}

func (x Experts) router(hidden int64) []Parameter {
	router := matrix("experts.router", int64(x.Count), hidden)
	router.Float32 = true // a rounded score may choose another expert
	all := []Parameter{router}
	if x.Router.Correction {
		all = append(all, norm("experts.correction", int64(x.Count)))
	}
	return all
}

func (x Experts) chosen(hidden int64) []Parameter {
	count, width := int64(x.Count), int64(x.Width)
	matrices := func(key string, outputs, inputs int64) Parameter {
		return Parameter{Key: key, Shape: []int64{count, outputs, inputs}, Share: evenly(count), Active: int64(x.Active)}
	}
	const product = "experts.in"
	return []Parameter{
		matrices("experts.gate", width, hidden).joined(product), matrices("experts.up", width, hidden).joined(product),
		matrices("experts.down", hidden, width),
	}
}

func (x Experts) shared(hidden int64) []Parameter {
	if x.Shared == 0 {
		return nil
	}
	width := int64(x.Shared)
	const product = "shared.in"
	all := []Parameter{
		matrix("shared.gate", width, hidden).outputs(evenly(width)).joined(product),
		matrix("shared.up", width, hidden).outputs(evenly(width)).joined(product),
		matrix("shared.down", hidden, width).inputs(evenly(width)),
	}
	if x.SharedGate {
		all = append(all, matrix("shared.router", 1, hidden))
	}
	return all
}

// FLOPs counts the products with matrices that a token uses.
func (x Experts) FLOPs(hidden, _ int) float64 { return products(x.Parameters(hidden)) }

// Activations counts, for each rank, the residual stream before and after attention, the block's input and output, and
// the sum of outputs in float32. An expert that all tokens use has its inputs and outputs, the latter in float32, and
// three rows of its width.
func (x Experts) Activations(hidden, ranks int) int64 {
	inner := max(3*int64(x.Width), 3*int64(x.Shared)/int64(ranks))
	return int64(ranks) * (9*int64(hidden) + inner + 2*int64(x.Count))
}

// Groupable reports whether the products of all experts can be computed at once: rows have whole units of 16 bytes in
// types of two bytes and more.
func (x Experts) Groupable(hidden int) bool { return hidden%8 == 0 && x.Width%8 == 0 }

// grouped is the number of elements, in a type of two bytes, that the products of so many rows of all experts take: the
// inputs and outputs of experts, the latter also in float32 and once more while they are added, and three rows of their
// width.
func (x Experts) grouped(hidden int, rows int64) int64 {
	if !x.Groupable(hidden) {
		return 0
	}
	return rows * int64(6*hidden+3*x.Width)
}

// Shardable rejects ranks among which the experts cannot be divided evenly.
func (x Experts) Shardable(ranks int) error {
	if x.Count%ranks != 0 {
		return protocol.Invalid("tensorParallel: %d ranks cannot share %d experts evenly", ranks, x.Count)
	}
	if x.Shared > 0 && x.Shared < ranks {
		return protocol.Invalid("tensorParallel: %d ranks cannot share a shared expert of width %d", ranks, x.Shared)
	}
	return nil
}
