// Package unicode17 classifies code points as letters, marks, numbers and white space by Unicode 17.
//
// Stored results depend on these classes: the segments and buckets of a gap report, the word counts of a dataset, the
// pieces of the n-gram backend. The tables of Go's package unicode change with the toolchain. These tables change only
// deliberately, and then everything that uses them must raise its schema or version.
//
// generate.py writes tables.go; `just generate` runs it and `just fresh` checks that it would write the same. The
// package imports no other package of the module.
package unicode17

import "unicode"

// Class is the class of a code point.
type Class uint8

// The classes, which are disjoint. Space is the property White_Space; the others are general categories.
const (
	Other  Class = iota // every other code point, including unassigned ones
	Letter              // L
	Mark                // M
	Number              // N
	Space               // White_Space
)

const (
	blockBits = 7
	blockMask = 1<<blockBits - 1
)

// ClassOf returns the class of a code point; it is Other for values that are not code points.
func ClassOf(r rune) Class {
	if uint32(r) > unicode.MaxRune {
		return Other
	}
	return Class(blocks[int(index[r>>blockBits])<<blockBits|int(r&blockMask)] - '0')
}

// IsSpace reports whether a code point has the property White_Space.
func IsSpace(r rune) bool { return ClassOf(r) == Space }
