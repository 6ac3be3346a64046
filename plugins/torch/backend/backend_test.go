//go:build torch

package backend

import (
	"context"
	"encoding/json"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/conformance"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/plugins/torch/tensor"
)

const defaults = `{"dtype": "float32", "device": "cpu", "tensorParallel": 1, "threads": 0, "batchTokens": 2048}`

// tiny is the directory of the golden Llama with a tokenizer of single bytes.
func tiny(t testing.TB) protocol.Model { return golden(t, "llama") }

// golden is the directory of a golden model with a tokenizer of single bytes.
func golden(t testing.TB, family string) protocol.Model {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join("../../../testdata/torch/golden", family, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), data)
	}
	write(t, filepath.Join(dir, "tokenizer.json"), byteTokenizer(t))
	return planned(t, dir, "config.json", "model.safetensors", "tokenizer.json")
}

// planned is a model with files of a directory, as they are.
func planned(t testing.TB, dir string, names ...string) protocol.Model {
	t.Helper()
	m := protocol.Model{Config: json.RawMessage(defaults)}
	for _, name := range names {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m.Files = append(m.Files, protocol.ModelFile{Name: name, Path: path, Digest: protocol.Digest(data)})
	}
	return m
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// byteAlphabet is the alphabet of GPT-2, by byte: printable bytes represent themselves; the others are the characters from
// U+0100 onward.
func byteAlphabet() []string {
	var alphabet []string
	next := rune(0x100)
	for b := range 256 {
		r := rune(b)
		if printed := b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae; !printed {
			r = next
			next++
		}
		alphabet = append(alphabet, string(r))
	}
	return alphabet
}

// byteTokenizer is a tokenizer.json with one token per byte.
func byteTokenizer(t testing.TB) []byte {
	t.Helper()
	vocabulary := map[string]int{}
	for b, content := range byteAlphabet() {
		vocabulary[content] = b
	}
	data, err := json.Marshal(map[string]any{
		"version": "1.0", "added_tokens": []any{}, "normalizer": nil, "post_processor": nil, "truncation": nil, "padding": nil,
		"pre_tokenizer": map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true},
		"decoder":       map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true},
		"model": map[string]any{
			"type": "BPE", "vocab": vocabulary, "merges": []any{}, "dropout": nil, "unk_token": nil, "byte_fallback": false,
			"continuing_subword_prefix": nil, "end_of_word_suffix": nil, "fuse_unk": false,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func opened(t testing.TB, m protocol.Model) sdk.Model {
	t.Helper()
	loaded, err := New().Load(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := loaded.Close(); err != nil {
			t.Error(err)
		}
	})
	return loaded
}

func documents(texts ...string) iter.Seq2[protocol.Document, error] {
	return func(yield func(protocol.Document, error) bool) {
		for i, text := range texts {
			d := protocol.Document{Index: int64(i), Dataset: "d", Shard: "s", Row: int64(i), Text: text, ScoreEnd: int32(len(text))}
			if !yield(d, nil) {
				return
			}
		}
	}
}

// always yields the same documents whatever the context.
func always(documents iter.Seq2[protocol.Document, error]) sdk.Documents {
	return func(context.Context) iter.Seq2[protocol.Document, error] { return documents }
}

func score(t testing.TB, m sdk.Model, s protocol.Settings, texts ...string) []protocol.ScoredDocument {
	t.Helper()
	answers := make([]protocol.ScoredDocument, len(texts))
	err := m.Score(t.Context(), s, always(documents(texts...)), func(a protocol.ScoredDocument) error {
		answers[a.Index] = a
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for d, err := range documents(texts...) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := protocol.Account(d, answers[d.Index], m.Describe()); err != nil {
			t.Error(err)
		}
	}
	return answers
}

// TestConformance runs the program through the suite that every backend must pass.
func TestConformance(t *testing.T) {
	program := filepath.Join(t.TempDir(), "runner-backend-torch")
	build := exec.Command("go", "build", "-tags", "torch", "-buildvcs=false", "-o", program, "../cmd/runner-backend-torch")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	report, err := conformance.Run(t.Context(), []string{program}, protocol.KindBackend,
		conformance.Case{
			Name: "tiny llama", Model: tiny(t), LargeBytes: 1 << 18,
			Neutral: json.RawMessage(strings.NewReplacer(`"threads": 0`, `"threads": 1`, "2048", "100").Replace(defaults)),
		})
	if err != nil {
		t.Fatal(err)
	}
	if !report.Passed() || slices.ContainsFunc(report.Checks, func(c conformance.Check) bool { return c.Outcome == conformance.NotRun }) {
		var b strings.Builder
		_, err := report.WriteTo(&b)
		t.Errorf("%v\n%s", err, b.String())
	}
}

// batchTolerance is the maximum difference in nats between a token's losses in different batches.
func batchTolerance(dtype string) float64 {
	if tensor.IndependentRows() {
		return 0
	}
	return map[string]float64{"float32": 1e-5, "bfloat16": 0.1}[dtype]
}

// TestBatchInvariance checks that the losses of a document depend neither on the other documents, nor on their order,
// the size of batches or the number of threads.
func TestBatchInvariance(t *testing.T) {
	texts := []string{"", "a", "The train was late.", strings.Repeat("It snowed for three days. ", 20), "❄️ 🚂", "\x00\n\n\t", "x y z"}
	for _, dtype := range []string{"float32", "bfloat16"} {
		m := tiny(t)
		m.Config = json.RawMessage(strings.Replace(defaults, "float32", dtype, 1))
		tolerance := batchTolerance(dtype)
		settings := protocol.Settings{Context: 64, Stride: 32}
		want := score(t, opened(t, m), settings, texts...)
		worst := 0.0
		compare := func(what string, i int, got protocol.ScoredDocument) {
			for j, nll := range want[i].TokenNLL {
				d := math.Abs(nll - got.TokenNLL[j])
				if worst = max(worst, d); d > tolerance {
					t.Errorf("%s, %s: token %d of %q: %v, then %v", dtype, what, j, texts[i], nll, got.TokenNLL[j])
				}
			}
		}
		small := m
		small.Config = json.RawMessage(strings.NewReplacer("2048", "7", `"threads": 0`, `"threads": 1`).Replace(string(m.Config)))
		narrow := opened(t, small)
		for i, text := range texts {
			compare("alone", i, score(t, narrow, settings, text)[0])
		}
		reversed := slices.Clone(texts)
		slices.Reverse(reversed)
		for i, got := range score(t, narrow, settings, reversed...) {
			compare("reversed", len(texts)-1-i, got)
		}
		t.Logf("%s: losses differ by %g nats at most", dtype, worst)
	}
}

// TestPrefix checks which token precedes a document's first token.
func TestPrefix(t *testing.T) {
	m := opened(t, tiny(t))
	text := strings.Repeat("The train was late because it snowed. ", 5)
	settings := func(prefix string) protocol.Settings {
		return protocol.Settings{Prefix: prefix, Context: 64, Stride: 32, EOS: true}
	}
	none := score(t, m, settings(protocol.PrefixNone), text)[0]
	first := score(t, m, settings(protocol.PrefixFirst), text)[0]
	all := score(t, m, settings(protocol.PrefixBOS), text)[0]
	if len(none.Unscored) != 1 || none.Unscored[0] != (protocol.Unscored{Start: 0, End: 1, Reason: protocol.ReasonNoContext}) || none.TokenNLL[0] != 0 {
		t.Errorf("without a prefix: %+v, first loss %v", none.Unscored, none.TokenNLL[0])
	}
	if len(all.Unscored)+len(first.Unscored) != 0 || all.TokenNLL[0] == 0 || all.TokenNLL[0] != first.TokenNLL[0] {
		t.Errorf("first losses %v and %v", all.TokenNLL[0], first.TokenNLL[0])
	}
	last := len(text) - 1
	if all.TokenNLL[last] == first.TokenNLL[last] || math.Abs(first.TokenNLL[last]-none.TokenNLL[last]) > 1e-5 {
		t.Errorf("losses in the last window: %v with a prefix, %v and %v without", all.TokenNLL[last], first.TokenNLL[last], none.TokenNLL[last])
	}
	if none.EOSNLL == 0 || all.EOSNLL == 0 {
		t.Errorf("losses of the end of the text: %v and %v", none.EOSNLL, all.EOSNLL)
	}
}

// TestUnscoredEnd checks that the answer for an empty text says that its end-of-text token has no loss without a prefix.
func TestUnscoredEnd(t *testing.T) {
	m := opened(t, tiny(t))
	for _, test := range []struct {
		prefix string
		want   []protocol.Unscored
	}{
		{protocol.PrefixNone, []protocol.Unscored{{Start: 0, End: 0, Reason: protocol.ReasonNoContext}}},
		{protocol.PrefixFirst, nil},
	} {
		a := score(t, m, protocol.Settings{Prefix: test.prefix, Context: 64, Stride: 32, EOS: true}, "")[0]
		if !slices.Equal(a.Unscored, test.want) || (a.EOSNLL == 0) != (len(test.want) > 0) {
			t.Errorf("prefix %q: unscored %v, loss %v", test.prefix, a.Unscored, a.EOSNLL)
		}
	}
}

// TestArithmetic checks what a score records of the device and the ranks: in bfloat16 in its scoring protocol, and in every
// type as information.
func TestArithmetic(t *testing.T) {
	for _, test := range []struct{ dtype, ranks, want string }{
		{"float32", "1", ""}, {"float32", "2", ""}, {"bfloat16", "1", "cpu, ranks: 1"}, {"bfloat16", "2", "cpu, ranks: 2"},
	} {
		m := tiny(t)
		m.Config = json.RawMessage(strings.NewReplacer("float32", test.dtype, `"tensorParallel": 1`, `"tensorParallel": `+test.ranks).Replace(defaults))
		d := opened(t, m).Describe()
		if d.Arithmetic != test.want || d.Computed["ranks"] != test.ranks || d.Computed["device"] != "cpu" {
			t.Errorf("%s, ranks %s: %q, computed %v", test.dtype, test.ranks, d.Arithmetic, d.Computed)
		}
	}
}

// TestBatches checks that the answers of a batch are sent before the next one is computed on the same threads, so that a
// crash costs at most what is being computed.
func TestBatches(t *testing.T) {
	m := tiny(t)
	m.Config = json.RawMessage(strings.NewReplacer("2048", "100", `"threads": 0`, `"threads": 1`).Replace(defaults))
	loaded := opened(t, m)
	var texts []string
	for i := range 60 {
		texts = append(texts, varied(1+i*7%59, uint64(i)))
	}
	batches, computed, answered := 0, 0, 0
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, JSONFormat: true, Output: writerFunc(func(line []byte) (int, error) {
		var batch struct{ Tokens int }
		if err := json.Unmarshal(line, &batch); err != nil {
			t.Errorf("log line %s: %v", line, err)
		}
		if computed != answered {
			t.Errorf("%d tokens are computed and %d answered when a batch of %d is done", computed, answered, batch.Tokens)
		}
		batches, computed = batches+1, computed+batch.Tokens
		return len(line), nil
	})})
	err := loaded.Score(hclog.WithContext(t.Context(), log), protocol.Settings{}, always(documents(texts...)), func(a protocol.ScoredDocument) error {
		answered += len(a.TokenIDs) // as many as are read: the last token is not, and a prefix is
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if computed != answered || batches < 15 {
		t.Errorf("%d tokens in %d batches, %d answered", computed, batches, answered)
	}
}

// varied returns a text of n letters, whose parts begin in different ways.
func varied(n int, seed uint64) string {
	random := rand.New(rand.NewPCG(seed, 1))
	text := make([]byte, n)
	for i := range text {
		text[i] = 'a' + byte(random.IntN(26))
	}
	return string(text)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(data []byte) (int, error) { return f(data) }
