package gap

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of quoted text, in code points.
const (
	segmentLimit = 32
	previewLimit = 120
)

var whitespaceSymbols = strings.NewReplacer(" ", "␠", "\n", "⏎", "\t", "⇥", "\r", "↵")

// visible makes spaces, newlines, tabs and carriage returns visible.
func visible(s string) string { return whitespaceSymbols.Replace(s) }

// shorten shortens a text to limit code points, the last of which is an ellipsis if anything was cut. Like preview, it
// returns a copy, so that a quote does not keep a whole document in memory.
func shorten(s string, limit int) string {
	if cut := runeOffset(s, limit); cut == len(s) {
		return strings.Clone(s)
	}
	return s[:runeOffset(s, limit-1)] + "…"
}

// runeOffset returns the byte offset of code point n of s, counted from 0, or len(s) if s has at most n.
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

// runesBefore returns the start of the n code points before byte i, or 0 if there are fewer.
func runesBefore(text string, i, n int) int {
	for ; i > 0 && n > 0; n-- {
		_, size := utf8.DecodeLastRuneInString(text[:i])
		i -= size
	}
	return i
}

// tokenBoundaries shows the tokens of the bytes [start, end) of a text, separated by bars. An ellipsis marks a token
// that continues outside. A token that ends inside a character is shown with U+FFFD. Without starts, each token starts
// where the previous one ends, and the first at byte 0.
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
