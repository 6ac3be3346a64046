package graph

import "surprisal.dev/plugins/protocol"

// GatedDelta is the gated delta rule (Yang et al., arXiv:2412.06464) with a short convolution before it: each value head
// keeps a matrix of KeySize rows and ValueSize columns, which decays, and to which each token adds what its key does not
// give yet of its value. The output is normalized and has a gate.
type GatedDelta struct {
	// ValueHeads is a multiple of KeyHeads: consecutive value heads share a query and a key.
	KeyHeads, ValueHeads, KeySize, ValueSize int
	// Kernel is the number of tokens of the convolution.
	Kernel int
}

func (GatedDelta) mixer() {}

// group is the number of elements of the values of a key head.
func (d GatedDelta) group() int64 { return int64(d.ValueHeads / d.KeyHeads * d.ValueSize) }

// channels is the number of channels of the convolution of a key head: its query, its key and its values.
func (d GatedDelta) channels() int64 { return 2*int64(d.KeySize) + d.group() }

// StoredChannel returns the position of a channel, of which each key head has its together, among all queries, then all
// keys, then all values.
func (d GatedDelta) StoredChannel(channel int64) int64 {
	size, heads := int64(d.KeySize), int64(d.KeyHeads)
	head, i := channel/d.channels(), channel%d.channels()
	switch {
	case i < size:
		return head*size + i
	case i < 2*size:
		return heads*size + head*size + i - size
	}
	return 2*heads*size + head*d.group() + i - 2*size
}

// Parameters declares the weights, delta.in to delta.out. Each key head has its rows together: of delta.in query, key,
// values and gates, and of delta.rates the update rates of its value heads, then their time steps.
func (d GatedDelta) Parameters(hidden int) []Parameter {
	h, heads := int64(hidden), int64(d.KeyHeads)
	perHead := func(size int64) func(Rank) Span {
		return func(r Rank) Span { return r.Share(heads).times(size) }
	}
	in, rates := d.channels()+d.group(), 2*int64(d.ValueHeads)/heads
	vector := func(key string) Parameter {
		p := norm(key, int64(d.ValueHeads))
		p.Share = perHead(int64(d.ValueHeads) / heads)
		return p
	}
	return []Parameter{
		matrix("delta.in", heads*in, h).outputs(perHead(in)),
		matrix("delta.rates", heads*rates, h).outputs(perHead(rates)),
		{Key: "delta.convolution", Shape: []int64{heads, d.channels(), int64(d.Kernel)}, Role: Vector, Float32: true, Share: evenly(heads)},
		vector("delta.decay"), vector("delta.step"), norm("delta.norm", int64(d.ValueSize)),
		matrix("delta.out", h, heads*d.group()).inputs(perHead(d.group())),
	}
}

// FLOPs counts the products with matrices, the convolution, and four operations with each element of a head's matrix: it
// decays, is multiplied with the key, updated, and multiplied with the query.
func (d GatedDelta) FLOPs(hidden, _ int) float64 {
	state := float64(d.ValueHeads) * float64(d.KeySize) * float64(d.ValueSize)
	return products(d.Parameters(hidden)) + 7*state + 2*float64(int64(d.KeyHeads)*d.channels()*int64(d.Kernel))
}

// Activations counts the residual stream, the block's input and output, queries, keys, values and gates, and the output.
func (d GatedDelta) Activations(hidden, ranks int) int64 {
	return 3*int64(hidden)*int64(ranks) + int64(d.KeyHeads)*(d.channels()+2*d.group()) + 2*int64(d.ValueHeads)
}

// Shardable rejects more ranks than key heads.
func (d GatedDelta) Shardable(ranks int) error {
	if d.KeyHeads < ranks {
		return protocol.Invalid("tensorParallel: %d ranks cannot share %d key heads of the delta rule", ranks, d.KeyHeads)
	}
	return nil
}
