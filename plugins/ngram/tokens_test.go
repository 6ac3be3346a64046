package ngram

import "testing"

// Pieces are runs of letters and marks, numbers, white space or others by Unicode 17, whatever the toolchain's tables are.
func TestPieceClasses(t *testing.T) {
	for text, want := range map[string]string{
		"\ua7d2b.": "\ua7d2b", "a\U00011b60b 1": "a\U00011b60b", "\U00011de07x": "\U00011de07", "\u0558a": "\u0558", "\u2028\u3000x": "\u2028\u3000",
	} {
		if got := text[:pieceEnd(text, 0)]; got != want {
			t.Errorf("%+q: found the piece %+q, want %+q", text, got, want)
		}
	}
}
