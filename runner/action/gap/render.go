package gap

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of what is quoted from a text, in code points.
const (
	segmentLimit = 32
	previewLimit = 120
)

var whitespaceSymbols = strings.NewReplacer(" ", "␠", "\n", "⏎", "\t", "⇥", "\r", "↵")

// visible makes spaces, newlines, tabs and carriage returns visible.
func visible(s string) string { return whitespaceSymbols.Replace(s) }

// shorten cuts a text that has more than limit code points, the last of them an ellipsis. Like preview, it returns a copy:
// what a report quotes must not keep a whole document in memory.
func shorten(s string, limit int) string {
	if cut := runeOffset(s, limit); cut == len(s) {
		return strings.Clone(s)
	}
	return s[:runeOffset(s, limit-1)] + "…"
}

// runeOffset returns the byte offset of the n-th code point of s, or len(s) if it has no more than n.
func runeOffset(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

// preview shows the text around bytes [start, end), which are character boundaries, in at most 120 code points.
func preview(text string, start, end int) string {
	if runeOffset(text, previewLimit) == len(text) {
		return strings.Clone(visible(text))
	}
	const content = previewLimit - 2
	middle := start + runeOffset(text[start:end], utf8.RuneCountInString(text[start:end])/2)
	from := runesBefore(text, middle, content/2)
	to := from + runeOffset(text[from:], content)
	if to == len(text) {
		from = runesBefore(text, to, content)
	}
	window := visible(text[from:to])
	if from > 0 {
		window = "…" + window
	}
	if to < len(text) {
		window += "…"
	}
	return strings.Clone(window)
}

// runesBefore returns where the n code points before byte i begin, or 0 if there are no more.
func runesBefore(text string, i, n int) int {
	for ; i > 0 && n > 0; n-- {
		_, size := utf8.DecodeLastRuneInString(text[:i])
		i -= size
	}
	return i
}

// tokenBoundaries shows how tokens cut the bytes [start, end) of a text: bars stand between tokens, an ellipsis where
// a token goes on outside. A token that ends inside a character is shown with U+FFFD. Without starts, each token starts where
// the one before it ended, the first at byte 0.
func tokenBoundaries(text string, start, end int32, starts, ends []int32) string {
	var out strings.Builder
	show := func(from, to int32) {
		out.WriteByte('|')
		if from < start {
			out.WriteString("…")
		}
		out.WriteString(visible(strings.ToValidUTF8(text[max(from, start):min(to, end)], "\ufffd")))
		if to > end {
			out.WriteString("…")
		}
	}
	if len(starts) == 0 {
		first, _ := slices.BinarySearch(ends, start+1)
		for i := first; i < len(ends); i++ {
			from := int32(0)
			if i > 0 {
				from = ends[i-1]
			}
			if from >= end {
				break
			}
			if ends[i] > from {
				show(from, ends[i])
			}
		}
	}
	for i, from := range starts {
		if to := ends[i]; from >= 0 && to > from && to > start && from < end {
			show(from, to)
		}
	}
	if out.Len() == 0 {
		return "(no aligned tokens)"
	}
	return out.String() + "|"
}
