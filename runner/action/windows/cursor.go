package windows

import (
	"iter"
	"unicode/utf8"
)

// place is a position in a text, in characters and in bytes.
type place struct{ character, byte int64 }

// forward moves over that many characters of a text, and reports whether the text has as many.
func (p *place) forward(text string, characters int64) bool {
	for ; characters > 0; characters-- {
		if p.byte >= int64(len(text)) {
			return false
		}
		_, n := utf8.DecodeRuneInString(text[p.byte:])
		p.byte += int64(n)
		p.character++
	}
	return true
}

// to moves to the character that has a byte, which must not be before p.
func (p *place) to(text string, at int64) {
	at = characterStart(text, at)
	p.character += int64(utf8.RuneCountInString(text[p.byte:at]))
	p.byte = at
}

// characterStart returns the first byte of the character that has a byte of a text, or the byte itself at the end.
func characterStart(text string, at int64) int64 {
	for at < int64(len(text)) && !utf8.RuneStart(text[at]) {
		at--
	}
	return at
}

// position is a cursor and its place.
type position struct {
	cursor int64
	place
}

// line is the text of a document in the unit of the cursor.
type line struct {
	text string
	// starts holds the first byte of each token, if the unit is the token.
	starts []int32
	tokens bool
}

// positions yields the places of ascending cursors. Cursors from the end of the text on have none, and a cursor in the
// same character as the one before has none either.
func (l line) positions(cursors iter.Seq[int64]) iter.Seq[position] {
	return func(yield func(position) bool) {
		var at place
		last := int64(-1)
		for cursor := range cursors {
			if l.tokens {
				if cursor >= int64(len(l.starts)) || int64(l.starts[cursor]) >= int64(len(l.text)) {
					return
				}
				at.to(l.text, int64(l.starts[cursor]))
			} else if !at.forward(l.text, cursor-at.character) || at.byte >= int64(len(l.text)) {
				return
			}
			if at.character == last {
				continue
			}
			last = at.character
			if !yield(position{cursor, at}) {
				return
			}
		}
	}
}

// within returns those of ascending cursors that are in a part of a dataset. The document begins at its character base.
func (l line) within(in part, base int64, cursors []int64) (inside []int64) {
	var at place
	for _, cursor := range cursors {
		character := cursor
		if l.tokens {
			if cursor >= int64(len(l.starts)) {
				break
			}
			at.to(l.text, int64(l.starts[cursor]))
			character = at.character
		}
		if in.has(base + character) {
			inside = append(inside, cursor)
		}
	}
	return inside
}

// every yields the multiples of a number without end.
func every(n int64) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for i := int64(0); yield(i); i += n {
		}
	}
}

// texts yields positions with the text of that many characters from each on. Positions ascend.
func texts(text string, length int64, positions iter.Seq[position]) iter.Seq2[position, string] {
	return func(yield func(position, string) bool) {
		var end place
		for p := range positions {
			end.forward(text, p.character+length-end.character)
			if !yield(p, text[p.byte:end.byte]) {
				return
			}
		}
	}
}
