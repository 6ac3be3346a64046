package protocol

import (
	"strings"
	"testing"
)

func TestVisible(t *testing.T) {
	for _, same := range []string{
		"", "plain text", `a\b "quoted" it's 100%`, "Grüße, 東京, приве́т", "\u0600\u0661", "\ufffd", "👍🏽 ❤️", "a b  c",
	} {
		if got := Visible(same); got != same {
			t.Errorf("%q became %q", same, got)
		}
	}
	for text, want := range map[string]string{
		"a\n::error::b":                    `a\n::error::b`,
		"\x1b[31mred\x1b[m":                `\x1b[31mred\x1b[m`,
		"50%\r100%":                        `50%\r100%`,
		"tab\tbell\anull\x00":              `tab\tbell\anull\x00`,
		"\x7f":                             `\x7f`,
		"\n\ufffd":                         `\n` + "\ufffd",
		"\u0085next\u009b":                 `\u0085next\u009b`, // C1: another end of line, another start of an escape sequence
		"\u2028\u2029":                     `\u2028\u2029`,
		"\u202a\u202b\u202c\u202d\u202e":   `\u202a\u202b\u202c\u202d\u202e`,
		"\u2066\u2067\u2068\u2069":         `\u2066\u2067\u2068\u2069`,
		"\u200e\u200f\u061c":               `\u200e\u200f\u061c`,
		"a\u200b\u200c\u200d\u2060\ufeffb": `a\u200b\u200c\u200d\u2060\ufeffb`,
		"soft\u00adhyphen":                 `soft\u00adhyphen`,
		"\u3164\u115f":                     `\u3164\u115f`, // fillers: invisible letters
		"\U000e0041":                       `\U000e0041`,
		"é\xff\xc3":                        `é\xff\xc3`,
		"\xed\xa0\x80":                     `\xed\xa0\x80`,
		"\\\n":                             `\\n`,
	} {
		if got := Visible(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	for r := rune(0); r < 0x110000; r++ {
		if got := Visible(string(r)); strings.ContainsAny(got, "\n\r\x1b\u0085\u2028\u2029") {
			t.Fatalf("%U is shown as %q", r, got)
		}
	}
}
