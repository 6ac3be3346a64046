package tokenizer

import (
	"bytes"
	"unicode/utf8"
)

// align finds the bytes of each token. starts and ends are the engine's ranges.
func (v *vocabulary) align(text []byte, ids, starts, ends []int32) Encoding {
	n := len(ids)
	a := aligner{
		vocabulary: v, text: text, ids: ids, starts: starts, ends: ends,
		out: Encoding{IDs: ids, Starts: make([]int32, n), Ends: make([]int32, n)},
	}
	first := 0
	for i := range ids {
		if a.fixed(i) {
			a.assignTokens(first, i, starts[i])
			a.assign(i, a.at, ends[i])
			first = i + 1
		}
	}
	a.assignTokens(first, n, int32(len(text)))
	a.skip(int32(len(text)))
	return a.out
}

type aligner struct {
	*vocabulary
	text              []byte
	ids, starts, ends []int32
	out               Encoding
	// at is the first byte that is not assigned yet.
	at int32
	// lastEnd is the end of the last token.
	lastEnd int32
}

// assign gives token i the bytes [start, end).
func (a *aligner) assign(i int, start, end int32) {
	a.out.Starts[i], a.out.Ends[i] = start, end
	a.at, a.lastEnd = end, end
}

// skip makes the bytes up to end unscored. A range of them does not continue after an empty token.
func (a *aligner) skip(end int32) {
	if a.at == end {
		return
	}
	if n := len(a.out.Unscored); n > 0 && a.out.Unscored[n-1].End == a.at && a.lastEnd < a.at {
		a.out.Unscored[n-1].End = end
	} else {
		a.out.Unscored = append(a.out.Unscored, Range{a.at, end})
	}
	a.at = end
}

// fixed reports whether token i was found in the text before the model saw it, so that the engine's range is correct.
// The range may have white space around the token.
func (a *aligner) fixed(i int) bool {
	id, start, end := a.ids[i], a.starts[i], a.ends[i]
	if id < 0 || int(id) >= len(a.added) || !a.added[id] || start < a.at || end <= start || int(end) > len(a.text) {
		return false
	}
	before, after, found := bytes.Cut(a.text[start:end], a.pieces[id])
	return found && len(bytes.TrimSpace(before)) == 0 && len(bytes.TrimSpace(after)) == 0
}

// assignTokens gives the bytes up to end to the tokens from first to before last, or to their neighbors.
func (a *aligner) assignTokens(first, last int, end int32) {
	if first == last {
		a.assignGap(first, end)
		return
	}
	if a.alignTokens(first, last, end, false) || a.alignTokens(first, last, end, true) {
		return
	}
	for i := first; i < last; {
		groupStart, groupEnd := a.starts[i], a.ends[i]
		next := i + 1
		for next < last && a.starts[next] < groupEnd {
			groupEnd = max(groupEnd, a.ends[next])
			next++
		}
		groupEnd = min(max(groupEnd, a.at), end)
		a.assignGap(i, min(max(groupStart, a.at), groupEnd))
		switch {
		case next == i+1:
			a.assign(i, a.at, groupEnd)
		case a.alignTokens(i, next, groupEnd, false) || a.alignTokens(i, next, groupEnd, true):
		default:
			for ; i < next; i++ {
				a.assign(i, a.at, min(max(a.at, a.ends[i]), groupEnd))
				a.out.Inexact++
			}
		}
		i = next
	}
	a.assignGap(last, end)
}

// assignGap gives the bytes up to end, before token i, to the token before them, or leaves them to token i. Bytes that
// the model drops become unscored.
func (a *aligner) assignGap(i int, end int32) {
	for a.at < end {
		if n := a.dropped(a.text[a.at:end]); n > 0 {
			a.skip(a.at + int32(n))
			continue
		}
		if i == 0 || a.out.Ends[i-1] != a.at {
			return
		}
		_, size := utf8.DecodeRune(a.text[a.at:end])
		a.assign(i-1, a.out.Starts[i-1], a.at+int32(size))
	}
}

// alignTokens aligns the pieces of tokens with the text up to end, byte by byte. With trim it omits the first piece's
// space. If this fails, it changes nothing and returns false. Bytes that the model drops are unscored between tokens.
// Inside a token they belong to it, and it is inexact.
func (a *aligner) alignTokens(first, last int, end int32, trim bool) bool {
	saved := *a
	var unscored Range
	n := len(a.out.Unscored)
	if n > 0 {
		unscored = a.out.Unscored[n-1]
	}
	if a.tryAlign(first, last, end, trim) {
		return true
	}
	*a = saved
	if n > 0 {
		a.out.Unscored[n-1] = unscored
	}
	return false
}

func (a *aligner) tryAlign(first, last int, end int32, trim bool) bool {
	for i := first; i < last; i++ {
		id := a.ids[i]
		if id < 0 || int(id) >= len(a.pieces) || a.pieces[id] == nil {
			return false
		}
		piece := a.pieces[id]
		if trim && i == first {
			var found bool
			if piece, found = bytes.CutPrefix(piece, []byte(" ")); !found {
				return false
			}
		}
		start, straddles := a.at, false
		for len(piece) > 0 {
			text := a.text[a.at:end]
			if n := a.match(&piece, text); n > 0 {
				a.at += int32(n)
				continue
			}
			n := int32(a.dropped(text))
			if n == 0 {
				return false
			}
			if a.at == start {
				a.skip(start + n)
				start += n
			} else {
				straddles = true
				a.at += n
			}
		}
		a.assign(i, start, a.at)
		if straddles {
			a.out.Inexact++
		}
	}
	for a.at < end {
		n := int32(a.dropped(a.text[a.at:end]))
		if n == 0 {
			return false
		}
		a.skip(a.at + n)
	}
	return true
}

// match removes from piece the longest common beginning with text, and returns its length in text.
func (a *aligner) match(piece *[]byte, text []byte) int {
	p := *piece
	if bytes.HasPrefix(text, p) {
		*piece = nil
		return len(p)
	}
	n := 0
	for len(p) > 0 && n < len(text) {
		size := 1
		if p[0] != text[n] {
			if !a.lowLine || p[0] != ' ' || !bytes.HasPrefix(text[n:], []byte(string(lowLine))) {
				break
			}
			size = len(string(lowLine))
		}
		p, n = p[1:], n+size
	}
	*piece = p
	return n
}
