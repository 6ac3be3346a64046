//go:build torch

package backend

import (
	"context"
	"errors"
	"math"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/sdk"
	"surprisal.dev/plugins/torch/decoder"
	"surprisal.dev/plugins/torch/tensor"
)

// reduce lowers the budget by the halvings that an earlier process asks for. windows are those of the first batch, which
// may be smaller than the budget. It needs computing.
func (m *model) reduce(windows []window) {
	if m.halvings == 0 {
		return
	}
	tokens := int64(0)
	for _, w := range windows {
		tokens += int64(w.read())
	}
	m.budget.Store(max(min(m.budget.Load(), tokens)>>m.halvings, 1))
	m.halvings = 0
}

// batch computes as many of the windows as fit the budget, but at least one.
func (m *model) batch(ctx context.Context, windows []window, wanted decoder.Wanted) (n int, p decoder.Predictions, err error) {
	m.computing.Lock()
	defer m.computing.Unlock()
	m.reduce(windows)
	for {
		if err := ctx.Err(); err != nil {
			return 0, p, err
		}
		var sequences []decoder.Sequence
		budget, tokens := m.budget.Load(), int64(0)
		for _, w := range windows {
			if n := int64(w.read()); len(sequences) == 0 || tokens+n <= budget {
				tokens += n
				sequences = append(sequences, w.sequence())
			} else {
				break
			}
		}
		p, err = m.decoder.Predict(ctx, sequences, wanted)
		if !errors.Is(err, tensor.ErrMemory) {
			if err == nil {
				hclog.FromContext(ctx).Debug("computed a batch", "windows", len(sequences), "tokens", tokens)
			}
			return len(sequences), p, err
		}
		if len(sequences) == 1 {
			return 0, p, sdk.OutOfMemory("a window of %d tokens does not fit: %v", len(sequences[0].Tokens), err)
		}
		// A budget above this batch's tokens would give the same batch again.
		budget = max(min(budget, tokens)/2, 1)
		m.budget.Store(budget)
		hclog.FromContext(ctx).Warn("out of memory; computing fewer tokens at a time", "tokens", budget, "error", err)
	}
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
