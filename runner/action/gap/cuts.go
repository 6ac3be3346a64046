package gap

import (
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/statistics"
)

// boundaries iterates over the boundaries of a document's tokens, in ascending order. Those of imported tables may be out
// of order; what is not greater than the boundary before is left out.
type boundaries struct {
	starts, ends []int32
	at           int32 // the current boundary
	size         int32
}

func newBoundaries(d *artifact.ScoredDocument) boundaries {
	b := boundaries{starts: d.TokenStarts, ends: d.TokenEnds, size: int32(len(d.Text))}
	b.next()
	return b
}

// next moves to the next boundary, or to the end of the text.
func (b *boundaries) next() {
	before := b.at
	for len(b.ends) > 0 {
		if len(b.starts) > 0 && b.starts[0] > before {
			b.at = b.starts[0]
			return
		}
		end := b.ends[0]
		b.ends = b.ends[1:]
		if len(b.starts) > 0 {
			b.starts = b.starts[1:]
		}
		if end > before {
			b.at = end
			return
		}
	}
	b.at = b.size
}

// cuts iterates over the parts of a text between boundaries that both tokenizers have. A part is cut differently if one
// of them has a boundary inside.
type cuts struct {
	a, b       boundaries
	start, end int32 // the current part
	// insideA and insideB are the boundaries inside: bit i for byte start+i. Later ones are only in differ.
	insideA, insideB uint32
	differ           bool
}

func newCuts(x, y *record) cuts {
	c := cuts{a: newBoundaries(&x.ScoredDocument), b: newBoundaries(&y.ScoredDocument)}
	c.next()
	return c
}

// next moves to the next part, which is empty at the end of the text.
func (c *cuts) next() {
	c.start, c.insideA, c.insideB, c.differ = c.end, 0, 0, false
	for c.a.at != c.b.at {
		c.differ = true
		if c.a.at < c.b.at {
			c.insideA |= 1 << (c.a.at - c.start)
			c.a.next()
		} else {
			c.insideB |= 1 << (c.b.at - c.start)
			c.b.next()
		}
	}
	c.end = c.a.at
	c.a.next()
	c.b.next()
}

// cutParts are sums over the parts of texts that both tokenizers cut alike, and over the others.
type cutParts struct {
	same, differ spread
	// share, sameGap and differGap are sums of the bytes that are cut differently, and of the bits of a minus those of b on
	// the two kinds of parts, over all bytes.
	share, sameGap, differGap statistics.Runs[int64]
	// unknown counts scored bytes of documents without tokens on a side.
	unknown  int64
	segments int64
}

// cutVisit is the state of the parts of a document that is being compared.
type cutVisit struct {
	cuts
	known         bool
	excluded      []span
	sumA, sumB    float64 // the running sums of the losses before the current part
	alike, unlike aggregate
}

// begin starts a document whose scored span begins with the given running sums.
func (v *cutVisit) begin(x, y *record, excluded []span, sumA, sumB float64) {
	*v = cutVisit{known: len(x.TokenEnds) > 0 && len(y.TokenEnds) > 0, excluded: excluded, sumA: sumA, sumB: sumB}
	if !v.known {
		return
	}
	v.cuts = newCuts(x, y)
	for v.end <= x.ScoreStart {
		v.next()
	}
}

// cut adds the parts that end in the walk's current block, clipped at the scored span.
func (v *visit) cut() {
	p, w := &v.cuts, &v.walk
	if !p.known {
		return
	}
	for {
		start, end := max(p.start, v.x.ScoreStart), min(p.end, v.x.ScoreEnd)
		if start >= end || end > w.at {
			return
		}
		sumA, sumB := w.sumsA[end-w.from], w.sumsB[end-w.from]
		lossA, lossB, bytes := sumA-p.sumA, sumB-p.sumB, scoredBytes(&p.excluded, start, end)
		p.sumA, p.sumB = sumA, sumB
		to := &p.alike
		if p.differ {
			to = &p.unlike
			if whole := start == p.start && end == p.end; whole && end-start <= literalBytes && bytes > 0 {
				v.c.parts.segments++
				at := v.place
				at.start, at.end = start, end
				v.c.counter.add(occurrence{
					text: v.x.Text[start:end], cuts: uint64(p.insideA)<<32 | uint64(p.insideB), lossA: lossA, lossB: lossB, bytes: bytes,
					order: v.c.parts.segments, unit: v.c.unit, place: at,
				})
			}
		}
		to.add(lossA, lossB, bytes, 1)
		p.next()
	}
}

// finish adds the sums of the document.
func (v *cutVisit) finish(c *comparison, bytes int64) {
	if !v.known {
		c.parts.unknown += bytes
		return
	}
	all := float64(v.alike.bytes + v.unlike.bytes)
	c.parts.share.Add(c.unit, float64(v.unlike.bytes), all)
	c.parts.sameGap.Add(c.unit, v.alike.deltaBits(), all)
	c.parts.differGap.Add(c.unit, v.unlike.deltaBits(), all)
	c.parts.same.part(c.unit, v.alike)
	c.parts.differ.part(c.unit, v.unlike)
}

// part adds a part of a unit, if it has bytes.
func (s *spread) part(unitID int64, of aggregate) {
	if of.bytes > 0 {
		s.add(unitID, of.lossA, of.lossB, of.bytes, of.count)
	}
}

// scoredBytes returns the number of bytes of [start, end) that are not excluded. It drops the spans that end before start.
func scoredBytes(excluded *[]span, start, end int32) int64 {
	for len(*excluded) > 0 && (*excluded)[0].end <= start {
		*excluded = (*excluded)[1:]
	}
	bytes := int64(end - start)
	for _, e := range *excluded {
		if e.start >= end {
			break
		}
		bytes -= int64(min(e.end, end) - max(e.start, start))
	}
	return bytes
}
