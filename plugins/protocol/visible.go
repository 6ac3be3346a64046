package protocol

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"surprisal.dev/plugins/unicode17"
)

// Visible returns s with a Go escape, such as "\n", "\x1b" or "\u202e", in place of invisible characters, characters
// that change how others are displayed, and bytes that are not UTF-8. These characters are control characters, line and
// paragraph separators, and format characters such as bidirectional overrides and zero-width characters. The result can
// neither end a line nor control a terminal.
//
// Stored files, such as reports, are made with it: the characters are those of Unicode 17, independent of Go's version.
//
// A backslash is not escaped, so that text without such characters does not change. The result is for people; the text
// cannot be reconstructed from it.
func Visible(s string) string {
	clean := 0 // s[:clean] needs no escapes
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
