//go:build torch

package decoder

import (
	"fmt"

	"surprisal.dev/plugins/torch/graph"
	"surprisal.dev/plugins/torch/prefix"
	"surprisal.dev/plugins/torch/tensor"
)

// batch is the input of all ranks.
type batch struct {
	// tokens are those of the segments of all sequences, each once, and positions those in their sequences.
	tokens, positions []int64
	segments          []tensor.Segment
	// sequences has the number of each sequence that is read.
	sequences []int
	// rows are the rows whose next token, in targets, is scored. Each pair occurs once.
	rows, targets []int64
	// predictions has for each scored token, one sequence after the other, the index of its pair.
	predictions []int
	request     Request
	// magnitudes are those of each sequence that is read, set by the first rank; nil if there are none.
	magnitudes []tensor.Magnitudes
}

// Shares reports whether sequences share the computation of tokens that they begin with. They do not on GPUs, whose
// attention knows no segments, nor in models whose sequences cannot be divided. Activations are counted for each sequence.
func Shares(a graph.Architecture, on tensor.Device, r Request) bool {
	return a.Divides() && on == tensor.CPU && r.ActivationThreshold == 0
}

// Shares reports whether the sequences of a request share computation.
func (d *Decoder) Shares(r Request) bool { return Shares(d.architecture, d.ranks[0].device, r) }

func (d *Decoder) batch(sequences []Sequence, r Request) (*batch, error) {
	b := &batch{request: r}
	tree := prefix.Tree{Separate: !d.Shares(r)}
	for n, q := range sequences {
		if len(q.Tokens) < 2 {
			continue
		}
		if err := d.check(q); err != nil {
			return nil, err
		}
		tree.Add(q.Tokens[:q.Read()])
		b.sequences = append(b.sequences, n)
	}
	layout := tree.Layout()
	for _, g := range layout.Segments {
		for i, id := range g.Tokens {
			b.tokens, b.positions = append(b.tokens, int64(id)), append(b.positions, int64(g.Start+i))
		}
		b.segments = append(b.segments, tensor.Segment{End: int64(len(b.tokens)), Start: int64(g.Start), Parent: int64(g.Parent)})
	}
	known := map[[2]int64]int{}
	for i, n := range b.sequences {
		q, rows := sequences[n], layout.Rows(i)
		for token := max(q.From, 1); token < len(q.Tokens); token++ {
			b.predict(rows[token-1], int64(q.Tokens[token]), known)
		}
	}
	return b, nil
}

// predict adds the prediction of a token from a row. known has the index of each pair.
func (b *batch) predict(row, target int64, known map[[2]int64]int) {
	pair := [2]int64{row, target}
	i, ok := known[pair]
	if !ok {
		i = len(b.rows)
		known[pair] = i
		b.rows, b.targets = append(b.rows, row), append(b.targets, target)
	}
	b.predictions = append(b.predictions, i)
}

// ends returns the index after the last row of each segment, which is a sequence unless sequences share segments.
func (b *batch) ends() []int64 {
	ends := make([]int64, len(b.segments))
	for i, g := range b.segments {
		ends[i] = g.End
	}
	return ends
}

// readsAll reports whether the rows are those of all tokens in order.
func (b *batch) readsAll() bool {
	for i, row := range b.rows {
		if row != int64(i) {
			return false
		}
	}
	return len(b.rows) == len(b.tokens)
}

func (d *Decoder) check(q Sequence) error {
	a := d.architecture
	if a.Positions > 0 && q.Read() > a.Positions {
		return fmt.Errorf("a window of %d tokens exceeds the model's %d positions", q.Read(), a.Positions)
	}
	for _, id := range q.Tokens {
		if id < 0 || int(id) >= a.Vocabulary {
			return fmt.Errorf("token id %d is outside the vocabulary of %d; the tokenizer may not be this model's", id, a.Vocabulary)
		}
	}
	return nil
}
