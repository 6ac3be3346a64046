package protocol

// Tokens are the tokens of a document with their losses. [Starts[i], Ends[i]) are the bytes of token i and NLL[i] is
// its loss in nats; the bytes of tokens ascend. If Starts is empty, each token starts where the previous token ended,
// the first at byte 0. The ranges [UnscoredStarts[i], UnscoredEnds[i]) ascend and have no loss. A token with bytes is
// inside one range or outside all of them.
type Tokens struct {
	Starts, Ends                 []int32
	NLL                          []float64
	UnscoredStarts, UnscoredEnds []int32
}

// Tokens returns the answer's tokens, which share its slices. The end-of-text token is not among them.
func (s ScoredDocument) Tokens() Tokens {
	t := Tokens{Starts: s.TokenStarts, Ends: s.TokenEnds, NLL: s.TokenNLL}
	unscored := s.Unscored
	if s.EndUnscored() {
		unscored = unscored[:len(unscored)-1]
	}
	for _, u := range unscored {
		t.UnscoredStarts, t.UnscoredEnds = append(t.UnscoredStarts, u.Start), append(t.UnscoredEnds, u.End)
	}
	return t
}

// Spread distributes the losses of tokens over their bytes. It calls give with the bytes [start, end) of every scored
// token, in order, and the loss in nats of each of these bytes. Other bytes have no loss.
//
// A token's loss is distributed uniformly over its bytes, so a token that straddles the edge of the scored span
// contributes to both sides. The loss of a token without bytes is added to the next scored token with bytes. Spread
// returns the loss that remains because no such token follows.
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

// Shares iterates over the scored tokens as Spread does, one at a time.
type Shares struct {
	tokens   Tokens
	token    int   // the next one
	last     int32 // where the previous token ended
	unscored int   // the first unscored range that may hold it
	carried  compensated
	carries  bool
}

// Shares returns an iterator over the tokens, whose slices it shares.
func (t Tokens) Shares() Shares { return Shares{tokens: t} }

// Next returns the bytes [start, end) of the next scored token and the loss in nats of each of these bytes. ok is false
// after the last token.
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

// NoBytes returns the loss of tokens without bytes that has not been added to a later token so far.
func (s *Shares) NoBytes() float64 { return s.carried.value() }

// PerByte sets losses, which has one element per byte of the text, to the bytes' losses in nats; 0 for bytes without
// one.
func (t Tokens) PerByte(losses []float64) {
	clear(losses)
	t.Spread(func(start, end int32, share float64) {
		for i := start; i < end; i++ {
			losses[i] = share
		}
	})
}
