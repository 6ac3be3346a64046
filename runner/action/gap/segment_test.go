package gap

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"surprisal.dev/plugins/unicode17"
)

// The expression as Go's regexp package writes it, slow; space is Unicode's White_Space.
const space = `\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}`

var expression = regexp.MustCompile(`((?:https?://|www\.)[^` + space + `]+)|([` + space + `]+)|(\p{N}+(?:[.,:/-]\p{N}+)*)|` +
	`([\p{L}\p{M}_]+(?:['’-][\p{L}\p{M}_]+)*)|([^\p{L}\p{M}\p{N}` + space + `]+)`)

func TestSegments(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"It's 3.14!", "It's| |3.14|!"},
		{"xhttp://a http://a,b www.x", "xhttp|://|a| |http://a,b| |www.x"},
		{"http:// HTTP://A", "http|://| |HTTP|://|A"},
		{"!www.x", "!|www.x"},
		{"a__b !_a _!", "a__b| |!_|a| |_|!"},
		{"1,000.5- 12:30/7 ½Ⅷ٣", "1,000.5|-| |12:30/7| |½Ⅷ٣"},
		{"don’t re-do a' -b", "don’t| |re-do| |a|'| |-|b"},
		{"\r\n\u00a0\u2028 \x1c", "\r\n\u00a0\u2028 |\x1c"},
		{"\u0301 🙂\ufe0f", "\u0301| |🙂|\ufe0f"},
		// Letters, a mark and a number since Unicode 16 and 17, and a character that is a letter only since 18.
		{"a\ua7d2\U00016ea0\U00011b60 \U00011de0. \u0558", "a\ua7d2\U00016ea0\U00011b60| |\U00011de0|.| |\u0558"},
	} {
		if got := strings.Join(segmentsOf(t, test.text), "|"); got != test.want {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}

func TestBuckets(t *testing.T) {
	for segment, want := range map[string]string{
		" ": "single_space", "  ": "multi_space", "\n": "newline", "\n\n": "multi_newline", "\t": "tab_or_cr", "\r\n": "tab_or_cr", " \n": "mixed",
		"\u00a0": "mixed", "\x1c\x1f": "mixed",
	} {
		if got := clippedBucket(segment); bucketNames[got] != "whitespace/"+want {
			t.Errorf("%q: got %s, want whitespace/%s", segment, bucketNames[got], want)
		}
	}
	for segment, want := range map[string]string{
		"word": "word", "_": "word", "naïve": "non_ascii_word", "\u0301": "non_ascii_word", "\ufe0f": "non_ascii_word", "½": "number", "1.5": "number",
		"http://a": "url", "www.é": "url", "ttps://x": "punctuation", "ttps://é": "non_ascii", "\ua7d2": "non_ascii_word", "\U00011de0": "number", "\u0558": "non_ascii", "’s": "non_ascii", "'s": "punctuation", "://": "punctuation",
		"🙂": "non_ascii", "\x1c!": "punctuation", "5.": "punctuation", "_-_": "word", "\x00": "punctuation",
	} {
		if got := clippedBucket(segment); bucketNames[got] != "text/"+want {
			t.Errorf("%q: got %s, want text/%s", segment, bucketNames[got], want)
		}
	}
}

// known returns a code point whose class in Go's older tables is the class of the rune in Unicode 17, with an
// encoding of the same length.
func known(r rune) rune {
	class := unicode17.Other
	switch {
	case unicode.IsLetter(r):
		class = unicode17.Letter
	case unicode.IsMark(r):
		class = unicode17.Mark
	case unicode.IsNumber(r):
		class = unicode17.Number
	case unicode.IsSpace(r):
		class = unicode17.Space
	}
	switch want := unicode17.ClassOf(r); {
	case want == class:
		return r
	case r > 0xffff:
		return map[unicode17.Class]rune{unicode17.Letter: 0x20000, unicode17.Mark: 0x1d165, unicode17.Number: 0x1d7ce}[want]
	default:
		return map[unicode17.Class]rune{unicode17.Letter: 0x4e2d, unicode17.Mark: 0x20dd, unicode17.Number: 0x2167}[want]
	}
}

// segmentsOf checks that the segments tile the text and equal those of the expression, each with the alternative that
// matched, and returns them.
func segmentsOf(t *testing.T, text string) []string {
	t.Helper()
	var got []string
	s := segmenter{text}
	matches := expression.FindAllStringSubmatchIndex(strings.Map(known, text), -1)
	for at := 0; at < len(text); {
		end, kind := s.next(at)
		if len(got) == len(matches) {
			t.Fatalf("%q: got [%d, %d) past the last segment", text, at, end)
		}
		want := matches[len(got)]
		group := slices.IndexFunc(want[2:], func(i int) bool { return i >= 0 }) / 2
		if at != want[0] || end != want[1] || int(kind) != group {
			t.Fatalf("%q: got [%d, %d) of kind %d, want [%d, %d) of kind %d", text, at, end, kind, want[0], want[1], group)
		}
		got = append(got, text[at:end])
		at = end
	}
	if len(got) != len(matches) {
		t.Fatalf("%q: got %d segments, want %d", text, len(got), len(matches))
	}
	return got
}

// FuzzSegments checks the scanner against the regular expression that defines it.
func FuzzSegments(f *testing.F) {
	for i, s := range sample {
		f.Add(s + "\ua7d2" + sample[(i+7)%len(sample)] + sample[(i+19)%len(sample)])
	}
	f.Add(strings.Join(sample, ""))
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "\ufffd")
		for _, segment := range segmentsOf(t, text) {
			if len(segment) > 0 {
				// An unclipped segment has the bucket of its kind.
				if end, kind := (segmenter{segment}).next(0); end == len(segment) && bucketOf(segment, kind) != clippedBucket(segment) {
					t.Errorf("%q: bucket %v and %v", segment, bucketOf(segment, kind), clippedBucket(segment))
				}
			}
		}
	})
}
