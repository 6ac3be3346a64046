//go:build torch

package backend

import (
	"math"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/plugins/torch/decoder"
	"surprisal.dev/plugins/torch/prefix"
)

// readAhead is the maximum number of tokens that the windows of a batch read, those that they share counted each time, as a
// multiple of the number that is computed. It bounds the texts in memory.
const readAhead = 64

// dividedTokens is what a window counts in addition to its own tokens if it shares others: their keys and values are packed
// in whole panels.
const dividedTokens = 16

// batch is the next windows that are computed together. Windows that begin with the same tokens share their computation.
type batch struct {
	tree prefix.Tree
	// windows is the number of windows. tokens counts what they compute, with dividedTokens and at least one for each: a
	// window whose tokens are all computed for others still has a row of logits. read counts what they read.
	windows, tokens, read int
	sequences             []decoder.Sequence
	// shared has for each window how many of the tokens that it reads are computed for another.
	shared []int
}

// limits bound the tokens of batches. A batch of windows that share tokens may have more: as many as a plan expects of a
// single window.
type limits struct{ tokens, shared int64 }

func (m *model) limits(s protocol.Settings) limits {
	budget := m.budget.Load()
	l := limits{budget, budget}
	if budget == int64(m.config.batchTokens()) {
		l.shared = max(budget, s.Context)
	}
	return l
}

func (m *model) newBatch(request decoder.Request) *batch {
	return &batch{tree: prefix.Tree{Separate: !m.decoder.Shares(request)}}
}

// extend adds those of the windows that are not in the batch and fit, but at least one. The first are in it. It returns
// whether the batch is full.
func (b *batch) extend(windows []window, l limits) bool {
	for _, w := range windows[b.windows:] {
		q := w.sequence()
		tokens := q.Tokens[:w.read()]
		more, limit := b.tree.New(tokens), l.tokens
		shared := len(tokens) - more
		if shared > 0 {
			limit = l.shared
		}
		if shared > 0 && more > 0 {
			more += dividedTokens
		}
		more = max(more, 1)
		if b.windows > 0 && (int64(b.tokens+more) > limit || int64(b.read+len(tokens)) > readAhead*l.shared) {
			return true
		}
		if len(tokens) > 0 {
			b.tree.Add(tokens)
		}
		b.windows, b.tokens, b.read = b.windows+1, b.tokens+more, b.read+len(tokens)
		b.sequences, b.shared = append(b.sequences, q), append(b.shared, shared)
	}
	tokens := int64(b.tokens)
	switch {
	case b.windows == 0:
		return false
	case b.windows > 1 && b.read == b.tree.Tokens():
		return tokens >= l.tokens
	}
	// The next window may share tokens with these.
	return tokens >= l.shared
}

// take moves the window's predictions, which start at from, to its document.
func (w window) take(p decoder.Predictions, from int) error {
	answer, d := &w.of.answer, w.of.document
	for token := w.score; token < w.end; token++ {
		i := from + token - w.score
		loss := p.Losses[i]
		at := int32(len(d.Text))
		if token < len(answer.TokenNLL) {
			at = answer.TokenStarts[token]
		}
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			return sdk.Invalid("%s has the loss %v, which is not finite; the weights or the tokenizer may not match the model",
				position(d, token, at), loss)
		}
		// A difference of nearly equal sums may fall below 0 by rounding.
		loss = max(loss, 0)
		if token < len(answer.TokenNLL) {
			answer.TokenNLL[token] = loss
			if c := &answer.Confidence; len(c.Top) > 0 {
				// A difference of nearly equal sums, as above.
				c.Top[token], c.TopNLL[token], c.Ranks[token], c.Entropies[token] = p.Top[i], p.TopNLL[i], p.Ranks[i], max(p.Entropies[i], 0)
				if len(c.TopKMass) > 0 {
					c.TopKMass[token] = min(p.TopKMass[i], 0)
				}
			}
		} else {
			answer.EOSNLL = loss
		}
	}
	return nil
}
