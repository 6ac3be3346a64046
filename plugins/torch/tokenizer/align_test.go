package tokenizer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Settings of tokenizers, in the form of their files.
const (
	byteLevel     = `{"pre_tokenizer": {"type": "ByteLevel"}, "model": {"type": "BPE"}}`
	sentencePiece = `{"normalizer": {"type": "Replace", "content": "▁"}, "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": true}}`
	characters    = `{"model": {"type": "BPE"}}`
	metaspace     = `{"pre_tokenizer": {"type": "Metaspace"}, "model": {"type": "BPE"}}`
)

// vocabularyOf numbers the contents from 0; a + before one makes it an added token.
func vocabularyOf(t testing.TB, file string, contents ...string) *vocabulary {
	t.Helper()
	tokens := make([]token, len(contents))
	for i, content := range contents {
		content, added := strings.CutPrefix(content, "+")
		tokens[i] = token{int32(i), content, added}
	}
	return vocabularyFrom(t, file, tokens)
}

func vocabularyFrom(t testing.TB, file string, tokens []token) *vocabulary {
	t.Helper()
	s, err := parseSettings([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return newVocabulary(s, tokens)
}

// tiles reports where the ranges of an encoding do not tile its text in order.
func tiles(text []byte, e Encoding) error {
	if len(e.Starts) != len(e.IDs) || len(e.Ends) != len(e.IDs) {
		return fmt.Errorf("%d ids, %d starts, %d ends", len(e.IDs), len(e.Starts), len(e.Ends))
	}
	at, unscored := int32(0), e.Unscored
	skip := func(to int32) {
		for len(unscored) > 0 && unscored[0].Start == at && at < to {
			at = unscored[0].End
			unscored = unscored[1:]
		}
	}
	for i := range e.IDs {
		skip(e.Starts[i])
		if e.Starts[i] != at || e.Ends[i] < at {
			return fmt.Errorf("token %d is [%d, %d), and the bytes before %d are taken", i, e.Starts[i], e.Ends[i], at)
		}
		at = e.Ends[i]
	}
	skip(int32(len(text)))
	if int(at) != len(text) || len(unscored) > 0 {
		return fmt.Errorf("the ranges end at %d of %d bytes; unscored left: %v", at, len(text), unscored)
	}
	return nil
}

func TestAlign(t *testing.T) {
	for _, c := range []struct {
		name, file string
		tokens     []string
		text       string
		// ids and the engine's ranges.
		engine [][3]int32
		// want is the bytes of each token, quoted, unscored ones in brackets.
		want    string
		inexact int
	}{
		{"words with their spaces", byteLevel, []string{"Hi", "Ġyou"}, "Hi you", [][3]int32{{0, 0, 2}, {1, 2, 6}}, `"Hi" " you"`, 0},
		{"halves of a character, which the engine gives the whole", byteLevel, []string{"ðŁ", "ĳį"}, "👍", [][3]int32{{0, 0, 4}, {1, 0, 4}},
			`"\xf0\x9f" "\x91\x8d"`, 0},
		{"a byte without a token shifts the engine's ranges", byteLevel, []string{"a", "b"}, "a\x04b", [][3]int32{{0, 0, 1}, {1, 1, 2}},
			`"a" ["\x04"] "b"`, 0},
		{"bytes without a token at both ends", byteLevel, []string{"a"}, "\x04\x06a\x04", [][3]int32{{0, 0, 1}}, `["\x04\x06"] "a" ["\x04"]`, 0},
		{"nothing but bytes without a token", byteLevel, []string{"a"}, "\x04", nil, `["\x04"]`, 0},
		{"a token over a byte without one", byteLevel, []string{"!", "!!"}, "!\x04!", [][3]int32{{1, 0, 2}}, `"!\x04!"`, 1},
		{"a space that the tokenizer put before the text", sentencePiece, []string{"<unk>", "▁", "▁Hi"}, "Hi", [][3]int32{{2, 0, 2}}, `"Hi"`, 0},
		{"the same as a separate token", sentencePiece, []string{"<unk>", "▁", "x"}, "x", [][3]int32{{1, 0, 1}, {2, 0, 1}}, `"" "x"`, 0},
		{"a low line of the text's own", sentencePiece, []string{"<unk>", "▁", "a", "▁a"}, "a▁a a", [][3]int32{{2, 0, 1}, {3, 1, 5}, {3, 5, 7}},
			`"a" "\u2581a" " a"`, 0},
		{"bytes that stand in for a character", sentencePiece, []string{"<unk>", "<0xC3>", "<0xA9>"}, "é", [][3]int32{{1, 0, 2}, {2, 0, 2}},
			`"\xc3" "\xa9"`, 0},
		{"an unknown character keeps the engine's range", sentencePiece, []string{"<unk>", "a"}, "aéa", [][3]int32{{1, 0, 1}, {0, 1, 3}, {1, 3, 4}},
			`"a" "\u00e9" "a"`, 0},
		{"an added token between words, with white space around it", byteLevel, []string{"a", "+<s>"}, "a <s> a", [][3]int32{{0, 0, 1}, {1, 1, 6}, {0, 6, 7}},
			`"a" " <s> " "a"`, 0},
		{"a composed character, in one token", byteLevel, []string{"cafÃ©", "!"}, "cafe\u0301!", [][3]int32{{0, 0, 6}, {1, 6, 7}},
			`"cafe\u0301" "!"`, 0},
		{"a composed character, in two: the first has it", byteLevel, []string{"Ã", "©", "!"}, "e\u0301!", [][3]int32{{0, 0, 3}, {1, 0, 3}, {2, 3, 4}},
			`"e\u0301" "" "!"`, 2},
		{"text that the normalizer took away goes to the token before", byteLevel, []string{"a", "ĠA", "Ġ"}, "a   A", [][3]int32{{0, 0, 1}, {1, 3, 5}},
			`"a  " " A"`, 0},
		{"or after, where none is before", byteLevel, []string{"a", "Ġ"}, "  a", [][3]int32{{0, 2, 3}}, `"  a"`, 0},
		{"characters that the normalizer took away stay whole", characters, []string{"a", "é", "b"}, "aéb", [][3]int32{{0, 0, 1}, {2, 3, 4}},
			`"a\u00e9" "b"`, 0},
		{"a space that the normalizer took away, of a vocabulary that writes it as a low line", metaspace, []string{"▁", "a", "b"}, "a b",
			[][3]int32{{1, 0, 1}, {2, 2, 3}}, `"a " "b"`, 0},
		{"an added token whose range has text after it", byteLevel, []string{"+<s>", "x"}, "<s>x", [][3]int32{{0, 0, 4}, {1, 3, 4}}, `"<s>" "x"`, 0},
		{"unscored bytes on both sides of an empty token", byteLevel, []string{"a"}, "\x04\x06", [][3]int32{{0, 1, 1}}, `["\x04"] "" ["\x06"]`, 0},
		{"unscored bytes before tokens that cannot be laid", byteLevel, []string{"x", "y", "z"}, "\x04\x06zz", [][3]int32{{0, 1, 4}, {1, 1, 4}},
			`["\x04"] "\x06zz" ""`, 2},
		{"a character without a token", characters, []string{"a", "b"}, "aéb", [][3]int32{{0, 0, 1}, {1, 1, 2}}, `"a" ["\u00e9"] "b"`, 0},
		{"an empty text", byteLevel, []string{"a"}, "", nil, ``, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ids, starts, ends []int32
			for _, e := range c.engine {
				ids, starts, ends = append(ids, e[0]), append(starts, e[1]), append(ends, e[2])
			}
			e := vocabularyOf(t, c.file, c.tokens...).align([]byte(c.text), ids, starts, ends)
			if err := tiles([]byte(c.text), e); err != nil {
				t.Fatal(err)
			}
			var parts []string
			unscored := e.Unscored
			list := func(before int32) {
				for len(unscored) > 0 && unscored[0].Start < before {
					parts = append(parts, fmt.Sprintf("[%+q]", c.text[unscored[0].Start:unscored[0].End]))
					unscored = unscored[1:]
				}
			}
			for i := range e.IDs {
				list(e.Starts[i])
				parts = append(parts, fmt.Sprintf("%+q", c.text[e.Starts[i]:e.Ends[i]]))
			}
			list(int32(len(c.text)) + 1)
			if got := strings.Join(parts, " "); got != c.want || e.Inexact != c.inexact {
				t.Errorf("got  %s, %d inexact\nwant %s, %d inexact", got, e.Inexact, c.want, c.inexact)
			}
		})
	}
}

// FuzzAlign cuts a text at random, removes bytes and moves the engine's ranges. In every case, ranges tile the text,
// and tokens that are aligned with their own bytes are exact, whatever the engine's ranges are.
func FuzzAlign(f *testing.F) {
	f.Add("Hello 👍 world", []byte{1, 3, 2, 250, 7}, false)
	f.Add("e\u0301 \x04!\x04 ▁ <s> a", []byte{0, 255, 9, 4}, true)
	f.Add("\n\n\t  x", []byte{}, true)
	f.Add("\u0301 \x04\x04! ▉ <", []byte("é "), false)
	alphabet := map[byte]string{}
	for r, b := range byteAlphabet() {
		alphabet[b] = string(r)
	}
	f.Fuzz(func(t *testing.T, text string, noise []byte, lowLine bool) {
		if !utf8.ValidString(text) || len(text) > 1<<12 {
			return
		}
		at := 0
		next := func() int {
			if len(noise) == 0 {
				return 1
			}
			at++
			return int(noise[at%len(noise)])
		}
		var tokens []token
		add := func(content string) {
			tokens = append(tokens, token{int32(len(tokens)), content, false})
		}
		settings := byteLevel
		if lowLine {
			settings = sentencePiece
			add("▁")
		} else {
			// Bytes below 8 have no token.
			for b := 8; b < 256; b++ {
				add(alphabet[byte(b)])
			}
		}
		dropped := func(r rune) bool { return r < 8 && !lowLine }
		var ids, starts, ends, noisyStarts, noisyEnds []int32
		exact := true
		for start := 0; start < len(text); {
			end := min(start+1+next()%4, len(text))
			for lowLine && !utf8.ValidString(text[start:end]) {
				end++
			}
			part := text[start:end]
			content := strings.ReplaceAll(part, " ", "▁")
			if !lowLine {
				content = ""
				for _, b := range []byte(part) {
					if b >= 8 {
						content += alphabet[b]
					}
				}
			}
			if content != "" {
				ids = append(ids, int32(len(tokens)))
				add(content)
				starts, ends = append(starts, int32(start)), append(ends, int32(end))
				noisyStarts, noisyEnds = append(noisyStarts, int32(start+next()-128)), append(noisyEnds, int32(end+next()-128))
				// A token that covers a byte without a token is not exact.
				exact = exact && !strings.ContainsFunc(strings.TrimFunc(part, dropped), dropped)
			}
			start = end
		}
		v := vocabularyFrom(t, settings, tokens)
		for _, ranges := range [][2][]int32{{starts, ends}, {noisyStarts, noisyEnds}} {
			e := v.align([]byte(text), ids, ranges[0], ranges[1])
			if err := tiles([]byte(text), e); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if exact && e.Inexact > 0 {
				t.Fatalf("%q: %d tokens are inexact", text, e.Inexact)
			}
			for i, id := range ids {
				span := text[e.Starts[i]:e.Ends[i]]
				if lowLine {
					span = strings.ReplaceAll(span, "▁", " ")
				}
				if exact && span != string(v.pieces[id]) {
					t.Fatalf("%q: token %d, %q, has the bytes %q", text, i, v.pieces[id], span)
				}
			}
		}
		// Tokens that are unrelated to the text, and invalid ids.
		slices.Reverse(ids)
		if len(ids) > 0 {
			ids[0] = int32(next()) - 9
		}
		if err := tiles([]byte(text), v.align([]byte(text), ids, noisyStarts, noisyEnds)); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
