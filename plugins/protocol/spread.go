package protocol

// Tokens are the tokens of a document with their losses. [Starts[i], Ends[i]) are the bytes of token i and NLL[i] is its
// loss in nats; the bytes of tokens ascend. Where Starts is empty, each token starts where the one before it ended, the
// first at byte 0. The ranges [UnscoredStarts[i], UnscoredEnds[i]) ascend and have no loss; a token with bytes lies in one
// or in none.
type Tokens struct {
	Starts, Ends                 []int32
	NLL                          []float64
	UnscoredStarts, UnscoredEnds []int32
}

// Tokens returns the answer's tokens, which share its slices.
func (s ScoredDocument) Tokens() Tokens {
	t := Tokens{Starts: s.TokenStarts, Ends: s.TokenEnds, NLL: s.TokenNLL}
	for _, u := range s.Unscored {
		t.UnscoredStarts, t.UnscoredEnds = append(t.UnscoredStarts, u.Start), append(t.UnscoredEnds, u.End)
	}
	return t
}

// Spread gives bytes the losses of their tokens: it calls give with the bytes [start, end) of every scored token, in
// order, and the loss in nats of each of these bytes. Bytes that it leaves out have none.
//
// A token's loss is spread evenly over its bytes, so a token that straddles the edge of the scored span leaves its share
// on either side. A token without bytes passes its loss on to the next scored token with bytes; Spread returns what no
// token took.
func (t Tokens) Spread(give func(start, end int32, share float64)) (noBytes float64) {
	var carried compensated
	carries := false
	next, last := 0, int32(0)
	for i, nll := range t.NLL {
		start, end := last, t.Ends[i]
		if len(t.Starts) > 0 {
			start = t.Starts[i]
		}
		last = end
		if start == end {
			carried.add(nll)
			carries = true
			continue
		}
		if next < len(t.UnscoredEnds) {
			for next < len(t.UnscoredEnds) && t.UnscoredEnds[next] <= start {
				next++
			}
			if next < len(t.UnscoredEnds) && t.UnscoredStarts[next] < end {
				continue
			}
		}
		if carries {
			carried.add(nll)
			nll, carried, carries = carried.value(), compensated{}, false
		}
		give(start, end, nll/float64(end-start))
	}
	return carried.value()
}

// PerByte sets losses, which has an element for each byte of the text, to the bytes' losses in nats; 0 for those without.
func (t Tokens) PerByte(losses []float64) {
	clear(losses)
	t.Spread(func(start, end int32, share float64) {
		for i := start; i < end; i++ {
			losses[i] = share
		}
	})
}
