package protocol

import (
	"cmp"
	"fmt"
	"slices"
)

// String describes the range for people.
func (r TokenRange) String() string {
	if r == (TokenRange{}) {
		return "all"
	}
	return fmt.Sprintf("[%d, %d)", r.Score, r.To)
}

// Cut returns how many of a document's tokens an answer has: all, or those before To.
func (r TokenRange) Cut(tokens int) int {
	if r == (TokenRange{}) {
		return tokens
	}
	return int(min(r.To, int64(tokens)))
}

// Unscored adds the bytes outside the range to the unscored ranges of a text of length bytes, for an answer with the
// tokens [starts[i], ends[i]) that Cut leaves. It drops the unscored ranges after the last requested token.
func (r TokenRange) Unscored(starts, ends []int32, length int32, unscored []Unscored) []Unscored {
	if r == (TokenRange{}) {
		return unscored
	}
	var all []Unscored
	for i := range min(r.Score, int64(len(starts))) {
		switch last := len(all) - 1; {
		case starts[i] == ends[i]:
		case last >= 0 && all[last].End == starts[i]:
			all[last].End = ends[i]
		default:
			all = append(all, Unscored{starts[i], ends[i], ReasonNotRequested})
		}
	}
	cut := length
	if int64(len(starts)) == r.To {
		cut = ends[len(ends)-1]
	}
	for _, u := range unscored {
		if u.End <= cut {
			all = append(all, u)
		}
	}
	if cut < length {
		all = append(all, Unscored{cut, length, ReasonNotRequested})
	}
	slices.SortFunc(all, func(a, b Unscored) int { return cmp.Compare(a.Start, b.Start) })
	return all
}
