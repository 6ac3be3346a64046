package checkpoint

import "strings"

// Workload is a way to score texts with a model.
type Workload struct {
	// Context is the number of tokens of each sequence, Tokens that of a batch.
	Context, Tokens int
	// Logits is the number of logits that are computed together, by all ranks.
	Logits int64
	// Ranks is over how many ranks the weights are sharded.
	Ranks int
	// Type is that of weights and activations: F32, F16 or BF16.
	Type Type
	// PackedHead says that a head is kept in the order of its product, so that one that is the embeddings too stands there twice.
	PackedHead bool
	// WidenedRows is how many rows, beside the matrix, are brought into float32 at a time for a product; 0: none.
	WidenedRows int64
}

// ConvertedElements is about how many elements of a tensor are converted at a time when weights are loaded.
const ConvertedElements = 4 << 20

// Cost is what a workload takes: bytes, and floating-point operations, a multiplication and an addition counting as two.
type Cost struct {
	Weights int64
	// Copies are weights that are kept in a second order.
	Copies      int64
	Activations int64
	Logits      int64
	// Peak is the most that all ranks hold at once, while loading or scoring, without the pages of mapped files and what the
	// libraries themselves take.
	Peak          int64
	FLOPsPerToken float64
}

// Estimate computes the cost from the graph alone, biases left out. Attention is taken to hold no matrix of scores.
func (a Architecture) Estimate(w Workload) (Cost, error) {
	f, ok := formats[w.Type]
	if !ok || f.elements != 1 {
		return Cost{}, invalid("nothing is computed in type %q (supported: %s, %s, %s)", w.Type, F32, F16, BF16)
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
		// Rows of the embeddings are looked up, those of matrices multiplied.
		lookup := p.key == "positions" || p.key == "embedding" && !a.TiedHead
		if len(p.shape) == 2 && !lookup {
			c.FLOPsPerToken += 2 * float64(n)
			// Of the head, a part of it is multiplied by at a time.
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
		// The residual stream, what the block reads and what it adds; q, k and v, k and v once more in the order of their use,
		// the mixed values.
		// Each rank has the stream whole.
		attention := 3*hidden*ranks + 2*queries + 4*keys
		switch at.QKNorm {
		case HeadQKNorm:
			attention += queries + keys
		case FullQKNorm:
			attention += (queries + keys) * ranks
		}
		// The stream before and after attention, what the block reads and what it adds; two rows of its width.
		mlp := 4*hidden*ranks + 2*int64(l.MLP.Width)
		widest = max(widest, attention, mlp)
		// A query and a key are multiplied, then a weight and a value.
		c.FLOPsPerToken += 4 * float64(queries) * meanKeys(w.Context, at.Window)
	}
	c.Activations = tokens * widest * f.bytes
	c.Logits = w.Logits * f.bytes
	// Loading holds the largest tensor, or as many of its rows as are converted at a time, in float32 too.
	c.Peak = c.Weights + c.Copies + c.Logits + max(c.Activations+widened, min(largest, ConvertedElements)*formats[F32].bytes)
	return c, nil
}

// replicated reports whether each rank holds all of a weight: vectors, tables that are looked up, and matrices whose product a norm
// needs whole.
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
