package graph

import (
	"cmp"

	"surprisal.dev/plugins/protocol"
)

// Workload describes how texts are scored with a model.
type Workload struct {
	// Context is the number of tokens of each sequence; Tokens is that of all batches that are computed at a time.
	Context, Tokens int
	// Logits is the number of logits that all ranks and batches together compute at a time.
	Logits int64
	// Ranks is the number of ranks over which the weights are sharded.
	Ranks int
	// ElementBytes is the size of an element of weights and activations: 4 for float32, 2 for bfloat16.
	ElementBytes int64
	// PackedHead is true if the head is kept in packed layout. A tied head then needs a second copy of the embeddings.
	PackedHead bool
	// Observed is true if the outputs of all sites are observed.
	Observed bool
	// GroupedRows is how many rows of all experts together are multiplied at a time; 0: experts are multiplied one at a
	// time.
	GroupedRows int64
	// WidenedRows is how many rows, in addition to the matrix, are converted to float32 at a time for a matrix product;
	// 0: none.
	WidenedRows int64
}

// ConvertedElements is the approximate number of elements of a tensor that are converted at a time during loading.
const ConvertedElements = 4 << 20

// float32Bytes is the size of an element in float32.
const float32Bytes = 4

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

// Estimate computes the cost from the graph alone, without biases.
func (a Architecture) Estimate(w Workload) (Cost, error) {
	if w.ElementBytes < 1 || w.ElementBytes > float32Bytes {
		return Cost{}, protocol.Invalid("elements of %d bytes: a decoder computes in types of 1 to %d bytes", w.ElementBytes, float32Bytes)
	}
	if w.Context < 1 || w.Tokens < 1 || w.Logits < 1 || w.Ranks < 1 {
		return Cost{}, protocol.Invalid("context %d, tokens %d, logits %d and ranks %d must be at least 1", w.Context, w.Tokens, w.Logits, w.Ranks)
	}
	var c Cost
	var largest int64
	for p := range a.Parameters() {
		n, ok := Elements(p.Shape)
		if !ok {
			return Cost{}, protocol.Invalid("tensor %s cannot have shape %v", p.Name(), p.Shape)
		}
		largest = max(largest, n)
		size := w.ElementBytes
		if p.Float32 {
			size = float32Bytes
		}
		c.Weights += p.copies(w.Ranks) * size
	}

	head := int64(a.Vocabulary) * int64(a.Hidden)
	if w.PackedHead && a.TiedHead {
		c.Copies = head * w.ElementBytes
	}
	c.FLOPsPerToken = 2 * float64(head)
	var widest, widened, grouped int64
	for _, l := range a.Layers {
		for _, part := range []Part{l.Mixer, l.FFN} {
			widest = max(widest, part.Activations(a.Hidden, w.Ranks))
			widened = max(widened, w.widened(part.Parameters(a.Hidden)))
			c.FLOPsPerToken += part.FLOPs(a.Hidden, w.Context)
		}
		if x, ok := l.FFN.(Experts); ok {
			rows := min(w.GroupedRows, int64(w.Tokens)*int64(x.Active)) * int64(w.Ranks)
			grouped = max(grouped, x.grouped(a.Hidden, rows))
		}
	}
	c.Activations = (int64(w.Tokens)*widest + grouped) * w.ElementBytes
	if w.Ranks > 1 && w.ElementBytes < float32Bytes {
		// Each rank's partial products, and their sum.
		c.Activations += int64(w.Tokens) * int64(a.Hidden) * int64(w.Ranks) * 2 * float32Bytes
	}
	if w.Observed {
		c.Activations += a.observation(int64(w.Tokens))
	}
	c.Logits = w.Logits * float32Bytes // logits are float32 in every type
	// Loading holds the largest tensor, or the rows that are converted at a time, additionally in float32.
	c.Peak = c.Weights + c.Copies + c.Logits + max(c.Activations+widened, min(largest, ConvertedElements)*float32Bytes)
	return c, nil
}

// observation is the size of what is observed of the sites for that many tokens. A token has for each dimension a
// float32, and two bytes that tell whether it reaches the threshold. A sequence, which has at least two tokens, has a
// float32 and a bit for each site, in words of 32.
func (a Architecture) observation(tokens int64) int64 {
	sites := int64(len(a.Sites()))
	if sites == 0 {
		return 0
	}
	return tokens * int64(a.Hidden) * (float32Bytes + 2 + (1+(sites+31)/32)*float32Bytes/2)
}

// widened is the size of the largest operands that are converted to float32 for a product. Of several matrices in one
// parameter, one is multiplied at a time.
func (w Workload) widened(parameters []Parameter) int64 {
	if w.WidenedRows == 0 {
		return 0
	}
	var largest int64
	outputs := map[string]int64{}
	for _, p := range parameters {
		if p.Role == Matrix {
			sizes := p.Shape[len(p.Shape)-2:]
			product := cmp.Or(p.Product, p.Key)
			outputs[product] += sizes[0]
			largest = max(largest, outputs[product]*sizes[1]+w.WidenedRows*(outputs[product]+sizes[1]))
		}
	}
	return largest * float32Bytes
}

// products is the number of operations per token of products with all matrices that it uses.
func products(parameters []Parameter) float64 {
	total := 0.0
	for _, p := range parameters {
		if p.Role == Matrix {
			total += 2 * float64(p.Used())
		}
	}
	return total
}
