package ngram

import (
	"unicode/utf8"

	"surprisal.dev/plugins/unicode17"
)

// maxPiece is the maximum size of a piece in bytes. It bounds the vocabulary's memory for text without word boundaries.
const maxPiece = 64

// class is the class of characters in a piece.
type class uint8

const (
	other class = iota
	letter
	digit
	space
)

// asciiClasses are the classes of the characters below utf8.RuneSelf.
var asciiClasses = func() (table [utf8.RuneSelf]class) {
	for r := range table {
		table[r] = classOf(rune(r))
	}
	return table
}()

func classOf(r rune) class {
	switch unicode17.ClassOf(r) {
	case unicode17.Letter, unicode17.Mark:
		return letter
	case unicode17.Number:
		return digit
	case unicode17.Space:
		return space
	}
	return other
}

// classAt returns the class and the length of the character at text[at].
func classAt(text string, at int) (class, int) {
	if b := text[at]; b < utf8.RuneSelf {
		return asciiClasses[b], 1
	}
	r, size := utf8.DecodeRuneInString(text[at:])
	return classOf(r), size
}

// pieceEnd returns the end of the piece that starts at text[start]. Pieces end between characters.
func pieceEnd(text string, start int) int {
	kind, size := classAt(text, start)
	end := start + size
	if text[start] == ' ' && end < len(text) {
		kind, size = classAt(text, end)
		end += size
	}
	for end < len(text) {
		next, size := classAt(text, end)
		if end+size-start > maxPiece {
			return end
		}
		if next != kind {
			if kind == space && text[end-1] == ' ' {
				end-- // the last space of a run belongs to the next piece
			}
			return end
		}
		end += size
	}
	return end
}
