package ngram

import (
	"bufio"
	"context"
	"io"
	"iter"
	"slices"
	"strings"

	"surprisal.dev/plugins/ngram/kneserney"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
)

// minCount is how many times a piece must occur in training to be a word of the vocabulary.
const minCount = 2

// trainer counts a training text and writes the model.
type trainer interface {
	add(text string)
	// err returns an error if the text has more n-grams than can be counted.
	err() error
	write(w io.Writer) error
}

// train feeds the documents to t and writes the model.
func train(ctx context.Context, t trainer, documents iter.Seq2[protocol.Document, error], w io.Writer) error {
	count := 0
	for d, err := range documents {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		t.add(d.Text)
		if err := t.err(); err != nil {
			return sdk.Invalid("dataset %q, shard %q, row %d: %v", d.Dataset, d.Shard, d.Row, err)
		}
		count++
	}
	if count == 0 {
		return sdk.Invalid("train: the datasets have no documents; name one that has")
	}
	return t.write(w)
}

type byteTrainer struct {
	counts *kneserney.Counts
}

func newByteTrainer(order int) byteTrainer {
	return byteTrainer{kneserney.NewCounts(order)}
}

func (t byteTrainer) add(text string) {
	t.counts.Begin()
	for i := range len(text) {
		t.counts.Add(uint32(text[i]))
	}
	t.counts.Add(bytesEnd)
}

func (t byteTrainer) err() error { return t.counts.Err() }

func (t byteTrainer) write(w io.Writer) error {
	return writeFile(w, fileBytes, func(b *bufio.Writer) error { return t.counts.Write(b, bytesVocabulary, same) })
}

// wordTrainer counts n-grams of all pieces, whether words or not, because only the end of the training shows which are
// words.
type wordTrainer struct {
	counts *kneserney.Counts
	// symbols numbers the different pieces from 1; 0 is the end of the text. occurrences is by symbol.
	symbols     map[string]uint32
	occurrences []uint64
}

func newWordTrainer(order int) *wordTrainer {
	return &wordTrainer{
		counts:      kneserney.NewCounts(order),
		symbols:     map[string]uint32{},
		occurrences: make([]uint64, 1),
	}
}

func (t *wordTrainer) add(text string) {
	t.counts.Begin()
	for start := 0; start < len(text); {
		end := pieceEnd(text, start)
		symbol, ok := t.symbols[text[start:end]]
		if !ok {
			symbol = uint32(len(t.occurrences))
			t.symbols[strings.Clone(text[start:end])] = symbol // a substring would keep the whole document
			t.occurrences = append(t.occurrences, 0)
		}
		t.occurrences[symbol]++
		t.counts.Add(symbol)
		start = end
	}
	t.counts.Add(0)
}

func (t *wordTrainer) err() error { return t.counts.Err() }

func (t *wordTrainer) write(w io.Writer) error {
	var words []string
	spelling := kneserney.NewCounts(spellingOrder)
	for piece, symbol := range t.symbols {
		if t.occurrences[symbol] >= minCount {
			words = append(words, piece)
			continue
		}
		for range t.occurrences[symbol] {
			spelling.Begin()
			last := len(piece) - 1
			for i := range last {
				spelling.Add(uint32(piece[i]))
			}
			spelling.Add(lastByte + uint32(piece[last]))
		}
	}
	if err := spelling.Err(); err != nil {
		return sdk.Invalid("train: spelling: %v", err)
	}
	slices.Sort(words)
	renamed := make([]uint32, len(t.occurrences))
	for i := range renamed {
		renamed[i] = unknownSymbol(len(words))
	}
	renamed[0] = endSymbol(len(words))
	for i, word := range words {
		renamed[t.symbols[word]] = uint32(i)
	}
	return writeFile(w, fileWords, func(b *bufio.Writer) error {
		writeWords(b, words)
		rename := func(symbol uint32) uint32 { return renamed[symbol] }
		if err := t.counts.Write(b, wordSymbolCount(len(words)), rename); err != nil {
			return err
		}
		return spelling.Write(b, spellingVocabulary, same)
	})
}

func same(symbol uint32) uint32 { return symbol }
