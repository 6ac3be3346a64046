package protocol

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// VisibleJSON returns an equivalent JSON document in which strings escape the characters that Visible escapes, even
// where JSON does not require it.
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
		// ASCII control characters can only occur between the tokens.
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
