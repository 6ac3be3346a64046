package ngram

import (
	"math"
	"slices"

	"surprisal.dev/plugins/ngram/kneserney"
)

// ranker is a language that tells how confident it is of its predictions. Its methods are safe for concurrent use.
type ranker interface {
	// rank is language.step. It also compares the token with all others.
	rank(h history, id int32) (ranked, history)
	// least returns the losses in nats of the k most probable tokens after a history, in any order; of all if there are
	// fewer.
	least(h history, k int) []float64
}

// topMass returns the logarithm of the total probability of the k most probable tokens after a history.
func topMass(r ranker, h history, k int) float64 {
	total := 0.0
	for _, loss := range r.least(h, k) {
		total += math.Exp(-loss)
	}
	return min(math.Log(total), 0)
}

// ranked is a token's loss and its place in a distribution.
type ranked struct {
	nll             float64
	top             int32
	topNLL, entropy float64
	rank            int32
}

// byteRanker ranks bytes. Their symbols are their ids.
type byteRanker struct{ bytes *kneserney.Ranking }

func (l byteLanguage) ranker() ranker {
	return byteRanker{kneserney.NewRanking(l.model, 0, kneserney.NoSymbol)}
}

func (r byteRanker) rank(h history, id int32) (ranked, history) {
	of, next := rankSymbol(r.bytes, h.pieces, id)
	return of, history{pieces: next}
}

func (r byteRanker) least(h history, k int) []float64 { return r.bytes.Least(h.pieces, k) }

// rankSymbol ranks a token whose symbol is its id.
func rankSymbol(r *kneserney.Ranking, s kneserney.State, id int32) (ranked, kneserney.State) {
	nll, next, before := r.Step(s, uint32(id))
	top, topNLL := r.Top(s)
	return ranked{nll: nll, top: int32(top), topNLL: topNLL, entropy: r.Entropy(s), rank: int32(before) + 1}, next
}

// wordRanker ranks words, the end of the text, and the bytes of unknown pieces. The unknown symbol is hidden: the bytes
// that may begin an unknown piece take its place. Their ids come first, then the end of the text, then the words.
type wordRanker struct {
	wordLanguage
	words, bytes *kneserney.Ranking
	// first is the distribution of the first byte of an unknown piece; top is its most probable byte.
	first        kneserney.Distribution
	firstTop     int32
	firstTopNLL  float64
	firstEntropy float64
}

func (l wordLanguage) ranker() ranker {
	r := wordRanker{
		wordLanguage: l,
		words:        kneserney.NewRanking(l.pieces, endSymbol(len(l.words)), unknownSymbol(len(l.words))),
		bytes:        kneserney.NewRanking(l.spelling, 0, kneserney.NoSymbol),
	}
	begin := l.spelling.Begin()
	top, nll := r.bytes.Top(begin)
	r.first, r.firstTop, r.firstTopNLL, r.firstEntropy = r.bytes.Distribution(begin), int32(top), nll, r.bytes.Entropy(begin)
	return r
}

func (r wordRanker) rank(h history, id int32) (of ranked, next history) {
	switch {
	case h.inside && id < wordsEnd:
		of, next.spelled = rankSymbol(r.bytes, h.spelled, id)
		next.pieces, next.inside = h.pieces, r.continues(id)
		return of, next
	case id < wordsEnd:
		of.nll, next = r.step(h, id)
		of.rank = 1 + int32(r.words.Before(h.pieces, 0, of.nll, 0)) // words are after bytes of the same loss
		r.compareFirst(&of, h, uint32(id))
		return of, next
	}
	symbol := uint32(id - firstWord)
	if id == wordsEnd {
		symbol = endSymbol(len(r.wordLanguage.words))
	}
	var before int
	of.nll, next.pieces, before = r.words.Step(h.pieces, symbol)
	of.rank = 1 + int32(before)
	r.compareFirst(&of, h, kneserney.LastPlace)
	return of, next
}

func (r wordRanker) least(h history, k int) []float64 {
	if h.inside {
		return r.bytes.Least(h.spelled, k)
	}
	losses := r.words.Least(h.pieces, k)
	unknown, _ := r.pieces.Step(h.pieces, unknownSymbol(len(r.wordLanguage.words)))
	for _, loss := range r.first.Least(k) {
		losses = append(losses, unknown+loss)
	}
	slices.Sort(losses)
	return losses[:min(k, len(losses))]
}

// compareFirst completes what is known about a token that begins a piece: the top token, the entropy, and the number of
// bytes before the token. Of the bytes with the token's loss, those before place count.
func (r wordRanker) compareFirst(of *ranked, h history, place uint32) {
	top, topNLL := r.words.Top(h.pieces)
	of.top, of.topNLL = firstWord+int32(top), topNLL
	if top == endSymbol(len(r.wordLanguage.words)) {
		of.top = wordsEnd
	}
	unknown := r.words.HiddenNLL(h.pieces)
	of.entropy = r.words.Entropy(h.pieces) + math.Exp(-unknown)*r.firstEntropy
	// The rounding of unknown may differ from that of the loss of an unknown piece.
	if unknown+r.firstTopNLL > max(topNLL, of.nll)+1e-9*(1+of.nll) {
		return
	}
	unknown, _ = r.pieces.Step(h.pieces, unknownSymbol(len(r.wordLanguage.words)))
	if first := unknown + r.firstTopNLL; first <= of.topNLL {
		of.top, of.topNLL = r.firstTop, first
	}
	of.rank += int32(r.first.Before(unknown, of.nll, place))
}
