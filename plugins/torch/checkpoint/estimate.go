package checkpoint

import "strings"

// Workload describes how texts are scored with a model.
type Workload struct {
	// Context is the number of tokens of each sequence; Tokens is that of a batch.
	Context, Tokens int
	// Logits is the number of logits that all ranks together compute at a time.
	Logits int64
	// Ranks is the number of ranks over which the weights are sharded.
	Ranks int
	// Type is that of weights and activations: F32, F16 or BF16.
	Type Type
	// PackedHead is true if the head is kept in packed layout. A tied head then needs a second copy of the embeddings.
	PackedHead bool
	// WidenedRows is how many rows, in addition to the matrix, are converted to float32 at a time for a matrix product;
	// 0: none.
	WidenedRows int64
}

// ConvertedElements is the approximate number of elements of a tensor that are converted at a time during loading.
const ConvertedElements = 4 << 20

// Cost is the cost of a workload: bytes, and floating-point operations. A multiplication and an addition count as two.
type Cost struct {
	Weights int64
	// Copies is the size of weights that are kept in a second layout.
	Copies      int64
	Activations int64
	Logits      int64
	// Peak is the maximum memory of all ranks together during loading or scoring, without the pages of mapped files and
	// the memory of the libraries themselves.
	Peak          int64
	FLOPsPerToken float64
}

// Estimate computes the cost from the graph alone, without biases. It assumes that attention stores no matrix of
// scores.
func (a Architecture) Estimate(w Workload) (Cost, error) {
	f, ok := formats[w.Type]
	if !ok || f.elements != 1 {
		return Cost{}, invalid("unsupported compute type %q (supported: %s, %s, %s)", w.Type, F32, F16, BF16)
	}
	if w.Context < 1 || w.Tokens < 1 || w.Logits < 1 || w.Ranks < 1 {
		return Cost{}, invalid("context %d, tokens %d, logits %d and ranks %d must be at least 1", w.Context, w.Tokens, w.Logits, w.Ranks)
	}
	var c Cost
	var largest, widened int64
	ranks := int64(w.Ranks)
	for p := range a.parts() {
		n, ok := elements(p.shape)
		if !ok {
			return Cost{}, invalid("tensor %s cannot have shape %v", p.name(p.key), p.shape)
		}
		largest = max(largest, n)
		copies := int64(1)
		if a.replicated(p) {
			copies = ranks
		}
		c.Weights += copies * n * f.bytes
		// Rows of the embeddings are looked up; those of matrices are multiplied.
		lookup := p.key == "positions" || p.key == "embedding" && !a.TiedHead
		if len(p.shape) == 2 && !lookup {
			c.FLOPsPerToken += 2 * float64(n)
			// A part of the head is multiplied at a time.
			if w.WidenedRows > 0 && strings.HasPrefix(p.key, "layers.") {
				widened = max(widened, (n+w.WidenedRows*(p.shape[0]+p.shape[1]))*formats[F32].bytes)
			}
		}
	}

	tokens, hidden := int64(w.Tokens), int64(a.Hidden)
	if w.PackedHead && a.TiedHead {
		c.Copies = int64(a.Vocabulary) * hidden * f.bytes
	}
	var widest int64
	for _, l := range a.Layers {
		at := l.Attention
		queries, keys := int64(at.Heads)*int64(at.HeadSize), int64(at.KVHeads)*int64(at.HeadSize)
		// The residual stream, which each rank has completely; the block's input and output; q, k and v; k and v once
		// more in packed order; the mixed values.
		attention := 3*hidden*ranks + 2*queries + 4*keys
		switch at.QKNorm {
		case HeadQKNorm:
			attention += queries + keys
		case FullQKNorm:
			attention += (queries + keys) * ranks
		}
		// The stream before and after attention, the block's input and output, and two rows of its width.
		mlp := 4*hidden*ranks + 2*int64(l.MLP.Width)
		widest = max(widest, attention, mlp)
		// A query and a key are multiplied, then a weight and a value.
		c.FLOPsPerToken += 4 * float64(queries) * meanKeys(w.Context, at.Window)
	}
	c.Activations = tokens * widest * f.bytes
	c.Logits = w.Logits * f.bytes
	// Loading holds the largest tensor, or the rows that are converted at a time, additionally in float32.
	c.Peak = c.Weights + c.Copies + c.Logits + max(c.Activations+widened, min(largest, ConvertedElements)*formats[F32].bytes)
	return c, nil
}

// replicated reports whether each rank holds all of a weight: vectors, lookup tables, and matrices whose complete
// product a norm needs.
func (a Architecture) replicated(p part) bool {
	switch p.key {
	case "embedding", "positions":
		return true
	case "layers.N.attention.q", "layers.N.attention.k":
		return a.Layers[p.layer].Attention.QKNorm == FullQKNorm
	}
	return len(p.shape) == 1
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
