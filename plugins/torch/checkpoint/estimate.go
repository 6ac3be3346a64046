package checkpoint

// Workload is a way to score texts with a model.
type Workload struct {
	// Context is the number of tokens of each sequence, Tokens that of a batch.
	Context, Tokens int
	// LogitRows is the number of tokens whose logits are computed together.
	LogitRows int
	// Type is that of weights and activations: F32, F16 or BF16.
	Type Type
}

// Cost is what a workload takes: bytes, and floating-point operations, a multiplication and an addition counting as two.
type Cost struct {
	Weights     int64
	Activations int64
	Logits      int64
	// Peak is the most that is held at once, while loading or scoring, without the pages of mapped files and what the
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
	if w.Context < 1 || w.Tokens < 1 || w.LogitRows < 1 {
		return Cost{}, invalid("context %d, tokens %d and logit rows %d must be at least 1", w.Context, w.Tokens, w.LogitRows)
	}
	var c Cost
	var largest int64
	for p := range a.parts() {
		n, ok := elements(p.shape)
		if !ok {
			return Cost{}, invalid("tensor %s cannot have shape %v", p.name(p.key), p.shape)
		}
		c.Weights += n * f.bytes
		largest = max(largest, n)
		// Rows of the embeddings are looked up, those of matrices multiplied.
		lookup := p.key == "positions" || p.key == "embedding" && !a.TiedHead
		if len(p.shape) == 2 && !lookup {
			c.FLOPsPerToken += 2 * float64(n)
		}
	}

	tokens, hidden := int64(w.Tokens), int64(a.Hidden)
	var widest int64
	for _, l := range a.Layers {
		at := l.Attention
		queries, keys := int64(at.Heads)*int64(at.HeadSize), int64(at.KVHeads)*int64(at.HeadSize)
		// q, k and v; q and k once more, turned; the mixed values.
		attention := 3*queries + 3*keys
		mlp := 2 * int64(l.MLP.Width)
		if l.MLP.Gated {
			mlp += int64(l.MLP.Width)
		}
		widest = max(widest, attention, mlp)
		// A query and a key are multiplied, then a weight and a value.
		c.FLOPsPerToken += 4 * float64(queries) * meanKeys(w.Context, at.Window)
	}
	// The residual stream, what a block reads and what it adds stay beside the block's own.
	c.Activations = tokens * (3*hidden + widest) * f.bytes
	// Logits are made in the type, then reduced in float32.
	rows := int64(min(w.LogitRows, w.Tokens))
	c.Logits = rows * int64(a.Vocabulary) * (f.bytes + formats[F32].bytes)
	// Loading holds the largest tensor in float32 before it has its type; computing in float32 has no such copy.
	loading := largest * formats[F32].bytes
	if w.Type == F32 {
		loading = 0
	}
	c.Peak = c.Weights + max(c.Activations, tokens*hidden*f.bytes+c.Logits, loading)
	return c, nil
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
