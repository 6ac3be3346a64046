package gap

import (
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
	first := utf8.RuneCountInString(text[:start])
	last := first + utf8.RuneCountInString(text[start:end])
	total := last + utf8.RuneCountInString(text[end:])
	from := max(0, (first+last)/2-content/2)
	to := min(total, from+content)
	from = max(0, to-content)
	left := runeOffset(text, from)
	window := visible(text[left : left+runeOffset(text[left:], to-from)])
	if from > 0 {
		window = "…" + window
	}
	if to < total {
		window += "…"
	}
	return strings.Clone(window)
}

// tokenBoundaries shows how tokens cut the bytes [start, end) of a text: bars stand between tokens, an ellipsis where
// a token goes on outside. A token that ends inside a character is shown with U+FFFD.
func tokenBoundaries(text string, start, end int32, starts, ends []int32) string {
	var out strings.Builder
	for i, from := range starts {
		to := ends[i]
		if from < 0 || to <= from || to <= start || from >= end {
			continue
		}
		out.WriteByte('|')
		if from < start {
			out.WriteString("…")
		}
		out.WriteString(visible(strings.ToValidUTF8(text[max(from, start):min(to, end)], "\ufffd")))
		if to > end {
			out.WriteString("…")
		}
	}
	if out.Len() == 0 {
		return "(no aligned tokens)"
	}
	return out.String() + "|"
}
