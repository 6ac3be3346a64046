package tokenizer

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"surprisal.dev/plugins/protocol"
)

// lowLine is the character that SentencePiece writes for a space.
const lowLine = '▁'

// vocabulary maps the tokens of a tokenizer to their content.
type vocabulary struct {
	// pieces[id] is the bytes of the token id, nil for none. If lowLine represents a space, they contain the space.
	pieces [][]byte
	// added[id] is true if the token is found in the text before the model sees it.
	added []bool
	// lowLine is true if the model receives lowLine in the text as a space.
	lowLine bool
	// drops is true if the model omits text for which it has no token; bytes is true if it does so by bytes, not by
	// characters.
	drops, bytes bool
	// hasByte and hasRune are the bytes and characters that are tokens by themselves.
	hasByte [256]bool
	hasRune map[rune]bool
	// hasFallback are the bytes that represent a character without a token.
	hasFallback [256]bool
}

// token is a token as the engine lists it.
type token struct {
	id      int32
	content string
	added   bool
}

// settings are the required parts of a tokenizer.json other than its vocabulary.
type settings struct {
	Normalizer    any `json:"normalizer"`
	PreTokenizer  any `json:"pre_tokenizer"`
	PostProcessor any `json:"post_processor"`
	Decoder       any `json:"decoder"`
	Model         struct {
		Type         string  `json:"type"`
		UnknownToken *string `json:"unk_token"`
		Prefix       string  `json:"continuing_subword_prefix"`
		Suffix       string  `json:"end_of_word_suffix"`
		ByteFallback bool    `json:"byte_fallback"`
		// Older files indicate the model's type by it.
		Merges json.RawMessage `json:"merges"`
	} `json:"model"`
}

// CheckJSON returns an error if FromJSON cannot parse the tokenizer.json. It does not start the engine, which may find
// other errors.
func CheckJSON(data []byte) error {
	_, err := parseSettings(data)
	return err
}

func parseSettings(data []byte) (settings, error) {
	var s settings
	if err := json.Unmarshal(data, &s); err != nil {
		return s, &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf("this is not a tokenizer.json: %v", err)}
	}
	return s, nil
}

// mentions reports whether a string inside value satisfies the condition.
func mentions(value any, condition func(string) bool) bool {
	switch value := value.(type) {
	case string:
		return condition(value)
	case []any:
		for _, v := range value {
			if mentions(v, condition) {
				return true
			}
		}
	case map[string]any:
		for _, v := range value {
			if mentions(v, condition) {
				return true
			}
		}
	}
	return false
}

func newVocabulary(s settings, tokens []token) *vocabulary {
	steps := []any{s.Normalizer, s.PreTokenizer}
	byteLevel := mentions(steps, func(text string) bool { return text == "ByteLevel" })
	v := &vocabulary{
		lowLine: !byteLevel && mentions(steps, func(text string) bool {
			return text == "Metaspace" || strings.ContainsRune(text, lowLine)
		}),
		drops:   (s.Model.Type == "BPE" || s.Model.Type == "" && len(s.Model.Merges) > 0) && s.Model.UnknownToken == nil && s.Model.Prefix == "" && s.Model.Suffix == "",
		bytes:   byteLevel,
		hasRune: map[rune]bool{},
	}
	var size int32
	bytes := 0
	for _, t := range tokens {
		size = max(size, t.id+1)
		bytes += len(t.content)
	}
	v.pieces = make([][]byte, size)
	v.added = make([]bool, size)
	alphabet := byteAlphabet()
	// No piece is longer than its content. All share one array, since there are hundreds of thousands.
	all := make([]byte, 0, bytes)
	for _, t := range tokens {
		v.added[t.id] = t.added
		start := len(all)
		all = v.piece(all, t, s.Model.ByteFallback, alphabet)
		v.pieces[t.id] = all[start:len(all):len(all)]
	}
	return v
}

// piece appends the content of the token, and records the bytes and characters that are tokens.
func (v *vocabulary) piece(to []byte, t token, byteFallback bool, alphabet map[rune]byte) []byte {
	r, size := utf8.DecodeRuneInString(t.content)
	single := size > 0 && size == len(t.content)
	if single {
		v.hasRune[r] = true
	}
	if byteFallback && len(t.content) == len("<0x00>") && strings.HasPrefix(t.content, "<0x") {
		if b, err := strconv.ParseUint(t.content[3:5], 16, 8); err == nil {
			v.hasFallback[b] = true
			return append(to, byte(b))
		}
	}
	start := len(to)
	if v.bytes && !t.added {
		for _, r := range t.content {
			b, ok := alphabet[r]
			if !ok {
				return append(to[:start], t.content...)
			}
			to = append(to, b)
		}
		if single {
			v.hasByte[to[start]] = true
		}
		return to
	}
	if v.lowLine {
		for rest := t.content; ; {
			before, after, found := strings.Cut(rest, string(lowLine))
			to = append(to, before...)
			if !found {
				return to
			}
			to, rest = append(to, ' '), after
		}
	}
	return append(to, t.content...)
}

// byteAlphabet returns the bytes by the characters that byte-level vocabularies write for them: printable characters of
// Latin-1 represent themselves; the other bytes are, in order, the characters from U+0100 onward.
func byteAlphabet() map[rune]byte {
	alphabet := make(map[rune]byte, 256)
	next := rune(0x100)
	for b := range rune(0x100) {
		r := b
		if b <= ' ' || b >= 0x7f && b <= 0xa0 || b == 0xad {
			r = next
			next++
		}
		alphabet[r] = byte(b)
	}
	return alphabet
}

// dropped returns how many bytes at the beginning of text the model omits because it has no token for them.
func (v *vocabulary) dropped(text []byte) int {
	switch {
	case !v.drops || len(text) == 0:
		return 0
	case v.bytes:
		if v.hasByte[text[0]] {
			return 0
		}
		return 1
	}
	r, size := utf8.DecodeRune(text)
	if v.lowLine && r == ' ' {
		r = lowLine
	}
	if v.hasRune[r] {
		return 0
	}
	for _, b := range []byte(string(r)) {
		if !v.hasFallback[b] {
			return size
		}
	}
	return 0
}

// text returns the bytes of a token, nil for an id without a token.
func (v *vocabulary) text(id int32) []byte {
	if int(id) >= len(v.pieces) {
		return nil
	}
	return v.pieces[id]
}
