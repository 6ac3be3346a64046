package ngram

import (
	"math"

	"surprisal.dev/plugins/ngram/kneserney"
)

// ranker tells how confident a language is of its prediction. Its methods are safe for concurrent use.
type ranker interface {
	// rank compares token id, which has the loss nll after the history h, with all others.
	rank(h history, id int32, nll float64) ranked
}

// ranked is a token's place in a distribution.
type ranked struct {
	top             int32
	topNLL, entropy float64
	rank            int32
}

// byteRanker ranks bytes. Their symbols are their ids.
type byteRanker struct{ bytes *kneserney.Ranking }

func (l byteLanguage) ranker() ranker {
	return byteRanker{kneserney.NewRanking(l.model, 0, kneserney.NoSymbol)}
}

func (r byteRanker) rank(h history, id int32, nll float64) ranked {
	return rankSymbol(r.bytes, h.pieces, id, nll)
}

// rankSymbol ranks a token whose symbol is its id.
func rankSymbol(r *kneserney.Ranking, s kneserney.State, id int32, nll float64) ranked {
	top, topNLL := r.Top(s)
	of := ranked{top: int32(top), topNLL: topNLL, entropy: r.Entropy(s), rank: 1}
	if of.top != id {
		of.rank += int32(r.Before(s, 0, nll, uint32(id)))
	}
	return of
}

// wordRanker ranks words, the end of the text, and the bytes of unknown pieces. The unknown symbol is hidden: the bytes
// that may begin an unknown piece take its place. Their ids come first, then the end of the text, then the words.
type wordRanker struct {
	wordLanguage
	words, bytes *kneserney.Ranking
	begin        kneserney.State
	// beginTop is the most probable first byte of an unknown piece.
	beginTop ranked
}

func (l wordLanguage) ranker() ranker {
	r := wordRanker{
		wordLanguage: l,
		words:        kneserney.NewRanking(l.pieces, endSymbol(len(l.words)), unknownSymbol(len(l.words))),
		bytes:        kneserney.NewRanking(l.spelling, 0, kneserney.NoSymbol),
		begin:        l.spelling.Begin(),
	}
	top, nll := r.bytes.Top(r.begin)
	r.beginTop = ranked{top: int32(top), topNLL: nll, entropy: r.bytes.Entropy(r.begin)}
	return r
}

func (r wordRanker) rank(h history, id int32, nll float64) ranked {
	if h.inside {
		return rankSymbol(r.bytes, h.spelled, id, nll)
	}
	symbol, topNLL := r.words.Top(h.pieces)
	unknown := r.words.HiddenNLL(h.pieces)
	of := ranked{
		top: firstWord + int32(symbol), topNLL: topNLL, rank: 1,
		entropy: r.words.Entropy(h.pieces) + math.Exp(-unknown)*r.beginTop.entropy,
	}
	if symbol == endSymbol(len(r.wordLanguage.words)) {
		of.top = wordsEnd
	}
	// The rounding of unknown may differ from that of the loss of an unknown piece.
	spelled := unknown+r.beginTop.topNLL <= max(topNLL, nll)+1e-9*(1+nll)
	if spelled {
		unknown, _ = r.pieces.Step(h.pieces, unknownSymbol(len(r.wordLanguage.words)))
		if first := unknown + r.beginTop.topNLL; first <= of.topNLL {
			of.top, of.topNLL = r.beginTop.top, first
		}
	}
	if of.top == id {
		return of
	}
	wordPlace, bytePlace := uint32(0), uint32(kneserney.LastPlace)
	switch {
	case id >= firstWord:
		wordPlace = r.words.Place(uint32(id - firstWord))
	case id != wordsEnd:
		bytePlace = uint32(id)
	}
	of.rank += int32(r.words.Before(h.pieces, 0, nll, wordPlace))
	if spelled {
		of.rank += int32(r.bytes.Before(r.begin, unknown, nll, bytePlace))
	}
	return of
}
