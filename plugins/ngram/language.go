package ngram

import (
	"math"
	"slices"

	"surprisal.dev/plugins/ngram/kneserney"
)

// language is a distribution over the next token of a text. Its methods are safe for concurrent use.
type language interface {
	// vocabulary is the number of token ids; end is the id of the end of the text.
	vocabulary() int
	end() int32
	// tokenize appends the tokens of text: their ids and the bytes at which they start. Each ends where the next
	// starts.
	tokenize(text string, ids, starts []int32) ([]int32, []int32)
	// begin is the history at the beginning of a text. The zero history is that of a text whose beginning is unseen.
	begin() history
	// step returns the loss of a token in nats, +Inf for a token that cannot follow, and the next history.
	step(h history, id int32) (float64, history)
	// order is one more than the number of complete pieces that a history holds. continues reports whether a token
	// leaves its piece incomplete.
	order() int
	continues(id int32) bool
	// ranker returns a ranker of the language's tokens, at a cost in proportion to the model's size.
	ranker() ranker
	// names returns a function that tells the bytes of a token, none for the end of the text. It is made at a cost in
	// proportion to the vocabulary.
	names() func(id int32) []byte
}

// history is a language's state after the tokens so far.
type history struct {
	pieces, spelled kneserney.State
	// inside is true after a spelled byte that is not the last of its piece.
	inside bool
}

// Token ids of bytes.
const (
	bytesEnd        = 256
	bytesVocabulary = 257
)

type byteLanguage struct {
	model *kneserney.Model
}

func (byteLanguage) vocabulary() int      { return bytesVocabulary }
func (byteLanguage) end() int32           { return bytesEnd }
func (byteLanguage) continues(int32) bool { return false }
func (l byteLanguage) order() int         { return l.model.Order() }
func (l byteLanguage) begin() history     { return history{pieces: l.model.Begin()} }

func (byteLanguage) tokenize(text string, ids, starts []int32) ([]int32, []int32) {
	ids, starts = slices.Grow(ids, len(text)+1), slices.Grow(starts, len(text)+1)
	for i := range len(text) {
		ids = append(ids, int32(text[i]))
		starts = append(starts, int32(i))
	}
	return ids, starts
}

func (l byteLanguage) step(h history, id int32) (float64, history) {
	nll, next := l.model.Step(h.pieces, uint32(id))
	return nll, history{pieces: next}
}

// Token ids of words: 0 to 255 are bytes within a piece; lastByte+b is byte b at a piece's end.
const (
	lastByte           = 256
	wordsEnd           = 512
	firstWord          = 513
	spellingVocabulary = 512
	spellingOrder      = 5
)

// The symbols of the model of words are the words, then these two.
func unknownSymbol(words int) uint32   { return uint32(words) }
func endSymbol(words int) uint32       { return uint32(words) + 1 }
func wordSymbolCount(words int) uint32 { return uint32(words) + 2 }

type wordLanguage struct {
	words map[string]uint32
	// pieces predicts words, unknown and the end of the text. spelling predicts the bytes of an unknown piece, by token
	// id.
	pieces, spelling *kneserney.Model
}

func (l wordLanguage) vocabulary() int       { return firstWord + len(l.words) }
func (wordLanguage) end() int32              { return wordsEnd }
func (wordLanguage) continues(id int32) bool { return id < lastByte }
func (l wordLanguage) order() int            { return l.pieces.Order() }
func (l wordLanguage) begin() history        { return history{pieces: l.pieces.Begin()} }

func (l wordLanguage) tokenize(text string, ids, starts []int32) ([]int32, []int32) {
	for start := 0; start < len(text); {
		end := pieceEnd(text, start)
		if word, ok := l.words[text[start:end]]; ok {
			ids = append(ids, firstWord+int32(word))
			starts = append(starts, int32(start))
		} else {
			for i := start; i < end; i++ {
				ids = append(ids, int32(text[i]))
				starts = append(starts, int32(i))
			}
			ids[len(ids)-1] += lastByte
		}
		start = end
	}
	return ids, starts
}

func (l wordLanguage) step(h history, id int32) (float64, history) {
	if id >= wordsEnd {
		if h.inside {
			return math.Inf(1), history{}
		}
		symbol := uint32(id - firstWord)
		if id == wordsEnd {
			symbol = endSymbol(len(l.words))
		}
		nll, next := l.pieces.Step(h.pieces, symbol)
		return nll, history{pieces: next}
	}
	unknown := 0.0
	if !h.inside {
		unknown, h.pieces = l.pieces.Step(h.pieces, unknownSymbol(len(l.words)))
		h.spelled = l.spelling.Begin()
	}
	nll, next := l.spelling.Step(h.spelled, uint32(id))
	h.spelled, h.inside = next, l.continues(id)
	return unknown + nll, h
}
