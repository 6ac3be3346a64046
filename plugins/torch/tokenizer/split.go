//go:build torch

package tokenizer

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

const (
	// partBytes is the approximate size of a part of a long text: the engine needs some 230 bytes per byte that it
	// processes.
	partBytes = 64 << 10
	// contextBytes is how much text on each side of a cut is compared.
	contextBytes = 256
	// cutTries bounds the number of attempts per kind of cut before the part grows by partBytes.
	cutTries = 16
)

// part is the bytes [start, end) of a text, encoded separately.
type part struct {
	text, start, end int
}

// split divides a long text into parts that together have the tokens of the whole. It cuts before a word at which the
// engine gives the surrounding text the same tokens in one piece and in two. A text without such a place is not cut. If
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

// cut returns where, in the partBytes that start at byte from, one part can end and the next can begin; -1 for nowhere.
func (t *Tokenizer) cut(text []byte, from int, parseSpecial bool) (end, next int, err error) {
	tries := map[bool]int{} // of spaces, and of line starts, at which some tokenizers always begin a new word
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

// cuttable reports whether the second of three bytes may begin a word: a space between other characters, or the first
// byte after a line end.
func cuttable(before, at, after byte) bool {
	space := func(b byte) bool { return bytes.IndexByte([]byte(" \t\n\v\f\r"), b) >= 0 }
	if at == ' ' {
		return !space(before) && !space(after)
	}
	return before == '\n' && !space(at) && utf8.RuneStart(at)
}
