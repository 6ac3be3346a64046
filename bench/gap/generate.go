package main

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"surprisal.dev/runner/artifact"
)

// datasets are the generated datasets; each has a quarter of the text.
var datasets = []string{"code", "prose", "table", "web"}

const (
	vocabulary = 50_000
	// documentBytes is the mean size of a document.
	documentBytes = 8000
)

// generate writes the tables of two models under dir, with text bytes of text. It returns the bytes of text and of
// files.
func generate(dir string, text int, seed uint64) (written int, onDisk int64, err error) {
	for i, key := range datasets {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		w := newWriter(r, i)
		var models [2]*tables
		for m, name := range []string{"a", "b"} {
			if models[m], err = createTables(filepath.Join(dir, name, key)); err != nil {
				return 0, 0, err
			}
		}
		bytes := 0
		for row := int64(0); bytes < text/len(datasets); row++ {
			document := w.document(int(documentBytes * r.ExpFloat64()))
			bytes += len(document)
			for m, t := range models {
				if err := t.write(score(r, row, document, 2+2*m)); err != nil {
					return 0, 0, err
				}
			}
		}
		written += bytes
		for _, t := range models {
			n, err := t.close()
			if err != nil {
				return 0, 0, err
			}
			onDisk += n
		}
	}
	return written, onDisk, nil
}

// score gives a document random losses over tokens. Like those of a real tokenizer, they cut equal words in the same way.
func score(r *rand.Rand, row int64, text string, longest int) artifact.ScoredDocument {
	d := artifact.ScoredDocument{Shard: "part-00000.jsonl", Row: row, Text: text, ScoreEnd: int32(len(text))}
	for at := 0; at < len(text); {
		// A word begins with the space before it.
		end := len(text)
		if space := strings.IndexByte(text[at+1:], ' '); space >= 0 {
			end = at + 1 + space
		}
		for lengths := seeded(text[at:end], longest); at < end; {
			at += min(1+lengths.IntN(2*longest), end-at)
			d.TokenIDs = append(d.TokenIDs, r.Int32N(50_000))
			d.TokenEnds = append(d.TokenEnds, int32(at))
			d.TokenNLL = append(d.TokenNLL, r.ExpFloat64())
		}
	}
	return d
}

// seeded returns a source that depends on a word and a model only.
func seeded(word string, model int) *rand.Rand {
	h := fnv.New64a()
	_, _ = io.WriteString(h, word)
	return rand.New(rand.NewPCG(h.Sum64(), uint64(model)))
}

// writer makes text of words with Zipf's frequencies, mixed with numbers, URLs, punctuation and other scripts.
type writer struct {
	r     *rand.Rand
	zipf  *rand.Zipf
	words []string
	kind  int
}

func newWriter(r *rand.Rand, kind int) *writer {
	w := &writer{r: r, zipf: rand.NewZipf(r, 1.1, 3, vocabulary-1), kind: kind}
	scripts := [][2]rune{{'a', 'z'}, {'a', 'z'}, {'a', 'z'}, {'a', 'z'}, {'a', 'z'}, {'а', 'я'}, {'α', 'ω'}, {0x4e00, 0x5e00}}
	for range vocabulary {
		script := scripts[r.IntN(len(scripts))]
		var word strings.Builder
		for range 2 + int(4*math.Abs(r.NormFloat64())) {
			word.WriteRune(script[0] + r.Int32N(script[1]-script[0]+1))
		}
		w.words = append(w.words, word.String())
	}
	return w
}

func (w *writer) document(bytes int) string {
	var b strings.Builder
	for b.Len() <= bytes {
		switch x := w.r.IntN(100); {
		case x < 2:
			fmt.Fprintf(&b, "https://%s.example/%s?id=%d", w.words[w.zipf.Uint64()], w.words[w.zipf.Uint64()], w.r.IntN(1e6))
		case x < 2+4*w.kind:
			fmt.Fprintf(&b, "%d.%02d", w.r.IntN(1e5), w.r.IntN(100))
		case x < 20:
			b.WriteString("(" + w.words[w.zipf.Uint64()] + ");")
		case x < 21:
			b.WriteString("🙂 — “…”")
		default:
			b.WriteString(w.words[w.zipf.Uint64()])
		}
		switch x := w.r.IntN(40); {
		case x == 0:
			b.WriteString(".\n\n")
		case x == 1:
			b.WriteString("\n\t")
		case x < 5:
			b.WriteString(", ")
		default:
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// tables are the files of one model on one dataset.
type tables struct {
	files  [2]*os.File
	scored *artifact.ScoredWriter
	ledger *artifact.LedgerWriter
}

func createTables(dir string) (*tables, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	t := &tables{}
	for i, name := range []string{"scored_documents.parquet", "ledger.parquet"} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		t.files[i] = f
	}
	t.scored, t.ledger = artifact.NewScoredWriter(t.files[0]), artifact.NewLedgerWriter(t.files[1])
	return t, nil
}

func (t *tables) write(d artifact.ScoredDocument) error {
	nats := 0.0
	for _, nll := range d.TokenNLL {
		nats += nll
	}
	return errors.Join(t.scored.Write(d), t.ledger.Write(artifact.LedgerRow{
		Shard: d.Shard, Row: d.Row, TokenNats: nats, SpanNats: nats, ScoredBytes: d.ScoreEnd - d.ScoreStart,
	}))
}

func (t *tables) close() (bytes int64, err error) {
	err = errors.Join(t.scored.Close(), t.ledger.Close())
	for _, f := range t.files {
		info, statErr := f.Stat()
		err = errors.Join(err, statErr, f.Close())
		if statErr == nil {
			bytes += info.Size()
		}
	}
	return bytes, err
}
