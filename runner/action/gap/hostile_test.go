package gap

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unicode/utf8"

	"surprisal.dev/runner/artifact"
)

// sample is text with special cases for the segmenter and the buckets.
var sample = []string{
	"word", "it's", "x-y", "naïve", "snake_case", "_", "__", "!_a", "-_-", "a'", "don’t", "Ⅷ", "½", "٣", "1,000.5", "12:30", "1-", "3.", "１２",
	"http://a", "https://", "http:// ", "xhttp://a", "www.", "www.é", "HTTP://A", "!www.x", "http://a\x1fb", " ", "  ", "\n", "\n\n", "\t", "\r\n", " \n",
	"\u00a0", "\u2028", "\u3000", "\u0085", "\u200b", "\x1c", "\x1c\x1d", "\x1f!", "\v", "\f", "\u0301", "\ufe0f", "e\u0301", "🙂", "👩‍👩‍👧", "中文", "...", "“", "⏎", "␠",
	"\ua7d2x", "\U00016ea0", "\U00011b60", "\U00011de0", "\u0558", "\x00", "averyveryveryverylongwordthatgoesonandon", "éééééééééééééééééééé",
}

// hostile writes the tables of two models under dir/a and dir/b, over a few datasets of n random documents each.
func hostile(t testing.TB, dir string, seed uint64, n int) (a, b Side) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 99))
	a, b = Side{Name: "model a"}, Side{Name: "model b"}
	tags := [][]string{{"family", "x/y/z"}, {"family", "x/y"}, {"/odd//tag/"}, {"family/one"}}
	for i, key := range []string{"family/one", "family/two", "lone", "x/y"} {
		var files [2]*tableFiles
		for m, side := range []*Side{&a, &b} {
			at := filepath.Join(dir, string('a'+rune(m)), string('0'+rune(i)))
			files[m] = createFiles(t, at)
			side.Datasets = append(side.Datasets, Table{
				Dataset: key, ScoredPath: filepath.Join(at, "scored_documents.parquet"),
			})
		}
		for row := range int64(n) {
			text := ""
			for range r.IntN(60) {
				if r.IntN(8) == 0 {
					for {
						if c := r.Int32N(0x33480); utf8.ValidRune(c) {
							text += string(c)
							break
						}
					}
				} else {
					text += sample[r.IntN(len(sample))]
				}
			}
			start, end := 0, len(text)
			if r.IntN(2) == 0 {
				start = r.IntN(len(text) + 1)
				end = start + r.IntN(len(text)-start+1)
			}
			shard := []string{"p-1", "p-10"}[int(row)*2/n]
			for m, f := range files {
				d := artifact.ExportedDocument{
					Dataset: key, Tags: tags[(i+int(row%2))%4], Shard: shard, Row: row * 3, Text: text, ScoreStart: int32(start), ScoreEnd: int32(end),
				}
				l := artifact.LedgerRow{Shard: shard, Row: row * 3, ScoredBytes: int32(end - start)}
				for at := 0; at < len(text); {
					size := min(1+r.IntN(5+m), len(text)-at)
					loss := r.ExpFloat64()
					switch r.IntN(30) {
					case 0:
						loss = -1e-17
					case 1:
						loss = 0
					case 2:
						l.UnscoredStarts = append(l.UnscoredStarts, int32(at))
						l.UnscoredEnds = append(l.UnscoredEnds, int32(at+size))
						l.UnscoredReasons = append(l.UnscoredReasons, "no context")
						l.ScoredBytes -= int32(max(0, min(at+size, end)-max(at, start)))
					}
					d.TokenIDs = append(d.TokenIDs, int32(size))
					d.TokenStarts = append(d.TokenStarts, int32(at))
					at += size
					d.TokenEnds = append(d.TokenEnds, int32(at))
					for range size {
						d.PerByteLoss = append(d.PerByteLoss, loss)
					}
				}
				f.write(t, d, l)
			}
		}
		for m, side := range []*Side{&a, &b} {
			files[m].close(t)
			side.Datasets[i].Tags = files[m].tags
		}
	}
	return a, b
}

// tableFiles are a score's tables, and the exported one for the reference.
type tableFiles struct {
	files    []*os.File
	scored   *artifact.ScoredWriter
	ledger   *artifact.LedgerWriter
	exported *artifact.ExportedWriter
	tags     []string // of all documents
}

func createFiles(t testing.TB, dir string) *tableFiles {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f := &tableFiles{}
	for _, name := range []string{"scored_documents.parquet", "ledger.parquet", "exported.parquet"} {
		file, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		f.files = append(f.files, file)
	}
	f.scored, f.ledger = artifact.NewScoredWriter(f.files[0]), artifact.NewLedgerWriter(f.files[1])
	f.exported = artifact.NewExportedWriter(f.files[2])
	return f
}

func (f *tableFiles) write(t testing.TB, d artifact.ExportedDocument, l artifact.LedgerRow) {
	t.Helper()
	for _, tag := range d.Tags {
		if !slices.Contains(f.tags, tag) {
			f.tags = append(f.tags, tag)
		}
	}
	scored := artifact.ScoredDocument{
		Shard: d.Shard, Row: d.Row, Text: d.Text, ScoreStart: d.ScoreStart, ScoreEnd: d.ScoreEnd, TokenIDs: d.TokenIDs,
		TokenStarts: d.TokenStarts, TokenEnds: d.TokenEnds, UnscoredStarts: l.UnscoredStarts, UnscoredEnds: l.UnscoredEnds,
	}
	// Some documents have losses by token, the others by byte.
	if d.Row%2 == 0 {
		for i, start := range d.TokenStarts {
			nats := 0.0
			for _, loss := range d.PerByteLoss[start:d.TokenEnds[i]] {
				nats += loss
			}
			scored.TokenNLL = append(scored.TokenNLL, nats)
		}
		d.PerByteLoss = scored.Losses(nil)
	} else {
		scored.PerByteLoss = d.PerByteLoss
	}
	if err := f.scored.Write(scored); err != nil {
		t.Fatal(err)
	}
	if err := f.exported.Write(d); err != nil {
		t.Fatal(err)
	}
	if err := f.ledger.Write(l); err != nil {
		t.Fatal(err)
	}
}

func (f *tableFiles) close(t testing.TB) {
	t.Helper()
	if err := f.scored.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.exported.Close(); err != nil {
		t.Fatal(err)
	}
	for _, file := range f.files {
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
