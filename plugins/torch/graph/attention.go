package graph

import (
	"slices"

	"surprisal.dev/plugins/protocol"
)

// QKNorm is the normalization of queries and keys before the rotation.
type QKNorm int8

// Kinds of QKNorm.
const (
	NoQKNorm QKNorm = iota
	// HeadQKNorm normalizes each head.
	HeadQKNorm
	// FullQKNorm normalizes all heads together (OLMo 2).
	FullQKNorm
	// UnitQKNorm normalizes each head, and has no weights (Llama 4).
	UnitQKNorm
)

// Attention is grouped-query attention (Ainslie et al., arXiv:2305.13245).
type Attention struct {
	Heads, KVHeads, HeadSize int
	// Scale multiplies q·k.
	Scale float64
	// Window w restricts a query to the last w positions, its own included; 0: all positions up to its own.
	Window int
	// Chunk c divides a sequence at multiples of c: a query sees only positions of the same part; 0: it is not divided.
	Chunk int
	// Temperature multiplies queries by a factor that depends on their positions; nil: it does not.
	Temperature *Temperature
	QKNorm      QKNorm
	// Sinks is true if each head has a logit that takes a share of the weights and has no value.
	Sinks bool
	// OutputGate is true if the sigmoid of another product with the input multiplies each element of the output.
	OutputGate bool
	// Rope is nil for models with learned positions.
	Rope *Rope
}

// Temperature is the factor 1 + Scale log(1 + floor((p + 1) / Floor)) of the position p, which counts from 0 (Nakanishi,
// arXiv:2501.19399).
type Temperature struct{ Floor, Scale float64 }

// Rope rotates the pairs (i, i+Size/2) of the first Size elements of each head by position * InverseFrequencies[i].
type Rope struct {
	Size int
	// InverseFrequencies has Size/2 elements, with any scaling applied, computed in float32 as in transformers.
	InverseFrequencies []float32
	// Factor multiplies sine and cosine; it is 1 in most models.
	Factor float64
	// Long is nil for models whose frequencies do not depend on the length of a sequence.
	Long *LongRope
}

// LongRope is the rotation of long sequences.
type LongRope struct {
	// From is the least number of tokens of a sequence for which these frequencies replace the others.
	From               int
	InverseFrequencies []float32
}

// Equal reports whether two rotations are the same. Each may be nil.
func (r *Rope) Equal(other *Rope) bool {
	if r == nil || other == nil {
		return r == other
	}
	if r.Size != other.Size || r.Factor != other.Factor || !slices.Equal(r.InverseFrequencies, other.InverseFrequencies) {
		return false
	}
	if r.Long == nil || other.Long == nil {
		return r.Long == other.Long
	}
	return r.Long.From == other.Long.From && slices.Equal(r.Long.InverseFrequencies, other.Long.InverseFrequencies)
}

func (Attention) mixer() {}

// widths returns the number of elements of all queries of a token, and of all its keys.
func (a Attention) widths() (queries, keys int64) {
	size := int64(a.HeadSize)
	return int64(a.Heads) * size, int64(a.KVHeads) * size
}

// Parameters declares the weights, attention.q to attention.knorm.
func (a Attention) Parameters(hidden int) []Parameter {
	h, size := int64(hidden), int64(a.HeadSize)
	queries, keys := a.widths()
	queryShare := func(r Rank) Span { heads, _ := a.Share(r); return heads.times(size) }
	keyShare := func(r Rank) Span { _, heads := a.Share(r); return heads.times(size) }
	const product = "attention.qkv"
	q, k := matrix("attention.q", queries, h).joined(product), matrix("attention.k", keys, h).joined(product)
	if a.QKNorm != FullQKNorm {
		q, k = q.outputs(queryShare), k.outputs(keyShare)
	}
	all := []Parameter{
		q, k,
		matrix("attention.v", keys, h).outputs(keyShare).joined(product),
		matrix("attention.out", h, queries).inputs(queryShare),
	}
	if a.OutputGate {
		all = append(all, matrix("attention.gate", queries, h).outputs(queryShare).joined(product))
	}
	if a.Sinks {
		sinks := norm("attention.sinks", int64(a.Heads))
		sinks.Share = func(r Rank) Span { heads, _ := a.Share(r); return heads }
		all = append(all, sinks)
	}
	switch a.QKNorm {
	case HeadQKNorm:
		all = append(all, norm("attention.qnorm", size), norm("attention.knorm", size))
	case FullQKNorm:
		// The norm covers all heads: each rank computes all queries and keys and keeps its own.
		all = append(all, norm("attention.qnorm", queries), norm("attention.knorm", keys))
	}
	return all
}

// Share returns the heads of a rank: key-value heads with their queries or, if there are more ranks than key-value
// heads, some queries of one head.
func (a Attention) Share(r Rank) (queries, keys Span) {
	heads, kvHeads := int64(a.Heads), int64(a.KVHeads)
	group := heads / kvHeads
	if kvHeads >= int64(r.Count) {
		keys = r.Share(kvHeads)
		return keys.times(group), keys
	}
	queries = r.Share(heads)
	return queries, Span{queries.From / group, (queries.To-1)/group + 1}
}

// Shardable rejects a number of ranks of which some would have no heads, or queries of several key-value heads.
func (a Attention) Shardable(ranks int) error {
	if a.KVHeads < ranks && (ranks%a.KVHeads != 0 || a.Heads%ranks != 0) {
		return protocol.Invalid("tensorParallel: %d ranks cannot share %d heads with %d key-value heads", ranks, a.Heads, a.KVHeads)
	}
	return nil
}

// FLOPs counts the products with matrices; a query and a key are multiplied, then a weight and a value.
func (a Attention) FLOPs(hidden, context int) float64 {
	queries, _ := a.widths()
	return products(a.Parameters(hidden)) + 4*float64(queries)*a.meanKeys(context)
}

// Activations assumes that no matrix of scores is stored.
func (a Attention) Activations(hidden, ranks int) int64 {
	queries, keys := a.widths()
	// The residual stream, which each rank has completely; the block's input and output; q, k and v; k and v once more
	// in packed order; the mixed values.
	n := 3*int64(hidden)*int64(ranks) + 2*queries + 4*keys
	if a.OutputGate {
		n += 2 * queries
	}
	switch a.QKNorm {
	case HeadQKNorm, UnitQKNorm:
		n += queries + keys
	case FullQKNorm:
		n += (queries + keys) * int64(ranks)
	}
	return n
}

// meanKeys is the mean number of keys that the queries of a sequence see.
func (a Attention) meanKeys(context int) float64 {
	if a.Chunk == 0 || a.Chunk >= context {
		return meanKeys(context, a.Window)
	}
	whole, rest := context/a.Chunk*a.Chunk, context%a.Chunk
	return (float64(whole)*meanKeys(a.Chunk, 0) + float64(rest)*meanKeys(rest, 0)) / float64(context)
}

// meanKeys is the mean number of keys that the queries of a sequence see.
func meanKeys(context, window int) float64 {
	n := float64(context)
	if window == 0 || window >= context {
		return (n + 1) / 2
	}
	w := float64(window)
	return w - w*(w-1)/(2*n)
}
