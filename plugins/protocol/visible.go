package protocol

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"surprisal.dev/plugins/unicode17"
)

// Visible returns s with an escape of Go, such as "\n", "\x1b" or "\u202e", in place of every character that a reader does
// not see or that changes how others are shown, and of every byte that is not UTF-8. These characters are control
// characters, separators of lines and paragraphs, and characters of format, such as bidirectional overrides and those
// without a width. What is left can neither end a line nor steer a terminal.
//
// Files that are kept, such as reports, are made with it: the characters are those of Unicode 17, whatever Go knows.
//
// A backslash stays as it is, so that text without such characters does not change: the result is for people, and the
// text cannot be made from it again.
func Visible(s string) string {
	clean := 0 // s[:clean] can be seen as it is
	for clean < len(s) && s[clean] < utf8.RuneSelf && !unicode17.IsHidden(rune(s[clean])) {
		clean++
	}
	for clean < len(s) {
		r, n := utf8.DecodeRuneInString(s[clean:])
		if unicode17.IsHidden(r) || r == utf8.RuneError && n == 1 {
			break
		}
		clean += n
	}
	if clean == len(s) {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:clean])
	for s = s[clean:]; len(s) > 0; {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode17.IsHidden(r):
			quoted := fmt.Sprintf("%+q", string(r))
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}
