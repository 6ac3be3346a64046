package ngram

import (
	"context"
	"math"
	"runtime"
	"sync"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
)

// checkEvery is how many tokens are scored between two checks of the context.
const checkEvery = 1 << 16

// model is a loaded model.
type model struct {
	language language
	// ranker and names are made when they are needed.
	ranker func() ranker
	names  func() func(id int32) []byte
}

func newModel(l language) model { return model{l, sync.OnceValue(l.ranker), sync.OnceValue(l.names)} }

func (m model) Describe() protocol.LoadedModel {
	return protocol.LoadedModel{
		VocabularySize: int64(m.language.vocabulary()), Device: device, Dtype: dtype,
		Computed: map[string]string{"device": device, "architecture": runtime.GOARCH},
	}
}

func (m model) Close() error { return nil }

// Score scores the documents in order, on the caller's goroutine. ParseSpecial has no effect: no special token of the
// model has a text.
func (m model) Score(ctx context.Context, s protocol.Settings, documents sdk.Documents,
	emit func(protocol.ScoredDocument) error) error {
	s, err := s.Resolve(0)
	if err != nil {
		return err
	}
	for d, err := range documents(ctx) {
		if err != nil {
			return err
		}
		scored, err := m.score(ctx, s, d)
		if err != nil {
			return err
		}
		if err := emit(scored); err != nil {
			return err
		}
	}
	return nil
}

func (m model) score(ctx context.Context, s protocol.Settings, d protocol.Document) (protocol.ScoredDocument, error) {
	if err := ctx.Err(); err != nil {
		return protocol.ScoredDocument{}, err
	}
	if len(d.Text) > math.MaxInt32 {
		return protocol.ScoredDocument{}, sdk.Invalid("dataset %q, shard %q, row %d: a document of %d bytes; the maximum is %d, "+
			"set limits.bytes", d.Dataset, d.Shard, d.Row, len(d.Text), math.MaxInt32)
	}
	ids, starts := m.language.tokenize(d.Text, nil, nil)
	// The end of the text is a token, for its loss or only as the end of the previous token.
	ids, starts = append(ids, m.language.end()), append(starts, int32(len(d.Text)))
	tokens := s.Range.Cut(len(ids) - 1)
	events := tokens
	if s.EOS {
		events++
	}
	nll := make([]float64, events)
	scored := protocol.ScoredDocument{Index: d.Index}
	if s.Confidence {
		scored.Confidence = newConfidence(tokens, s.TopK > 0)
	}
	if err := m.predict(ctx, s, ids, starts[:events], nll, scored.Confidence); err != nil {
		return protocol.ScoredDocument{}, err
	}
	if first := int(min(s.Range.From, int64(events))); s.Prefix == protocol.PrefixNone && events > first && s.Range.Score == s.Range.From {
		// Without tokens, this is the end-of-text token of an empty text.
		nll[first] = 0
		scored.Unscored = []protocol.Unscored{{Start: starts[first], End: starts[min(first+1, tokens)], Reason: protocol.ReasonNoContext}}
		if c := scored.Confidence; c.Len() > 0 {
			c.Top[first], c.TopNLL[first], c.Ranks[first], c.Entropies[first] = 0, 0, 0, 0
			clear(c.TopKMass[min(first, len(c.TopKMass)):min(first+1, len(c.TopKMass))])
		}
	}
	scored.Unscored = s.Range.Unscored(starts[:tokens], starts[1:tokens+1], int32(len(d.Text)), scored.Unscored)
	for _, loss := range nll {
		scored.TotalNLL += loss
	}
	scored.TokenIDs, scored.TokenNLL = ids[:tokens:tokens], nll[:tokens:tokens]
	scored.TokenStarts, scored.TokenEnds = starts[:tokens:tokens], starts[1:tokens+1:tokens+1]
	if s.EOS {
		scored.EOSNLL = nll[tokens]
	}
	return scored, nil
}

func newConfidence(tokens int, masses bool) protocol.Confidence {
	c := protocol.Confidence{
		Top: make([]int32, tokens), TopNLL: make([]float64, tokens), Ranks: make([]int32, tokens), Entropies: make([]float64, tokens),
	}
	if masses {
		c.TopKMass = make([]float64, tokens)
	}
	return c
}

// predict sets the losses of the first tokens of ids, which start at starts, and confidence as far as it goes.
func (m model) predict(ctx context.Context, s protocol.Settings, ids, starts []int32, nll []float64, confidence protocol.Confidence) error {
	var h history
	to := ranked{nll, confidence}
	first := true
	for w := range s.Windows(starts) {
		if first || !m.holdsHistory(ids, w.Start, w.Score) {
			h = history{}
			if s.Prefix == protocol.PrefixBOS || s.Prefix == protocol.PrefixFirst && first {
				h = m.language.begin()
			}
			for _, id := range ids[w.Start:w.Score] {
				_, h = m.language.step(h, id)
			}
		}
		first = false
		for from := w.Score; from < w.End; {
			if from%checkEvery == 0 {
				if err := ctx.Err(); err != nil {
					return err
				}
			}
			end := min(w.End, (from/checkEvery+1)*checkEvery)
			h = m.follow(h, ids, from, end, int(s.TopK), to)
			from = end
		}
	}
	return nil
}

// follow predicts the tokens [from, end) after a history, and returns the next history.
func (m model) follow(h history, ids []int32, from, end, topK int, to ranked) history {
	with := max(from, min(end, to.Len()))
	switch {
	case from == with:
	case topK == 0:
		h = m.ranker().rank(h, ids[from:with], to.of(from, with))
	default:
		r := m.ranker()
		for i := from; i < with; i++ {
			to.TopKMass[i] = topMass(r, h, topK)
			h = r.rank(h, ids[i:i+1], to.of(i, i+1))
		}
	}
	for i := with; i < end; i++ {
		to.nll[i], h = m.language.step(h, ids[i])
	}
	return h
}

// holdsHistory reports whether the tokens [start, at) contain everything on which a prediction of token at depends.
func (m model) holdsHistory(ids []int32, start, at int) bool {
	for pieces := 0; ; at-- {
		if at == 0 || !m.language.continues(ids[at-1]) { // a piece begins at at
			if pieces == m.language.order()-1 {
				return true
			}
			pieces++
		}
		if at == start {
			return false
		}
	}
}
