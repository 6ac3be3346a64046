// Package unicode17 tells letters, marks, numbers and white space apart as Unicode 17 does.
//
// Results that are stored depend on these classes: the segments and buckets of a gap report, the word counts of a dataset,
// the pieces of the n-gram backend. The tables of Go's package unicode change with the toolchain; these change only when
// somebody changes them, and then everything that uses them must raise its schema or version.
//
// tables.go is written by generate.py; `just generate` runs it and `just fresh` checks that it would write the same. The
// package imports nothing of the module.
package unicode17

import "unicode"

// Class is what kind of character a code point is.
type Class uint8

// The classes, which are disjoint. Space is the property White_Space, the others are general categories.
const (
	Other  Class = iota // every other code point, those that are not assigned included
	Letter              // L
	Mark                // M
	Number              // N
	Space               // White_Space
)

const (
	blockBits = 7
	blockMask = 1<<blockBits - 1
)

// ClassOf returns the class of a code point, which is Other for what is not a code point.
func ClassOf(r rune) Class {
	if uint32(r) > unicode.MaxRune {
		return Other
	}
	return Class(blocks[int(index[r>>blockBits])<<blockBits|int(r&blockMask)] - '0')
}

// IsSpace reports whether a code point has the property White_Space.
func IsSpace(r rune) bool { return ClassOf(r) == Space }
