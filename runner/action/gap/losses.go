package gap

import (
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
)

// span is the bytes [start, end).
type span struct{ start, end int32 }

// losses iterates over one model's losses on a document, in runs of bytes with equal loss that tile the text. It does
// not store the losses per byte: its memory is that of the document's tokens.
type losses struct {
	perByte []float64       // the remaining losses per byte, or
	shares  protocol.Shares // the tokens from which they follow, or
	ends    []int32         // the ends of the remaining tokens, if they are plain, and
	nll     []float64       // their losses
	plain   bool
	size    int32  // bytes of the text
	rest    []span // the remaining excluded bytes, in order and disjoint

	from, end int32 // the bytes of the last share
	share     float64

	at, to int32 // the remaining bytes of the current run
	loss   float64
}

// newLosses returns the losses on all bytes of a document except the excluded ones.
func newLosses(d *artifact.ScoredDocument, excluded []span) losses {
	l := losses{perByte: d.PerByteLoss, size: int32(len(d.Text)), rest: excluded}
	switch {
	case len(d.PerByteLoss) > 0:
	case len(excluded) == 0 && plain(d):
		l.plain, l.ends, l.nll = true, d.TokenEnds, d.TokenNLL
	default:
		l.shares = d.Tokens().Shares()
	}
	return l
}

// plain reports whether the tokens of a document tile its text from byte 0, all have bytes and are all scored. Each
// token then keeps its own loss.
func plain(d *artifact.ScoredDocument) bool {
	if len(d.TokenStarts) > 0 || len(d.UnscoredStarts) > 0 {
		return false
	}
	last := int32(0)
	for _, end := range d.TokenEnds {
		if end == last {
			return false
		}
		last = end
	}
	return true
}

// read reads the next share. After the last one, a share without loss extends to the end of the text.
func (l *losses) read() {
	if len(l.perByte) > 0 {
		n := 1
		for n < len(l.perByte) && l.perByte[n] == l.perByte[0] {
			n++
		}
		l.from, l.end, l.share = l.end, l.end+int32(n), l.perByte[0]
		l.perByte = l.perByte[n:]
		return
	}
	start, end, share, ok := l.shares.Next()
	if !ok {
		start, end, share = l.end, l.size, 0
	}
	l.from, l.end, l.share = start, end, share
}

// fill makes sure that the current run has at least one remaining byte. The text must not be at its end.
func (l *losses) fill() {
	if l.at < l.to {
		return
	}
	for l.end <= l.at {
		l.read()
	}
	if l.at < l.from {
		l.loss, l.to = 0, l.from // bytes outside all tokens
	} else {
		l.loss, l.to = l.share, l.end
	}
	for len(l.rest) > 0 && l.rest[0].end <= l.at {
		l.rest = l.rest[1:]
	}
	switch {
	case len(l.rest) == 0:
	case l.rest[0].start <= l.at:
		l.loss, l.to = 0, min(l.to, l.rest[0].end)
	default:
		l.to = min(l.to, l.rest[0].start)
	}
}

// take sets into to the losses of the next bytes.
func (l *losses) take(into []float64) {
	if l.plain {
		l.takePlain(into)
		return
	}
	for len(into) > 0 {
		l.fill()
		n := min(int32(len(into)), l.to-l.at)
		for i := range into[:n] {
			into[i] = l.loss
		}
		into = into[n:]
		l.at += n
	}
}

// takePlain is take for plain tokens, which most documents have.
func (l *losses) takePlain(into []float64) {
	at, to, loss := l.at, l.to, l.loss
	for len(into) > 0 {
		if at == to {
			if len(l.ends) > 0 {
				to = l.ends[0]
				loss = l.nll[0] / float64(to-at)
				l.ends, l.nll = l.ends[1:], l.nll[1:]
			} else {
				to, loss = l.size, 0
			}
		}
		n := min(len(into), int(to-at))
		for i := range into[:n] {
			into[i] = loss
		}
		into = into[n:]
		at += int32(n)
	}
	l.at, l.to, l.loss = at, to, loss
}

// walk iterates once over a document's bytes with the losses of both sides, block by block.
type walk struct {
	a, b     losses
	excluded []span // the excluded spans that do not end before the block
	at       int32  // end of the block
	zeroLoss Bytes  // scored bytes with a loss of zero
	from     int32  // start of the block
	// blockA and blockB are the losses of the block's bytes. sumsA and sumsB are the running sums of all losses before
	// each of these bytes, and before the byte after them.
	blockA, blockB [sumBlock]float64
	sumsA, sumsB   [sumBlock + 1]float64
}

// next advances by a block of n bytes.
func (w *walk) next(n int) {
	a, b := w.blockA[:n], w.blockB[:n]
	w.a.take(a)
	w.b.take(b)
	last := w.at - w.from
	sumA, sumB := w.sumsA[last], w.sumsB[last]
	sumsA, sumsB := w.sumsA[:n+1], w.sumsB[:n+1]
	for i := range n {
		sumsA[i], sumsB[i] = sumA, sumB
		sumA += a[i]
		sumB += b[i]
	}
	sumsA[n], sumsB[n] = sumA, sumB
	w.from, w.at = w.at, w.at+int32(n)
}

// skip skips the bytes up to end.
func (w *walk) skip(end int32) {
	for w.at < end {
		w.next(int(min(end-w.at, sumBlock)))
	}
}

// sum sums the losses of the next n bytes, in blocks of up to 128 with eight running sums each, and the blocks in pairs
// (pairwise summation; Higham 1993). NumPy sums a contiguous array in the same order, so that totals agree to the last
// bit. After each block it calls visit.
func (w *walk) sum(n int, visit func()) (a, b float64) {
	if n <= sumBlock {
		w.next(n)
		w.countZeros()
		visit()
		return sumOf(w.blockA[:n]), sumOf(w.blockB[:n])
	}
	half := n / 2
	half -= half % 8
	a, b = w.sum(half, visit)
	restA, restB := w.sum(n-half, visit)
	return a + restA, b + restB
}

// countZeros counts the block's scored bytes with a loss of zero.
func (w *walk) countZeros() {
	a := w.blockA[:w.at-w.from]
	b := w.blockB[:len(a)]
	for i := range a {
		if a[i] != 0 && b[i] != 0 {
			continue
		}
		at := w.from + int32(i)
		for len(w.excluded) > 0 && w.excluded[0].end <= at {
			w.excluded = w.excluded[1:]
		}
		if len(w.excluded) > 0 && w.excluded[0].start <= at {
			continue
		}
		w.zeroLoss.Either++
		if a[i] == 0 {
			w.zeroLoss.A++
		}
		if b[i] == 0 {
			w.zeroLoss.B++
		}
	}
}
