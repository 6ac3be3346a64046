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
	shares := t.Shares()
	for {
		start, end, share, ok := shares.Next()
		if !ok {
			return shares.NoBytes()
		}
		give(start, end, share)
	}
}

// Shares walks the scored tokens as Spread does, one at a time.
type Shares struct {
	tokens   Tokens
	token    int   // the next one
	last     int32 // where the one before it ended
	unscored int   // the first unscored range that may hold it
	carried  compensated
	carries  bool
}

// Shares returns a walk over the tokens, whose slices it shares.
func (t Tokens) Shares() Shares { return Shares{tokens: t} }

// Next returns the bytes [start, end) of the next scored token and the loss in nats of each of these bytes; ok is false
// after the last.
func (s *Shares) Next() (start, end int32, share float64, ok bool) {
	t := &s.tokens
	for s.token < len(t.NLL) {
		i := s.token
		nll := t.NLL[i]
		start, end = s.last, t.Ends[i]
		if len(t.Starts) > 0 {
			start = t.Starts[i]
		}
		s.token, s.last = i+1, end
		if start == end {
			s.carried.add(nll)
			s.carries = true
			continue
		}
		for s.unscored < len(t.UnscoredEnds) && t.UnscoredEnds[s.unscored] <= start {
			s.unscored++
		}
		if s.unscored < len(t.UnscoredEnds) && t.UnscoredStarts[s.unscored] < end {
			continue
		}
		if s.carries {
			s.carried.add(nll)
			nll, s.carried, s.carries = s.carried.value(), compensated{}, false
		}
		return start, end, nll / float64(end-start), true
	}
	return 0, 0, 0, false
}

// NoBytes returns the loss of tokens without bytes that no token took so far.
func (s *Shares) NoBytes() float64 { return s.carried.value() }

// PerByte sets losses, which has an element for each byte of the text, to the bytes' losses in nats; 0 for those without.
func (t Tokens) PerByte(losses []float64) {
	clear(losses)
	t.Spread(func(start, end int32, share float64) {
		for i := start; i < end; i++ {
			losses[i] = share
		}
	})
}
