package protocol

import (
	"fmt"
	"math"
	"unicode/utf8"
)

// LossFloor is the smallest loss accepted, in nats: a loss computed as a difference of sums may fall below 0 by rounding.
const LossFloor = -1e-9

// LedgerTolerance bounds the difference between two sums of one document's losses, relative to the larger of the sum
// and one nat.
const LedgerTolerance = 1e-9

// maxReasonBytes bounds Unscored.Reason.
const maxReasonBytes = 100

// Ledger records where a document's losses went. Tokens = Span + Outside + EOS + NoBytes within LedgerTolerance; all
// five are in nats.
type Ledger struct {
	// Tokens is the sum of all losses from the backend, EOS included.
	Tokens float64
	// Span is the loss of bytes in the scored span; Outside is the loss of the text's other bytes.
	Span, Outside float64
	// EOS is the loss of the end-of-text token.
	EOS float64
	// NoBytes is the loss of tokens without bytes that could not be added to a later token with bytes.
	NoBytes float64
	// ScoredBytes counts the bytes of the scored span that have a loss.
	ScoredBytes int64
	// UnscoredBytes counts the others by reason; nil if there are none.
	UnscoredBytes map[string]int64
}

// Check rejects a document that no backend could score, with an error of kind InvalidInput.
func (d Document) Check() error {
	fault := func(format string, values ...any) error {
		return &Error{Kind: InvalidInput, Message: d.String() + ": " + fmt.Sprintf(format, values...)}
	}
	switch {
	case len(d.Text) > MaxTextBytes:
		return fault("the text has %d bytes, more than the %d that a document can have; split it, or lower limits.bytes",
			len(d.Text), MaxTextBytes)
	case d.ScoreStart < 0 || d.ScoreEnd < d.ScoreStart || int(d.ScoreEnd) > len(d.Text):
		return fault("the scored span is [%d, %d), outside the text of %d bytes", d.ScoreStart, d.ScoreEnd, len(d.Text))
	case !utf8.ValidString(d.Text):
		return fault("the text is not valid UTF-8; repair the source or have invalid bytes replaced")
	}
	return nil
}

// String names the document for people.
func (d Document) String() string {
	return fmt.Sprintf("dataset %q, shard %q, row %d", d.Dataset, d.Shard, d.Row)
}

// Check reports whether s is a well-formed answer of a model m for the document d. Each token has one span, one id and
// one finite loss. The spans and the ranges without tokens together tile the text. The losses add up to TotalNLL.
func Check(d Document, s ScoredDocument, m LoadedModel) error {
	if err := check(d, s, m); err != nil {
		return fmt.Errorf("%v: the backend's answer is broken: %w", d, err)
	}
	return nil
}

func check(d Document, s ScoredDocument, m LoadedModel) error {
	n := len(s.TokenIDs)
	if s.Index != d.Index {
		return fmt.Errorf("it is for document %d, not %d", s.Index, d.Index)
	}
	if len(s.TokenStarts) != n || len(s.TokenEnds) != n || len(s.TokenNLL) != n {
		return fmt.Errorf("it has %d token ids, %d starts, %d ends and %d losses; their numbers must be equal",
			n, len(s.TokenStarts), len(s.TokenEnds), len(s.TokenNLL))
	}
	length := int32(len(d.Text))
	if err := checkUnscored(s.Unscored, length); err != nil {
		return err
	}
	var sum compensated
	c := coverage{length: length, vocabulary: m.VocabularySize, unscored: s.Unscored}
	for i := range n {
		if err := c.token(i, s.TokenIDs[i], s.TokenStarts[i], s.TokenEnds[i], s.TokenNLL[i]); err != nil {
			return err
		}
		sum.add(s.TokenNLL[i])
	}
	if c.skip(length); c.at != length {
		return fmt.Errorf("no token covers the bytes [%d, %d) at the end, and the range is not marked %q", c.at, length, ReasonNoToken)
	}
	if math.IsNaN(s.EOSNLL) || math.IsInf(s.EOSNLL, 0) || s.EOSNLL < LossFloor {
		return fmt.Errorf("the end-of-text token has the loss %v nats; a loss is finite and at least %v", s.EOSNLL, LossFloor)
	}
	if s.EndUnscored() && s.EOSNLL != 0 {
		return fmt.Errorf("the end-of-text token is unscored but has a loss of %v nats", s.EOSNLL)
	}
	if err := s.CheckConfidence(m.VocabularySize); err != nil {
		return err
	}
	sum.add(s.EOSNLL)
	if total := sum.value(); !agree(total, s.TotalNLL) {
		return fmt.Errorf("its losses add up to %v nats, but its total is %v; data was lost or changed in transit", total, s.TotalNLL)
	}
	return nil
}

// checkUnscored checks the ranges of a text of length bytes that have no loss. Only the last may be empty, at the end.
func checkUnscored(ranges []Unscored, length int32) error {
	last := int32(0)
	for i, u := range ranges {
		end := u.Start == length && u.End == length && i == len(ranges)-1
		if u.Start < last || u.End <= u.Start && !end || u.End > length {
			return fmt.Errorf("unscored range %d is [%d, %d); ranges must not be empty, follow each other and end by byte %d",
				i, u.Start, u.End, length)
		}
		if u.Reason == "" {
			return fmt.Errorf("unscored range %d, [%d, %d), gives no reason", i, u.Start, u.End)
		}
		if len(u.Reason) > maxReasonBytes || Visible(u.Reason) != u.Reason {
			return fmt.Errorf("unscored range %d, [%d, %d), gives the reason %.100q; a reason is one line of at most %d bytes",
				i, u.Start, u.End, u.Reason, maxReasonBytes)
		}
		last = u.End
	}
	return nil
}

// coverage tracks the position of the tokens in a text of length bytes.
type coverage struct {
	length     int32
	vocabulary int64
	// at is the end of the covered bytes.
	at int32
	// unscored are the ranges that do not end before at.
	unscored []Unscored
}

// skip moves over the ranges before byte to. Ranges without tokens cover their own bytes, as ranges of ReasonNotRequested
// may. Tokens cover the others.
func (c *coverage) skip(to int32) {
	for len(c.unscored) > 0 {
		u := c.unscored[0]
		switch {
		case u.End <= c.at:
		case c.at < to && u.Start == c.at && (u.Reason == ReasonNoToken || u.Reason == ReasonNotRequested):
			c.at = u.End
		default:
			return
		}
		c.unscored = c.unscored[1:]
	}
}

// token checks token i and moves past it.
func (c *coverage) token(i int, id, start, end int32, nll float64) error {
	if id < 0 || c.vocabulary > 0 && int64(id) >= c.vocabulary {
		return fmt.Errorf("token %d at byte %d has id %d, outside the vocabulary of %d; the tokenizer may not be this model's",
			i, start, id, c.vocabulary)
	}
	c.skip(start)
	switch {
	case start < c.at:
		return fmt.Errorf("token %d, [%d, %d), starts before byte %d, where the previous token ended", i, start, end, c.at)
	case start > c.at:
		return fmt.Errorf("no token covers the bytes [%d, %d) before token %d, and the range is not marked %q", c.at, start, i, ReasonNoToken)
	case end < start || end > c.length:
		return fmt.Errorf("token %d, [%d, %d), is not inside the text of %d bytes", i, start, end, c.length)
	}
	if math.IsNaN(nll) || math.IsInf(nll, 0) {
		return fmt.Errorf("token %d at byte %d has the loss %v, which is not finite; the weights or the tokenizer may not match the model",
			i, start, nll)
	}
	if nll < LossFloor {
		return fmt.Errorf("token %d at byte %d has the loss %v nats; a loss is at least %v", i, start, nll, LossFloor)
	}
	if end > start && len(c.unscored) > 0 && c.unscored[0].Start < end {
		u := c.unscored[0]
		if start < u.Start || end > u.End {
			return fmt.Errorf("token %d, [%d, %d), is only partly inside the unscored range [%d, %d)", i, start, end, u.Start, u.End)
		}
		if u.Reason == ReasonNoToken {
			return fmt.Errorf("token %d, [%d, %d), is in a range marked %q", i, start, end, ReasonNoToken)
		}
		if nll != 0 {
			return fmt.Errorf("token %d at byte %d is unscored (%s) but has a loss of %v nats", i, start, u.Reason, nll)
		}
	}
	c.at = end
	return nil
}

// Account checks the answer s of a model m for the document d. It returns the ledger of the losses, which Tokens.Spread
// distributes over bytes.
func Account(d Document, s ScoredDocument, m LoadedModel) (l Ledger, err error) {
	if err := d.Check(); err != nil {
		return Ledger{}, err
	}
	if err := Check(d, s, m); err != nil {
		return Ledger{}, err
	}
	l.EOS = s.EOSNLL

	var tokens, span, outside compensated
	for _, nll := range s.TokenNLL {
		tokens.add(nll)
	}
	l.NoBytes = s.Tokens().Spread(func(start, end int32, share float64) {
		inside := max(0, min(end, d.ScoreEnd)-max(start, d.ScoreStart))
		span.add(share * float64(inside))
		outside.add(share * float64(end-start-inside))
	})
	tokens.add(s.EOSNLL)
	l.Tokens, l.Span, l.Outside = tokens.value(), span.value(), outside.value()

	l.ScoredBytes = int64(d.ScoreEnd - d.ScoreStart)
	for _, u := range s.Unscored {
		inside := int64(min(u.End, d.ScoreEnd)) - int64(max(u.Start, d.ScoreStart))
		if inside <= 0 {
			continue
		}
		if l.UnscoredBytes == nil {
			l.UnscoredBytes = map[string]int64{}
		}
		l.UnscoredBytes[u.Reason] += inside
		l.ScoredBytes -= inside
	}

	var accounts compensated
	for _, nats := range []float64{l.Span, l.Outside, l.EOS, l.NoBytes} {
		accounts.add(nats)
	}
	if total := accounts.value(); !agree(total, l.Tokens) {
		return Ledger{}, fmt.Errorf("%v: the ledger does not balance: the tokens' losses are %v nats, the entries add up to %v", d, l.Tokens, total)
	}
	return l, nil
}

// agree is false if either value is not finite.
func agree(a, b float64) bool {
	return math.Abs(a-b) <= LedgerTolerance*max(1, math.Abs(a), math.Abs(b)) && !math.IsInf(a, 0) && !math.IsInf(b, 0)
}

// compensated adds with an error that does not grow with the number of terms: Neumaier, "Rundungsfehleranalyse einiger
// Verfahren zur Summation endlicher Summen", ZAMM 54 (1974).
type compensated struct {
	sum, lost float64
}

func (c *compensated) add(x float64) {
	t := c.sum + x
	if math.Abs(c.sum) >= math.Abs(x) {
		c.lost += (c.sum - t) + x
	} else {
		c.lost += (x - t) + c.sum
	}
	c.sum = t
}

func (c *compensated) value() float64 { return c.sum + c.lost }
