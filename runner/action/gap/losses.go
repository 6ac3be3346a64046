package gap

import (
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
)

// span is the bytes [start, end).
type span struct{ start, end int32 }

// losses walks what one model lost on a document, in runs of bytes with equal loss that tile the text. It holds none of
// the losses: a document of any size costs what its tokens do.
type losses struct {
	perByte []float64       // what is left of losses by byte, or
	shares  protocol.Shares // tokens that explain them
	size    int32           // bytes of the text
	rest    []span          // excluded bytes that are still to come, in order and disjoint

	from, end int32 // the bytes of the share that was read last
	share     float64

	at, to int32 // the bytes of the current run that are still to come
	loss   float64
	scored bool // false for excluded bytes, whose loss is 0
}

// newLosses returns the losses on all bytes of a document but the excluded ones.
func newLosses(d *artifact.ScoredDocument, excluded []span) losses {
	l := losses{perByte: d.PerByteLoss, size: int32(len(d.Text)), rest: excluded}
	if len(d.PerByteLoss) == 0 {
		l.shares = d.Tokens().Shares()
	}
	return l
}

// read reads the next share. After the last one, a share without loss reaches to the end of the text.
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

// fill makes sure that at least one byte of a run is to come. The text must go on.
func (l *losses) fill() {
	if l.at < l.to {
		return
	}
	for l.end <= l.at {
		l.read()
	}
	l.scored = true
	if l.at < l.from {
		l.loss, l.to = 0, l.from // bytes that no token has
	} else {
		l.loss, l.to = l.share, l.end
	}
	for len(l.rest) > 0 && l.rest[0].end <= l.at {
		l.rest = l.rest[1:]
	}
	switch {
	case len(l.rest) == 0:
	case l.rest[0].start <= l.at:
		l.loss, l.scored, l.to = 0, false, min(l.to, l.rest[0].end)
	default:
		l.to = min(l.to, l.rest[0].start)
	}
}

// take sets into to the losses of the bytes that come next.
func (l *losses) take(into []float64) {
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

// skip passes over bytes up to end.
func (l *losses) skip(end int32) {
	for l.at < end {
		l.fill()
		l.at = min(end, l.to)
	}
}

// sum adds up the losses of the n bytes that come next, in blocks of up to 128 with eight running sums each, the blocks
// two by two (pairwise summation; Higham 1993). It is the order in which numpy sums a contiguous array, so that totals
// agree to the last bit.
func (l *losses) sum(n int) float64 {
	if n > sumBlock {
		half := n / 2
		half -= half % 8
		first := l.sum(half)
		return first + l.sum(n-half)
	}
	var block [sumBlock]float64
	l.take(block[:n])
	return sumOf(block[:n])
}

// walk goes over a document's bytes with the losses of both sides.
type walk struct {
	a, b losses
	at   int32
	// sumA and sumB are the running sums of the losses of the bytes before at.
	sumA, sumB float64
	scored     int64 // bytes before at that are not excluded
	zeroLoss   Bytes // those of them that cost nothing
}

// advance goes on to byte end.
func (w *walk) advance(end int32) {
	for w.at < end {
		w.a.fill()
		w.b.fill()
		to := min(end, w.a.to, w.b.to)
		a, b, n := w.a.loss, w.b.loss, int64(to-w.at)
		for range n {
			w.sumA += a
			w.sumB += b
		}
		if w.a.scored {
			w.scored += n
			if a == 0 || b == 0 {
				w.zeroLoss.Either += n
				if a == 0 {
					w.zeroLoss.A += n
				}
				if b == 0 {
					w.zeroLoss.B += n
				}
			}
		}
		w.at, w.a.at, w.b.at = to, to, to
	}
}
