package ngram

import (
	"math"
	"slices"

	"surprisal.dev/plugins/ngram/kneserney"
	"surprisal.dev/plugins/protocol"
)

// ranker is a language that tells how confident it is of its predictions. Its methods are safe for concurrent use.
type ranker interface {
	// rank predicts tokens one after the other, and sets what is known of each. It returns the next history.
	rank(h history, ids []int32, to ranked) history
	// least returns the losses in nats of the k most probable tokens after a history, in any order; of all if there are
	// fewer.
	least(h history, k int) []float64
}

// ranked is what is known of tokens, whose number is that of each slice: their losses, and their places in the
// distributions that predicted them.
type ranked struct {
	nll []float64
	protocol.Confidence
}

// of returns what is known of the tokens [from, to).
func (r ranked) of(from, to int) ranked {
	c := r.Confidence
	return ranked{r.nll[from:to], protocol.Confidence{
		Top: c.Top[from:to], TopNLL: c.TopNLL[from:to], Ranks: c.Ranks[from:to], Entropies: c.Entropies[from:to],
	}}
}

// set sets what is known of a token. A history is known if it predicted the token, and before is the number of tokens
// before it.
func (r *ranked) set(i int, known *kneserney.Context, nll float64, before uint32) {
	r.nll[i], r.Top[i], r.TopNLL[i], r.Ranks[i], r.Entropies[i] = nll, int32(known.Top), known.TopNLL, int32(before)+1, known.Entropy
}

// topMass returns the logarithm of the total probability of the k most probable tokens after a history.
func topMass(r ranker, h history, k int) float64 {
	total := 0.0
	for _, loss := range r.least(h, k) {
		total += math.Exp(-loss)
	}
	return min(math.Log(total), 0)
}

// byteRanker ranks bytes. Their symbols are their ids.
type byteRanker struct{ bytes *kneserney.Ranking }

func (l byteLanguage) ranker() ranker {
	return byteRanker{kneserney.NewRanking(l.model, 0, kneserney.NoSymbol)}
}

func (r byteRanker) rank(h history, ids []int32, to ranked) history {
	s := h.pieces
	for i, id := range ids {
		known := r.bytes.Known(s)
		nll, next, before := r.bytes.Step(s, uint32(id))
		to.set(i, known, nll, before)
		s = next
	}
	return history{pieces: s}
}

func (r byteRanker) least(h history, k int) []float64 { return r.bytes.Least(h.pieces, k) }

// wordRanker ranks words, the end of the text, and the bytes of unknown pieces. The bytes that may begin an unknown piece
// are parts of the unknown symbol. Their ids come first, then the end of the text, then the words.
type wordRanker struct {
	wordLanguage
	words, bytes *kneserney.Ranking
	first        *kneserney.Parts
}

func (l wordLanguage) ranker() ranker {
	r := wordRanker{
		wordLanguage: l,
		words:        kneserney.NewRanking(l.pieces, endSymbol(len(l.words)), unknownSymbol(len(l.words))),
		bytes:        kneserney.NewRanking(l.spelling, 0, kneserney.NoSymbol),
	}
	r.first = kneserney.NewParts(r.bytes, l.spelling.Begin())
	r.words.Divide(r.first, func(symbol uint32, part bool) uint32 {
		switch {
		case part:
			return symbol
		case symbol == endSymbol(len(l.words)):
			return wordsEnd
		}
		return firstWord + symbol
	})
	return r
}

func (r wordRanker) rank(h history, ids []int32, to ranked) history {
	begin, end := r.spelling.Begin(), endSymbol(len(r.wordLanguage.words))
	for i, id := range ids {
		switch {
		case h.inside && id < wordsEnd:
			known := r.bytes.Known(h.spelled)
			nll, next, before := r.bytes.Step(h.spelled, uint32(id))
			to.set(i, known, nll, before)
			h.spelled, h.inside = next, r.continues(id)
		case id < wordsEnd:
			known := r.words.Known(h.pieces)
			nll, spelled := r.spelling.Step(begin, uint32(id))
			unknown, pieces := r.words.Hidden(h.pieces)
			to.set(i, known, unknown+nll, r.words.BeforePart(h.pieces, nll, uint32(id)))
			h = history{pieces, spelled, r.continues(id)}
		default:
			symbol := uint32(id - firstWord)
			if id == wordsEnd {
				symbol = end
			}
			known := r.words.Known(h.pieces)
			nll, next, before := r.words.Step(h.pieces, symbol)
			to.set(i, known, nll, before)
			h = history{pieces: next}
		}
	}
	return h
}

func (r wordRanker) least(h history, k int) []float64 {
	if h.inside {
		return r.bytes.Least(h.spelled, k)
	}
	losses := r.words.Least(h.pieces, k)
	unknown, _ := r.words.Hidden(h.pieces)
	for _, loss := range r.first.Least(k) {
		losses = append(losses, unknown+loss)
	}
	slices.Sort(losses)
	return losses[:min(k, len(losses))]
}
