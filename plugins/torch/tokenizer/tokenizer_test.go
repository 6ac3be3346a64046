//go:build torch

package tokenizer

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"surprisal.dev/plugins/protocol"
)

// small returns a tokenizer of all bytes except those given, with a few words, and <s> before a text.
func small(t *testing.T, without string, change func(file map[string]any)) *Tokenizer {
	t.Helper()
	vocabulary := map[string]int32{"<s>": 0}
	for r, b := range byteAlphabet() {
		if strings.IndexByte(without, b) < 0 {
			vocabulary[string(r)] = int32(b) + 1
		}
	}
	merges := [][2]string{{"l", "o"}, {"w", "o"}, {"Ġ", "wo"}, {"!", "!"}}
	for i, m := range merges {
		vocabulary[m[0]+m[1]] = int32(257 + i)
	}
	file := map[string]any{
		"version": "1.0", "truncation": map[string]any{"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
		"added_tokens": []any{map[string]any{
			"id": 0, "content": "<s>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}},
		"pre_tokenizer": map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
		"post_processor": map[string]any{"type": "TemplateProcessing",
			"single":         []any{map[string]any{"SpecialToken": map[string]any{"id": "<s>", "type_id": 0}}, map[string]any{"Sequence": map[string]any{"id": "A", "type_id": 0}}},
			"pair":           []any{map[string]any{"Sequence": map[string]any{"id": "A", "type_id": 0}}, map[string]any{"Sequence": map[string]any{"id": "B", "type_id": 1}}},
			"special_tokens": map[string]any{"<s>": map[string]any{"id": "<s>", "ids": []int{0}, "tokens": []string{"<s>"}}}},
		"model": map[string]any{"type": "BPE", "dropout": 0.9, "vocab": vocabulary, "merges": merges},
	}
	if change != nil {
		change(file)
	}
	data, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	tokenizer, err := FromJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tokenizer.Close)
	return tokenizer
}

func encode(t *testing.T, tokenizer *Tokenizer, parseSpecial bool, texts ...string) []Encoding {
	t.Helper()
	input := make([][]byte, len(texts))
	for i, text := range texts {
		input[i] = []byte(text)
	}
	encodings, err := tokenizer.Encode(input, parseSpecial)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range encodings {
		if err := tiles(input[i], e); err != nil {
			t.Errorf("%.100q: %v", texts[i], err)
		}
	}
	return encodings
}

func TestEncode(t *testing.T) {
	tokenizer := small(t, "\x04", nil)
	if id, ok := tokenizer.BOS(); id != 0 || !ok {
		t.Errorf("BOS is %d, %v", id, ok)
	}
	if id, ok := tokenizer.EOS(); ok {
		t.Errorf("EOS is %d, and the file has none", id)
	}
	if n := tokenizer.VocabularySize(); n != 261 {
		t.Errorf("%d tokens, not 261", n)
	}
	for _, c := range []struct {
		text         string
		parseSpecial bool
		want         string
	}{
		{"", false, "[] [] []"},
		{"lo wo", false, "[257 259] [0 2] [2 5]"},
		{"a\x00b", false, "[98 1 99] [0 1 2] [1 2 3]"},
		{"é", false, "[196 170] [0 1] [1 2]"},
		{"<s>", false, "[61 116 63] [0 1 2] [1 2 3]"},
		{"<s>lo<s>", true, "[0 257 0] [0 3 5] [3 5 8]"},
		{"!\x04!a", false, "[260 98] [0 3] [3 4]"},
	} {
		e := encode(t, tokenizer, c.parseSpecial, c.text)[0]
		if got := fmt.Sprint(e.IDs, e.Starts, e.Ends); got != c.want {
			t.Errorf("%q, special tokens parsed: %v: %s, want %s", c.text, c.parseSpecial, got, c.want)
		}
	}
	// Older files do not contain the type of their model.
	untyped := small(t, "\x04", func(file map[string]any) { delete(file["model"].(map[string]any), "type") })
	for _, tokenizer := range []*Tokenizer{tokenizer, untyped} {
		e := encode(t, tokenizer, false, "a\x04\x04b\x04")[0]
		if want := []Range{{1, 3}, {4, 5}}; !slices.Equal(e.Unscored, want) {
			t.Errorf("unscored %v, want %v", e.Unscored, want)
		}
	}
	// Pointers to empty arrays must not reach the garbage collector.
	for range 100 {
		if e := encode(t, tokenizer, false, "")[0]; len(e.IDs) != 0 {
			t.Fatalf("no text has the ids %v", e.IDs)
		}
		runtime.GC()
	}
}

// TestEncodeLong checks that long texts are cut and have the same tokens as in one piece.
func TestEncodeLong(t *testing.T) {
	prepend := func(file map[string]any) {
		file["normalizer"] = map[string]any{"type": "Prepend", "prepend": " "}
	}
	words := strings.Repeat("lo  wo\n\n wo 12 lo\twooo, é!! 👍 \x04lo.\n", 3500)
	for _, c := range []struct {
		name, text string
		change     func(map[string]any)
		cut        bool
	}{
		{"words", words, nil, true},
		{"words, each text with a space before", words, prepend, true},
		{"lines, each text with a space before", strings.Repeat("12,345\n12,345 12\n", 12000), prepend, true},
		{"one word", strings.Repeat("wolo", 50000), nil, false},
		{"white space", strings.Repeat(" \n", 50000), nil, false},
		{"lines that begin with characters of several bytes", strings.Repeat("é👍\n", 12000), nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			tokenizer := small(t, "\x04", c.change)
			parts, err := tokenizer.split([]byte(c.text), false)
			if err != nil {
				t.Fatal(err)
			}
			if cut := len(parts) > 1; cut != c.cut {
				t.Errorf("%d parts", len(parts))
			}
			whole, err := tokenizer.call([][]byte{[]byte(c.text)}, false)
			if err != nil {
				t.Fatal(err)
			}
			if e := encode(t, tokenizer, false, c.text)[0]; !slices.Equal(e.IDs, whole[0].ids) {
				t.Errorf("%d parts have %d tokens, the whole has %d", len(parts), len(e.IDs), len(whole[0].ids))
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	for _, file := range []string{``, `{`, `{"model": {"type": "BPE"}}`, `{"version": "1.0", "model": {"type": "Other", "vocab": {}, "merges": []}}`,
		`{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 2147483647}, "merges": []}}`} {
		if _, err := FromJSON([]byte(file)); protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s: %v", file, err)
		}
	}
	tokenizer := small(t, "", nil)
	if _, err := tokenizer.Encode([][]byte{[]byte("a"), []byte("\xff")}, false); err == nil || !strings.Contains(err.Error(), "text 1 is not valid UTF-8") {
		t.Error(err)
	}
	tokenizer.Close()
	if _, err := tokenizer.Encode([][]byte{[]byte("a")}, false); err == nil {
		t.Error("a closed tokenizer encodes")
	}
}

// TestEncodeConcurrently checks that concurrent calls, with special tokens parsed and not, do not disturb each other.
func TestEncodeConcurrently(t *testing.T) {
	tokenizer := small(t, "", nil)
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			want := 3
			if i%2 == 1 {
				want = 1
			}
			for range 50 {
				e, err := tokenizer.Encode([][]byte{[]byte("<s>")}, i%2 == 1)
				if err != nil || len(e[0].IDs) != want {
					t.Errorf("%v, %v", e, err)
					return
				}
			}
		})
	}
	group.Wait()
}

// TestSentencePieceEncode checks ids and ranges of a tokenizer like that of Phi-3: a space before each text, bytes of
// characters without a token, and an added token that takes the white space after it.
func TestSentencePieceEncode(t *testing.T) {
	m := sentencePieceMetadata()
	m["general.architecture"] = "phi3"
	tokens := append(m["tokenizer.ggml.tokens"].([]string), "</s>", "<|user|>")
	types := append(m["tokenizer.ggml.token_type"].([]int32), ggufUserDefined, ggufControl)
	scores := append(m["tokenizer.ggml.scores"].([]float32), -1000, -1000)
	for b := range 256 {
		tokens, types, scores = append(tokens, fmt.Sprintf("<0x%02X>", b)), append(types, ggufByte), append(scores, 0)
	}
	m["tokenizer.ggml.tokens"], m["tokenizer.ggml.token_type"], m["tokenizer.ggml.scores"] = tokens, types, scores
	tokenizer, err := FromGGUF(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tokenizer.Close)
	const firstByte = 12
	for _, c := range []struct {
		text         string
		parseSpecial bool
		want         string
	}{
		{"", false, "[] [] []"},
		{"ab", false, "[7] [0] [2]"},
		{"aab", false, "[6 5] [0 1] [1 3]"},
		{"  ", false, "[8 2] [0 1] [1 2]"},
		{"aé", false, fmt.Sprintf("[6 %d %d] [0 1 2] [1 2 3]", firstByte+0xc3, firstByte+0xa9)},
		{"a</s>  b", false, "[6 10 2 4] [0 1 7 7] [1 7 7 8]"},
		{"a<|user|> b", true, "[6 11 2 4] [0 1 10 10] [1 10 10 11]"},
	} {
		e := encode(t, tokenizer, c.parseSpecial, c.text)[0]
		if got := fmt.Sprint(e.IDs, e.Starts, e.Ends); got != c.want || e.Inexact > 0 {
			t.Errorf("%q: %s, %d inexact, want %s", c.text, got, e.Inexact, c.want)
		}
	}
	if id, ok := tokenizer.BOS(); id != 1 || !ok {
		t.Errorf("BOS is %d, %v", id, ok)
	}
}
