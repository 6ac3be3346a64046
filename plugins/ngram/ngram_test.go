package ngram

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"surprisal.dev/plugins/ngram/kneserney"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
)

// standardLibrary is the directory of the sources in the Go installation.
func standardLibrary(tb testing.TB) string {
	tb.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(root)), "src")
}

// opticks is the text of Newton's book from these sources.
func opticks(tb testing.TB) string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(standardLibrary(tb), "testdata", "Isaac.Newton-Opticks.txt"))
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

func documents(texts ...string) iter.Seq2[protocol.Document, error] {
	return func(yield func(protocol.Document, error) bool) {
		for i, text := range texts {
			if !yield(protocol.Document{Index: int64(i), Text: text, ScoreEnd: int32(len(text))}, nil) {
				return
			}
		}
	}
}

// file trains a model and returns its file.
func file(tb testing.TB, config string, texts ...string) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := (backend{}).Train(tb.Context(), protocol.Model{Config: []byte(config)}, documents(texts...), &b); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// trained trains a model and loads it.
func trained(tb testing.TB, config string, texts ...string) model {
	tb.Helper()
	l, err := readFile(file(tb, config, texts...))
	if err != nil {
		tb.Fatal(err)
	}
	return newModel(l)
}

func bitsPerByte(nats float64, bytes int64) float64 { return nats / math.Ln2 / float64(bytes) }

// scoreAll scores the texts and returns the answers in order.
func scoreAll(tb testing.TB, m model, s protocol.Settings, texts ...string) []protocol.ScoredDocument {
	tb.Helper()
	var all []protocol.ScoredDocument
	err := m.Score(tb.Context(), s, always(documents(texts...)), func(d protocol.ScoredDocument) error {
		all = append(all, d)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// Held-out text becomes more likely with the order, until the n-grams of the training text no longer recur.
func TestHeldOutBitsPerByteFallWithTheOrder(t *testing.T) {
	book := opticks(t)
	half := len(book) / 2
	for _, tokens := range []string{"bytes", "words"} {
		var table []float64
		for order := 1; order <= 8; order++ {
			m := trained(t, fmt.Sprintf(`{"order": %d, "tokens": %q}`, order, tokens), book[:half])
			scored := scoreAll(t, m, protocol.Settings{}, book[half:])[0]
			bpb := bitsPerByte(scored.TotalNLL, int64(len(book)-half))
			t.Logf("%s, order %d: %.4f bpb, %d tokens", tokens, order, bpb, len(scored.TokenIDs))
			table = append(table, bpb)
		}
		// Order 0 is the uniform distribution over bytes and the end of the text.
		if table[0] >= math.Log2(bytesVocabulary) || table[0] <= table[1] || table[1] <= table[2] {
			t.Errorf("%s: %.4f bpb of orders 1, 2, 3 do not fall", tokens, table)
		}
	}
}

// hostileTexts are texts that are difficult for a tokenizer.
func hostileTexts() map[string]string {
	return map[string]string{
		"empty":                         "",
		"a byte":                        "x",
		"NUL":                           "a\x00b\x00\x00",
		"emoji":                         "👩‍👩‍👧 😀😀😀 x😀",
		"lone combining marks":          "\u0301\u0301 \u0301a\u0301",
		"line ends of Windows":          "one\r\ntwo\r\n\r\n three\r\n",
		"spaces":                        "  a   b \t c    ",
		"only spaces":                   strings.Repeat(" ", 1000),
		"one byte, a million times":     strings.Repeat("a", 1<<20),
		"a character, many times":       strings.Repeat("é", 1000),
		"a space and a long word":       " " + strings.Repeat("ab", 1000),
		"other scripts":                 "Ελλάδα, 中文没有空格 и русский. ١٢٣ नमस्ते",
		"the end of text, as text":      "<|endoftext|><s></s>",
		"the replacement character":     "\uFFFD\uFFFD",
		"every byte below a character":  allBytes(),
		"a line separator and a BOM":    "\uFEFFa\u2028b\u00A0c",
		"a word of training, unspelled": "Light light LIGHT",
	}
}

func allBytes() string {
	b := make([]byte, 128)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}

// text returns the text of tokens, and fails if one does not match its span.
func text(t testing.TB, m model, d protocol.ScoredDocument) string {
	t.Helper()
	words := map[int32]string{}
	if l, ok := m.language.(wordLanguage); ok {
		for word, id := range l.words {
			words[firstWord+int32(id)] = word
		}
	}
	var b strings.Builder
	for i, id := range d.TokenIDs {
		if int(d.TokenStarts[i]) != b.Len() {
			t.Fatalf("token %d starts at %d after %d bytes", i, d.TokenStarts[i], b.Len())
		}
		if word, ok := words[id]; ok {
			b.WriteString(word)
		} else {
			b.WriteByte(byte(id % lastByte))
		}
		if int(d.TokenEnds[i]) != b.Len() {
			t.Fatalf("token %d ends at %d after %d bytes", i, d.TokenEnds[i], b.Len())
		}
	}
	return b.String()
}

func checkScored(t testing.TB, m model, want string, d protocol.ScoredDocument) {
	t.Helper()
	if got := text(t, m, d); got != want {
		t.Fatalf("the tokens of %.80q are %.80q", want, got)
	}
	sum := d.EOSNLL
	for i, nll := range d.TokenNLL {
		if !(nll >= 0 && nll < 1000) {
			t.Fatalf("token %d has a loss of %v", i, nll)
		}
		sum += nll
	}
	if math.Abs(sum-d.TotalNLL) > 1e-9*sum {
		t.Fatalf("losses sum to %v, TotalNLL is %v", sum, d.TotalNLL)
	}
	if len(d.TokenNLL) != len(d.TokenIDs) {
		t.Fatalf("%d losses of %d tokens", len(d.TokenNLL), len(d.TokenIDs))
	}
}

func TestHostileTexts(t *testing.T) {
	book := opticks(t)[:100_000]
	for _, tokens := range []string{"bytes", "words"} {
		config := fmt.Sprintf(`{"tokens": %q}`, tokens)
		reader := trained(t, config, book)
		for name, hostile := range hostileTexts() {
			t.Run(tokens+"/"+name, func(t *testing.T) {
				for _, m := range []model{reader, trained(t, config, hostile)} {
					for _, s := range []protocol.Settings{{EOS: true}, {Prefix: "none", Context: 7, Stride: 3, Anchor: "bytes"}} {
						checkScored(t, m, hostile, scoreAll(t, m, s, hostile)[0])
					}
				}
			})
		}
	}
}

func TestPieces(t *testing.T) {
	for text, want := range map[string][]string{
		"The  red\trays, 2.5\n\n":      {"The", " ", " red", "\t", "rays", ",", " 2", ".", "5", "\n\n"},
		"x := a[i] // don't":           {"x", " :=", " a", "[", "i", "]", " //", " don", "'", "t"},
		"\r\n  if":                     {"\r\n ", " if"},
		"   ":                          {"   "},
		"e\u0301te\u0301":              {"e\u0301te\u0301"},
		"中文, ١٢٣":                      {"中文", ",", " ١٢٣"},
		strings.Repeat("a", 65):        {strings.Repeat("a", 64), "a"},
		"  " + strings.Repeat("é", 40): {" ", " " + strings.Repeat("é", 31), strings.Repeat("é", 9)},
	} {
		var got []string
		for start := 0; start < len(text); {
			end := pieceEnd(text, start)
			got = append(got, text[start:end])
			start = end
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

// Pieces are never empty, never too long, and end between characters.
func TestPiecesTile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune{' ', ' ', '\n', 'a', 'é', '\u0301', '1', '.', '😀'}), 0, 200, -1).Draw(t, "text")
		for start := 0; start < len(text); {
			end := pieceEnd(text, start)
			if end <= start || end > len(text) || end-start > maxPiece || end < len(text) && !utf8.RuneStart(text[end]) {
				t.Fatalf("piece [%d, %d) of %q", start, end, text)
			}
			start = end
		}
	})
}

// A piece that occurred twice in training is one token; any other is spelled, with a separate id for the last byte.
func TestWordsAndSpelling(t *testing.T) {
	m := trained(t, `{"tokens": "words"}`, "red green", "red red blue")
	got := scoreAll(t, m, protocol.Settings{}, "red red blue")[0].TokenIDs
	want := []int32{firstWord, ' ', 'r', 'e', lastByte + 'd', ' ', 'b', 'l', 'u', lastByte + 'e'}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	// The losses of " blue" at the beginning are those of unknown and of its bytes, spelled from the beginning of a piece.
	l := m.language.(wordLanguage)
	sum, _ := l.pieces.Step(l.pieces.Begin(), unknownSymbol(1))
	spelled := l.spelling.Begin()
	for _, id := range want[5:] {
		var nll float64
		nll, spelled = l.spelling.Step(spelled, uint32(id))
		sum += nll
	}
	scored := scoreAll(t, m, protocol.Settings{}, " blue")[0]
	if math.Abs(scored.TotalNLL-sum) > 1e-12 {
		t.Errorf("the loss of a spelled piece is %v, want %v", scored.TotalNLL, sum)
	}
	_, inside := l.step(l.begin(), ' ')
	for _, id := range []int32{wordsEnd, firstWord} {
		if nll, _ := l.step(inside, id); !math.IsInf(nll, 1) {
			t.Errorf("token %d inside a spelled piece has a loss of %v", id, nll)
		}
	}
}

// After every history, whether training saw it or not, the probabilities of all token ids sum to one.
func TestProbabilitiesSumToOne(t *testing.T) {
	book := opticks(t)
	training := book[:60_000]
	for _, tokens := range []string{"bytes", "words"} {
		for _, order := range []int{1, 2, 3, 5, kneserney.MaxOrder} {
			m := trained(t, fmt.Sprintf(`{"order": %d, "tokens": %q}`, order, tokens), training, "", "end")
			t.Run(fmt.Sprintf("%s of order %d", tokens, order), func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) {
					at := rapid.IntRange(0, len(book)-100).Draw(t, "at")
					text := rapid.OneOf(rapid.Just(book[at:at+100]), rapid.String()).Draw(t, "text")
					ids, _ := m.language.tokenize(text, nil, nil)
					// Parts of a text may start and end inside a spelled piece.
					from := rapid.IntRange(0, len(ids)).Draw(t, "from")
					to := rapid.IntRange(from, len(ids)).Draw(t, "to")
					h := history{}
					if rapid.Bool().Draw(t, "bos") {
						h = m.language.begin()
					}
					for _, id := range ids[from:to] {
						_, h = m.language.step(h, id)
					}
					sum := 0.0
					for id := range m.language.vocabulary() {
						nll, _ := m.language.step(h, int32(id))
						sum += math.Exp(-nll)
					}
					if math.Abs(sum-1) > 1e-9 {
						t.Fatalf("probabilities after %v sum to 1%+g", ids[from:to], sum-1)
					}
				})
			})
		}
	}
}

// The end of an empty text has no loss without a prefix, and the answer says so.
func TestUnscoredEnd(t *testing.T) {
	m := trained(t, `{"order": 3, "tokens": "bytes"}`, "The train was late.")
	for prefix, want := range map[string][]protocol.Unscored{
		protocol.PrefixNone: {{Start: 0, End: 0, Reason: protocol.ReasonNoContext}}, protocol.PrefixBOS: nil,
	} {
		for _, a := range scoreAll(t, m, protocol.Settings{Prefix: prefix, EOS: true, Context: 8, Stride: 4}, "") {
			if diff := cmp.Diff(want, a.Unscored); diff != "" || (a.EOSNLL == 0) != (len(want) > 0) {
				t.Errorf("prefix %q: loss %v, %s", prefix, a.EOSNLL, diff)
			}
		}
	}
}

// The losses follow the definition: each window separately, from its prefix through all its tokens.
func TestWindowsSeeNothingElse(t *testing.T) {
	book := opticks(t)
	for _, tokens := range []string{"bytes", "words"} {
		for _, order := range []int{1, 3, 5} {
			m := trained(t, fmt.Sprintf(`{"order": %d, "tokens": %q}`, order, tokens), book[:60_000])
			t.Run(fmt.Sprintf("%s of order %d", tokens, order), func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) {
					at := rapid.IntRange(0, len(book)-300).Draw(t, "at")
					text := book[at : at+rapid.IntRange(0, 300).Draw(t, "length")]
					s := protocol.Settings{
						Prefix:  rapid.SampledFrom([]string{"bos", "first", "none"}).Draw(t, "prefix"),
						Anchor:  rapid.SampledFrom([]string{"tokens", "bytes"}).Draw(t, "anchor"),
						Context: rapid.Int64Range(2, 40).Draw(t, "context"),
						EOS:     rapid.Bool().Draw(t, "eos"),
					}
					s.Stride = rapid.Int64Range(1, s.Context-1).Draw(t, "stride")
					got, err := m.score(context.Background(), s, protocol.Document{Text: text})
					if err != nil {
						t.Fatal(err)
					}
					ids, starts := m.language.tokenize(text, nil, nil)
					if s.EOS {
						ids, starts = append(ids, m.language.end()), append(starts, int32(len(text)))
					}
					var want []float64
					for w := range s.Windows(starts) {
						h := history{}
						if s.Prefix == "bos" || s.Prefix == "first" && w.Start == 0 {
							h = m.language.begin()
						}
						var nll float64
						for i := w.Start; i < w.End; i++ {
							nll, h = m.language.step(h, ids[i])
							if i >= w.Score {
								want = append(want, nll)
							}
						}
					}
					if s.Prefix == "none" && len(want) > 0 {
						want[0] = 0
						first := []protocol.Unscored{{Start: 0, End: 0, Reason: protocol.ReasonNoContext}} // the end of the text
						if len(got.TokenIDs) > 0 {
							first[0].End = got.TokenEnds[0]
						}
						if diff := cmp.Diff(first, got.Unscored); diff != "" {
							t.Fatal(diff)
						}
					} else if len(got.Unscored) > 0 {
						t.Fatalf("unscored %v", got.Unscored)
					}
					all := slices.Clone(got.TokenNLL)
					if s.EOS {
						all = append(all, got.EOSNLL)
					} else if got.EOSNLL != 0 {
						t.Fatalf("a loss of the end of the text, unasked: %v", got.EOSNLL)
					}
					if diff := cmp.Diff(want, all, cmpopts.EquateEmpty()); diff != "" {
						t.Fatal(diff)
					}
				})
			})
		}
	}
}

func TestTrainingIsDeterministic(t *testing.T) {
	book := opticks(t)[:200_000]
	for _, config := range []string{`{"order": 4}`, `{"tokens": "words", "order": 2}`} {
		first := file(t, config, book[:100_000], book[100_000:])
		var others [4][]byte
		var group sync.WaitGroup
		for i := range others {
			group.Go(func() {
				var b bytes.Buffer
				texts := documents(book[:100_000], book[100_000:])
				if err := (backend{}).Train(t.Context(), protocol.Model{Config: []byte(config)}, texts, &b); err != nil {
					t.Error(err)
				}
				others[i] = b.Bytes()
			})
		}
		group.Wait()
		for _, other := range others {
			if !bytes.Equal(first, other) {
				t.Errorf("%s: two model files of %d and %d bytes differ", config, len(first), len(other))
			}
		}
		if joined := file(t, config, book); bytes.Equal(first, joined) {
			t.Errorf("%s: two documents and the two joined give the same model", config)
		}
	}
}

// The bytes that only condition a target are used in training too, as documented.
func TestTrainingReadsWholeTexts(t *testing.T) {
	train := func(start int32) []byte {
		d := protocol.Document{Text: "question: answer", ScoreStart: start, ScoreEnd: 16}
		var b bytes.Buffer
		texts := func(yield func(protocol.Document, error) bool) { yield(d, nil) }
		if err := (backend{}).Train(t.Context(), protocol.Model{Config: []byte(`{}`)}, texts, &b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	if !bytes.Equal(train(0), train(10)) {
		t.Error("the scored span changes the model")
	}
}

func TestSchema(t *testing.T) {
	description, err := New().Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	compiler := cuecontext.New()
	definition := compiler.CompileString(description.Schema).LookupPath(cue.ParsePath("#Config"))
	for settings, want := range map[string]string{
		`train: "a"`: `{"order":5,"tokens":"bytes"}`,
		`train: ["a", "b"], order: 3, tokens: "words"`: `{"order":3,"tokens":"words"}`,
		`order: 3`:                  `train: field is required`,
		`train: []`:                 `train`,
		`train: "a", order: 0`:      `order`,
		`train: "a", order: 11`:     `order`,
		`train: "a", tokens: "bpe"`: `tokens`,
		`train: "a", ordr: 3`:       `ordr: field not allowed`,
	} {
		value := definition.Unify(compiler.CompileString(settings))
		err := value.Validate(cue.Concrete(true), cue.Final())
		if !strings.HasPrefix(want, "{") {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", settings, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", settings, err)
			continue
		}
		var got map[string]any
		if err := value.Decode(&got); err != nil {
			t.Fatal(err)
		}
		delete(got, "train")
		encoded, err := json.Marshal(got)
		if err != nil || string(encoded) != want {
			t.Errorf("%s: got %s, %v; want %s", settings, encoded, err, want)
		}
		if _, err := New().Plan(t.Context(), protocol.Model{Config: encoded}, protocol.Settings{}); err != nil {
			t.Errorf("%s: %v", settings, err)
		}
	}
}

func TestPlan(t *testing.T) {
	for config, want := range map[string]protocol.Estimate{
		`{"order": 3, "tokens": "bytes"}`: {
			BytesPerToken: 1, MemoryBytes: baseMemory, TrainingMemoryPerByte: 10, MemoryPerTrainingByte: 6, Context: protocol.DefaultContext,
		},
		`{"order": 3, "tokens": "words"}`: {MemoryBytes: baseMemory, TrainingMemoryPerByte: 60, MemoryPerTrainingByte: 36, Context: protocol.DefaultContext},
	} {
		got, err := New().Plan(t.Context(), protocol.Model{Config: []byte(config)}, protocol.Settings{})
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", config, got, err, want)
		}
	}
	// The size of a trained model's file determines its memory; its training text adds nothing.
	path := filepath.Join(t.TempDir(), "model")
	model := file(t, `{"order": 3}`, "ab")
	if err := os.WriteFile(path, model, 0o644); err != nil {
		t.Fatal(err)
	}
	trained := protocol.Model{Config: []byte(`{"order": 3}`), Files: []protocol.ModelFile{{Path: path}}}
	want := protocol.Estimate{
		// The n-grams are: the beginning, a, b, the end; begin a, a b, b end; begin a b, a b end.
		Parameters: 9, BytesPerToken: 1, MemoryBytes: baseMemory + int64(len(model))*memoryPerFileByte, TrainingMemoryPerByte: 10,
		Context: 64,
	}
	if got, err := New().Plan(t.Context(), trained, protocol.Settings{Context: 64}); err != nil || got != want {
		t.Errorf("a trained model: %+v, %v; want %+v", got, err, want)
	}
	if _, err := New().Plan(t.Context(), protocol.Model{Config: []byte(`{}`)}, protocol.Settings{Stride: -1}); protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("a negative stride: %v", err)
	}
}

func TestLoad(t *testing.T) {
	good := file(t, `{"order": 3}`, "some text")
	words := file(t, `{"order": 3, "tokens": "words"}`, "some text, some words")
	for name, test := range map[string]struct {
		config, want string
		file         []byte
	}{
		"a good file":        {`{"order": 3}`, "", good},
		"words":              {`{"order": 3, "tokens": "words"}`, "", words},
		"another order":      {`{"order": 4}`, `trained with order 3 and tokens "bytes", not order 4 and tokens "bytes"`, good},
		"other tokens":       {`{"order": 3}`, `trained with order 3 and tokens "words", not order 3`, words},
		"empty":              {`{"order": 3}`, "not an n-gram model file", nil},
		"another format":     {`{"order": 3}`, "not an n-gram model file", bytes.Repeat([]byte("text "), 100)},
		"another version":    {`{"order": 3}`, "version 9; this program reads version 1", patched(good, len(fileMagic), 9)},
		"truncated":          {`{"order": 3}`, "corrupt or truncated", good[:len(good)-1]},
		"a bit flipped":      {`{"order": 3}`, "corrupt or truncated", patched(good, len(good)/2, good[len(good)/2]^1)},
		"more at the end":    {`{"order": 3}`, "corrupt or truncated", append(slices.Clone(good), 0)},
		"sealed, more":       {`{"order": 3}`, "1 bytes of trailing data", sealed(append(slices.Clone(unsealed(good)), 0))},
		"sealed, less":       {`{"order": 3}`, "unexpected end of data", sealed(unsealed(good)[:len(unsealed(good))-1])},
		"unknown tokens":     {`{"order": 3}`, "unknown tokenization 7", sealed(patched(unsealed(good), len(fileMagic)+1, 7))},
		"too many words":     {`{"order": 3}`, "number of words is out of range", sealed(append(unsealed(words)[:18:18], 200))},
		"a word too long":    {`{"order": 3}`, "word 0 of 1 is out of range", sealed(append(unsealed(words)[:18:18], 1, 9, 'a'))},
		"words out of order": {`{"order": 3}`, `word 1, "a", is not after "b"`, sealed(append(unsealed(words)[:18:18], 2, 1, 'b', 1, 'a'))},
		"a word twice":       {`{"order": 3}`, `word 1, "a", is not after "a"`, sealed(append(unsealed(words)[:18:18], 2, 1, 'a', 1, 'a'))},
		"an unknown setting": {`{"ordr": 3}`, `unknown field "ordr"`, good},
		"an order too high":  {`{"order": 11}`, "order 11; it must be between 1 and 10", good},
		"unknown settings":   {`{"order": 3, "tokens": "bpe"}`, `tokens "bpe"; use "bytes" or "words"`, good},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "model")
			if err := os.WriteFile(path, test.file, 0o644); err != nil {
				t.Fatal(err)
			}
			m, err := New().Load(t.Context(), protocol.Model{
				Config: []byte(test.config),
				Files:  []protocol.ModelFile{{Name: "model", Path: path}},
			})
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) || protocol.KindOf(err) != protocol.InvalidInput {
					t.Fatalf("got %v, want %q", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := m.Describe(); d.VocabularySize < bytesVocabulary || d.ContextLimit != 0 || d.Device != "cpu" || d.Dtype != "float64" {
				t.Fatalf("%+v", d)
			}
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
	missing := []protocol.ModelFile{{Name: "model", Path: filepath.Join(t.TempDir(), "none")}}
	for want, files := range map[string][]protocol.ModelFile{"does not exist": missing, "got 0 files": nil} {
		_, err := New().Load(t.Context(), protocol.Model{Config: []byte(`{}`), Files: files})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func patched(data []byte, at int, to byte) []byte {
	data = slices.Clone(data)
	data[at] = to
	return data
}

// sealed adds the checksum that unsealed removes.
func sealed(content []byte) []byte {
	sum := sha256.Sum256(content)
	return append(slices.Clone(content), sum[:]...)
}

func unsealed(file []byte) []byte { return file[:len(file)-sha256.Size] }

// No content makes the reader panic or allocate disproportionately; accepted content is a valid model.
func FuzzLoad(f *testing.F) {
	for _, config := range []string{`{"order": 1}`, `{"order": 3}`, `{"order": 2, "tokens": "words"}`} {
		content := unsealed(file(f, config, "some text, some words", "some more text"))
		f.Add(content)
		f.Add(content[:len(content)/2])
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if _, err := readFile(content); err == nil {
			return // sealed already
		}
		l, err := readFile(sealed(content))
		if err != nil {
			return
		}
		h := l.begin()
		ids, _ := l.tokenize("some text\xff", nil, nil)
		for _, id := range append(ids, l.end()) {
			sum := 0.0
			for other := range l.vocabulary() {
				nll, _ := l.step(h, int32(other))
				sum += math.Exp(-nll)
			}
			if math.Abs(sum-1) > 1e-9 {
				t.Fatalf("probabilities sum to 1%+g", sum-1)
			}
			_, h = l.step(h, id)
		}
	})
}

func TestTrainRefuses(t *testing.T) {
	broken := errors.New("broken")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx       context.Context
		config    string
		documents iter.Seq2[protocol.Document, error]
		want      string
	}{
		"no documents":       {t.Context(), `{}`, documents(), "no documents"},
		"a broken stream":    {t.Context(), `{}`, failing(broken), "broken"},
		"a stop":             {canceled, `{"tokens": "words"}`, documents("a"), "context canceled"},
		"an unknown setting": {t.Context(), `{"smoothing": 1}`, documents("a"), "smoothing"},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			err := (backend{}).Train(test.ctx, protocol.Model{Config: []byte(test.config)}, test.documents, &b)
			if err == nil || !strings.Contains(err.Error(), test.want) || b.Len() > 0 {
				t.Fatalf("got %v and %d bytes, want %q", err, b.Len(), test.want)
			}
		})
	}
}

func failing(err error) iter.Seq2[protocol.Document, error] {
	return func(yield func(protocol.Document, error) bool) { yield(protocol.Document{}, err) }
}

// always yields the same documents whatever the context.
func always(documents iter.Seq2[protocol.Document, error]) sdk.Documents {
	return func(context.Context) iter.Seq2[protocol.Document, error] { return documents }
}

// patient is a context that is canceled after a number of checks.
type patient struct {
	context.Context
	asks int
}

func (p *patient) Err() error {
	if p.asks--; p.asks < 0 {
		return context.Canceled
	}
	return nil
}

// Scoring a long document can be canceled in its middle, and training between two documents.
func TestStopsWithin(t *testing.T) {
	m := trained(t, `{"order": 2}`, "some text")
	long := strings.Repeat("a", 3*checkEvery)
	for asks, want := range map[int]error{0: context.Canceled, 1: context.Canceled, 2: context.Canceled, 3: context.Canceled, 9: nil} {
		scored := 0
		err := m.Score(&patient{t.Context(), asks}, protocol.Settings{Context: 1 << 20, Stride: 1 << 19}, always(documents(long)),
			func(protocol.ScoredDocument) error { scored++; return nil })
		if !errors.Is(err, want) || (err == nil) != (want == nil) || (scored == 1) != (want == nil) {
			t.Errorf("asked %d times: %v after %d documents", asks, err, scored)
		}
	}
	for asks, want := range map[int]error{1: context.Canceled, 2: nil} {
		err := (backend{}).Train(&patient{t.Context(), asks}, protocol.Model{Config: []byte(`{}`)}, documents("a", "b"), io.Discard)
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("training, asked %d times: %v", asks, err)
		}
	}
}

// fullDisk accepts a number of writes.
type fullDisk struct{ writes int }

var errFull = errors.New("disk full")

func (d *fullDisk) Write(b []byte) (int, error) {
	if d.writes--; d.writes < 0 {
		return 0, errFull
	}
	return len(b), nil
}

// An incompletely written model file is an error, whichever part is missing.
func TestFullDisk(t *testing.T) {
	for _, config := range []string{`{}`, `{"tokens": "words"}`} {
		for writes, want := range map[int]error{0: errFull, 1: errFull, 2: nil} { // the content, and its checksum
			err := (backend{}).Train(t.Context(), protocol.Model{Config: []byte(config)}, documents("some text"), &fullDisk{writes})
			if !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("%s: a disk that takes %d writes: %v", config, writes, err)
			}
		}
	}
}

// The description of a loaded model, and errors for invalid files.
func TestLoaded(t *testing.T) {
	for _, test := range []struct {
		config string
		size   int64
	}{{`{"order": 2}`, bytesVocabulary}, {`{"order": 2, "tokens": "words"}`, firstWord + 2}} {
		path := filepath.Join(t.TempDir(), "model")
		if err := os.WriteFile(path, file(t, test.config, "red green blue", " green blue grey", "x"), 0o600); err != nil {
			t.Fatal(err)
		}
		files := []protocol.ModelFile{{Path: path}}
		m, err := New().Load(t.Context(), protocol.Model{Config: []byte(test.config), Files: files})
		if err != nil {
			t.Fatal(err)
		}
		want := protocol.LoadedModel{VocabularySize: test.size, Device: "cpu", Dtype: "float64", Computed: map[string]string{"device": "cpu", "architecture": runtime.GOARCH}}
		if diff := cmp.Diff(want, m.Describe()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.config, diff)
		}
		_, err = New().Load(t.Context(), protocol.Model{Config: []byte(test.config), Files: slices.Repeat(files, 2)})
		if err == nil || !strings.Contains(err.Error(), "got 2 files") {
			t.Errorf("two files: %v", err)
		}
	}
	// An unreadable file may become readable: this is not a fault of the configuration.
	_, err := New().Load(t.Context(), protocol.Model{Config: []byte(`{}`), Files: []protocol.ModelFile{{Path: t.TempDir()}}})
	if err == nil || !strings.HasPrefix(err.Error(), "read model file: ") || protocol.KindOf(err) != "" {
		t.Errorf("a directory: %v of kind %q", err, protocol.KindOf(err))
	}
	for config, want := range map[string]string{`{"order": 0}`: "order 0; it must be between 1 and 10", `{"order": -1}`: "order -1", `[]`: "ngram: configuration []: ", `{"tokens": ""}`: `tokens ""`} {
		if _, err := New().Plan(t.Context(), protocol.Model{Config: []byte(config)}, protocol.Settings{}); err == nil || !strings.Contains(err.Error(), want) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s: %v", config, err)
		}
	}
	for _, order := range []int{1, kneserney.MaxOrder} {
		if _, err := New().Plan(t.Context(), protocol.Model{Config: fmt.Appendf(nil, `{"order": %d}`, order)}, protocol.Settings{}); err != nil {
			t.Errorf("order %d: %v", order, err)
		}
	}
}

// Every order has a separate estimate, and higher orders need more.
func TestEstimatesGrow(t *testing.T) {
	for tokens, table := range trainingMemory {
		if table[0] != 0 {
			t.Errorf("%s: order 0 takes %v", tokens, table[0])
		}
		for order := 1; order <= kneserney.MaxOrder; order++ {
			e, err := New().Plan(t.Context(), protocol.Model{Config: fmt.Appendf(nil, `{"order": %d, "tokens": %q}`, order, tokens)}, protocol.Settings{})
			if err != nil || e.TrainingMemoryPerByte <= table[order-1] || e.MemoryPerTrainingByte != loadedShare*e.TrainingMemoryPerByte {
				t.Errorf("%s of order %d: %+v, %v; order %d takes %v", tokens, order, e, err, order-1, table[order-1])
			}
		}
	}
}

func TestScoreRefuses(t *testing.T) {
	m := trained(t, `{}`, "some text")
	broken, unwanted := errors.New("broken"), errors.New("unwanted")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	drop := func(protocol.ScoredDocument) error { return nil }
	for name, test := range map[string]struct {
		got, want error
	}{
		"a broken stream": {m.Score(t.Context(), protocol.Settings{}, always(failing(broken)), drop), broken},
		"a stop":          {m.Score(canceled, protocol.Settings{}, always(documents("a")), drop), context.Canceled},
		"a failed emit": {m.Score(t.Context(), protocol.Settings{}, always(documents("a")), func(protocol.ScoredDocument) error {
			return unwanted
		}), unwanted},
	} {
		if !errors.Is(test.got, test.want) {
			t.Errorf("%s: got %v, want %v", name, test.got, test.want)
		}
	}
	if err := m.Score(t.Context(), protocol.Settings{Prefix: "eos"}, always(documents("a")), drop); protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("an unknown prefix: %v", err)
	}
}
