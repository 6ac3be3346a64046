//go:build torch

package tokenizer

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

const (
	// partBytes is about how long a part of a long text is: the engine takes some 230 bytes for each byte that it works on.
	partBytes = 64 << 10
	// contextBytes is how much text on each side of a cut is looked at.
	contextBytes = 256
	// cutTries bounds how many cuts of a kind are tried before the part is made longer by partBytes.
	cutTries = 16
)

// part is the bytes [start, end) of a text, to be encoded alone.
type part struct {
	text, start, end int
}

// split cuts a long text into parts that together have the tokens of the whole. It cuts before a word where the engine
// gives the text around the cut the same tokens in one piece and in two; a text without such a place is not cut. Where
// the tokenizer puts a space before each text, a part begins after the space.
func (t *Tokenizer) split(text []byte, parseSpecial bool) ([]part, error) {
	var parts []part
	start := 0
	for from := partBytes; from < len(text); {
		end, next, err := t.cut(text, from, parseSpecial)
		if err != nil {
			return nil, err
		}
		if end < 0 {
			from += partBytes
			continue
		}
		parts = append(parts, part{start: start, end: end})
		start, from = next, next+partBytes
	}
	return append(parts, part{start: start, end: len(text)}), nil
}

// cut returns where, in the partBytes from byte from on, one part can end and the next begin; -1 for nowhere.
func (t *Tokenizer) cut(text []byte, from int, parseSpecial bool) (end, next int, err error) {
	tries := map[bool]int{} // of spaces, and of what begins a line, where some tokenizers always begin another word
	for at := from; at+1 < min(from+partBytes, len(text)); at++ {
		space := text[at] == ' '
		if tries[space] == cutTries || !cuttable(text[at-1], text[at], text[at+1]) {
			continue
		}
		tries[space]++
		left, right := at-contextBytes, min(at+contextBytes, len(text))
		for left = max(left, 0); left < at && !utf8.RuneStart(text[left]); left++ {
		}
		for right < len(text) && !utf8.RuneStart(text[right]) {
			right++
		}
		call := [][]byte{text[left:right], text[left:at], text[at:right]}
		if space {
			call = append(call, text[at+1:right])
		}
		results, err := t.call(call, parseSpecial)
		if err != nil {
			return 0, 0, err
		}
		for i, rest := range results[2:] {
			if slices.Equal(results[0].ids, slices.Concat(results[1].ids, rest.ids)) {
				return at, at + i, nil
			}
		}
	}
	return -1, -1, nil
}

// cuttable reports whether the second of three bytes may begin a word: a space after and before something else, or what
// follows the end of a line.
func cuttable(before, at, after byte) bool {
	space := func(b byte) bool { return bytes.IndexByte([]byte(" \t\n\v\f\r"), b) >= 0 }
	if at == ' ' {
		return !space(before) && !space(after)
	}
	return before == '\n' && !space(at) && utf8.RuneStart(at)
}
