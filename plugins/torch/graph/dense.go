package graph

import "surprisal.dev/plugins/protocol"

// Dense is down(activation(gate(x)) * up(x)) if it is gated (Shazeer, arXiv:2002.05202), else down(activation(up(x))).
type Dense struct {
	Width      int
	Activation Activation
	Gated      bool
}

func (Dense) ffn() {}

// Parameters declares the weights, mlp.gate, mlp.up and mlp.down.
func (d Dense) Parameters(hidden int) []Parameter {
	h, width := int64(hidden), int64(d.Width)
	const product = "mlp.in"
	var all []Parameter
	if d.Gated {
		all = append(all, matrix("mlp.gate", width, h).outputs(evenly(width)).joined(product))
	}
	return append(all,
		matrix("mlp.up", width, h).outputs(evenly(width)).joined(product),
		matrix("mlp.down", h, width).inputs(evenly(width)))
}

// FLOPs counts the products with matrices.
func (d Dense) FLOPs(hidden, _ int) float64 { return products(d.Parameters(hidden)) }

// Activations counts the residual stream before and after attention, the block's input and output, and rows of the
// part's width: one, or the gate, the other and their product.
func (d Dense) Activations(hidden, ranks int) int64 {
	rows := int64(1)
	if d.Gated {
		rows = 3
	}
	return 4*int64(hidden)*int64(ranks) + rows*int64(d.Width)
}

// Shardable rejects more ranks than columns.
func (d Dense) Shardable(ranks int) error {
	if d.Width < ranks {
		return protocol.Invalid("tensorParallel: %d ranks cannot share an MLP of width %d", ranks, d.Width)
	}
	return nil
}
