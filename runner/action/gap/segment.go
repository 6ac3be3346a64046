package gap

import (
	"strings"
	"unicode/utf8"

	"surprisal.dev/plugins/unicode17"
)

// segmentKind is the alternative of the segment expression that matched:
//
//	(?:https?://|www\.)\S+ | \s+ | \p{N}+(?:[.,:/-]\p{N}+)* |
//	[\p{L}\p{M}_]+(?:['’-][\p{L}\p{M}_]+)* | [^\p{L}\p{M}\p{N}\s]+
//
// where \s is the property White_Space and all classes are those of Unicode 17. Every character starts one of the
// alternatives, so segments tile any text.
type segmentKind uint8

const (
	segmentURL segmentKind = iota
	segmentSpace
	segmentNumber
	segmentWord
	segmentPunctuation
)

// Character classes. The underscore has its own class, because it continues words and runs of punctuation.
const (
	classOther uint8 = iota
	classUnderscore
	classLetter // and marks
	classNumber
	classSpace
)

// unicodeClasses maps Unicode classes to those above.
var unicodeClasses = [...]uint8{
	unicode17.Other: classOther, unicode17.Letter: classLetter, unicode17.Mark: classLetter, unicode17.Number: classNumber,
	unicode17.Space: classSpace,
}

// asciiClasses are the classes of the characters below utf8.RuneSelf.
var asciiClasses = func() (table [utf8.RuneSelf]uint8) {
	for r := range table {
		table[r] = unicodeClasses[unicode17.ClassOf(rune(r))]
	}
	table['_'] = classUnderscore
	return table
}()

// segmenter finds segments in a text of valid UTF-8.
type segmenter struct{ text string }

// class returns the class and size of the character at byte i < len(text).
func (s segmenter) class(i int) (uint8, int) {
	if c := s.text[i]; c < utf8.RuneSelf {
		return asciiClasses[c], 1
	}
	r, n := utf8.DecodeRuneInString(s.text[i:])
	return unicodeClasses[unicode17.ClassOf(r)], n
}

// next returns the end of the segment that starts at byte i < len(text).
func (s segmenter) next(i int) (end int, kind segmentKind) {
	class, size := s.class(i)
	switch class {
	case classSpace:
		return s.run(i+size, 1<<classSpace), segmentSpace
	case classNumber:
		return s.joined(i+size, 1<<classNumber, isNumberJoint), segmentNumber
	case classOther:
		return s.run(i+size, 1<<classOther|1<<classUnderscore), segmentPunctuation
	}
	if c := s.text[i]; c == 'h' || c == 'w' {
		if end := s.url(i); end > 0 {
			return end, segmentURL
		}
	}
	return s.joined(i+size, 1<<classLetter|1<<classUnderscore, isWordJoint), segmentWord
}

// url returns the end of the URL at byte i, or 0.
func (s segmenter) url(i int) int {
	for _, prefix := range [...]string{"http://", "https://", "www."} {
		if strings.HasPrefix(s.text[i:], prefix) {
			start := i + len(prefix)
			if end := s.run(start, 1<<classSpace^0xff); end > start {
				return end
			}
		}
	}
	return 0
}

// run returns the end of the run of characters of the given classes that continues at byte i.
func (s segmenter) run(i int, set uint8) int {
	for i < len(s.text) {
		class, size := s.class(i)
		if set>>class&1 == 0 {
			break
		}
		i += size
	}
	return i
}

// joined returns the end of a sequence of runs of the given classes, with one joint between two runs.
func (s segmenter) joined(i int, set uint8, isJoint func(rune) bool) int {
	for {
		i = s.run(i, set)
		r, size := utf8.DecodeRuneInString(s.text[i:])
		if !isJoint(r) || i+size >= len(s.text) {
			return i
		}
		class, more := s.class(i + size)
		if set>>class&1 == 0 {
			return i
		}
		i += size + more
	}
}

func isNumberJoint(r rune) bool {
	return r == '.' || r == ',' || r == ':' || r == '/' || r == '-'
}

func isWordJoint(r rune) bool { return r == '\'' || r == '’' || r == '-' }

// bucket is the character class of a segment.
type bucket uint8

const (
	bucketNewline bucket = iota
	bucketMixed
	bucketMultiNewline
	bucketMultiSpace
	bucketNonASCII
	bucketNonASCIIWord
	bucketNumber
	bucketPunctuation
	bucketSingleSpace
	bucketTabOrCR
	bucketURL
	bucketWord
	bucketCount
)

var bucketNames = [bucketCount]string{
	bucketNewline: "whitespace/newline", bucketMixed: "whitespace/mixed", bucketMultiNewline: "whitespace/multi_newline",
	bucketMultiSpace: "whitespace/multi_space", bucketNonASCII: "text/non_ascii", bucketNonASCIIWord: "text/non_ascii_word",
	bucketNumber: "text/number", bucketPunctuation: "text/punctuation", bucketSingleSpace: "whitespace/single_space",
	bucketTabOrCR: "whitespace/tab_or_cr", bucketURL: "text/url", bucketWord: "text/word",
}

// bucketOf returns the bucket of a segment of the given kind.
func bucketOf(segment string, kind segmentKind) bucket {
	switch kind {
	case segmentSpace:
		return spaceBucket(segment)
	case segmentNumber:
		return bucketNumber
	case segmentURL:
		return bucketURL
	case segmentWord:
		if isASCII(segment) {
			return bucketWord
		}
		return bucketNonASCIIWord
	}
	// The expression's \s does not match the separators U+001C to U+001F, so they are punctuation. Alone they count as
	// whitespace.
	if c := segment[0]; c >= 0x1c && c <= 0x1f && strings.Trim(segment, "\x1c\x1d\x1e\x1f") == "" {
		return bucketMixed
	}
	if isASCII(segment) {
		return bucketPunctuation
	}
	return bucketNonASCII
}

// clippedBucket returns the bucket of a segment that was clipped at the scored span. It depends only on the remaining
// text.
func clippedBucket(piece string) bucket {
	if end, kind := (segmenter{piece}).next(0); end == len(piece) {
		return bucketOf(piece, kind)
	}
	return bucketOf(piece, segmentPunctuation)
}

func spaceBucket(s string) bucket {
	switch {
	case s == " ":
		return bucketSingleSpace
	case s == "\n":
		return bucketNewline
	case strings.ContainsAny(s, "\t\r"):
		return bucketTabOrCR
	case strings.Trim(s, " ") == "":
		return bucketMultiSpace
	case strings.Trim(s, "\n") == "":
		return bucketMultiNewline
	}
	return bucketMixed
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
