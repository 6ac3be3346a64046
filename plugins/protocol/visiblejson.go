package protocol

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// VisibleJSON returns a JSON document that means the same, with escapes for the characters of its strings that Visible
// escapes and JSON allows as they are.
func VisibleJSON(document []byte) []byte {
	if Visible(string(document)) == string(document) {
		return document
	}
	var b strings.Builder
	for len(document) > 0 {
		r, n := utf8.DecodeRune(document)
		s := string(document[:n])
		document = document[n:]
		switch {
		// Control characters of ASCII can only stand between the tokens.
		case r < ' ' || r == utf8.RuneError || Visible(s) == s:
			b.WriteString(s)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return []byte(b.String())
}
