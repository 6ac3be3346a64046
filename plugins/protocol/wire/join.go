package wire

import (
	"fmt"
	"slices"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/pluginpb"
)

// RowJoiner reassembles the rows of a stream. It rejects data that exceeds the protocol's bounds as soon as it arrives.
type RowJoiner struct {
	fields int
	row    protocol.Row
	last   parts[byte] // of the row's last value
	open   bool
}

// NewRowJoiner returns a joiner of rows with at most that many values.
func NewRowJoiner(fields int) *RowJoiner { return &RowJoiner{fields: fields} }

// Join calls emit with each row that messages complete. emit may keep it.
func (j *RowJoiner) Join(messages []*pluginpb.Row, emit func(protocol.Row) error) error {
	for _, m := range messages {
		if err := j.take(m); err != nil {
			return fmt.Errorf("row %d %w", j.row.Ordinal, err)
		}
		if j.open = m.GetContinued(); j.open {
			continue
		}
		j.endValue()
		if err := emit(j.row); err != nil {
			return err
		}
	}
	return nil
}

func (j *RowJoiner) take(m *pluginpb.Row) error {
	values := m.GetValues()
	if !j.open {
		j.row = protocol.Row{Ordinal: m.GetOrdinal(), Shard: m.GetShard(), Number: m.GetNumber(), Problem: m.GetProblem()}
		if n := len(j.row.Problem); n > protocol.MaxProblemBytes {
			return fmt.Errorf("has a problem of %d bytes; it may have %d", n, protocol.MaxProblemBytes)
		}
	} else if len(values) > 0 {
		if len(j.row.Values) == 0 {
			return fmt.Errorf("continues a value that was not begun")
		}
		if err := j.add(values[0]); err != nil {
			return err
		}
		values = values[1:]
	}
	for _, value := range values {
		j.endValue()
		if len(j.row.Values) == j.fields {
			return fmt.Errorf("has more than %d values, one for each field", j.fields)
		}
		j.row.Values = append(j.row.Values, nil)
		if err := j.add(value); err != nil {
			return err
		}
	}
	return nil
}

func (j *RowJoiner) add(part []byte) error {
	if j.last.add(part); j.last.n > protocol.MaxTextBytes {
		return fmt.Errorf("has a value of more than %d bytes, the maximum for a value", protocol.MaxTextBytes)
	}
	return nil
}

func (j *RowJoiner) endValue() {
	if n := len(j.row.Values); n > 0 {
		if j.row.Values[n-1] = j.last.join(); j.row.Values[n-1] == nil {
			j.row.Values[n-1] = []byte{}
		}
	}
}

// End reports whether the stream may end here.
func (j *RowJoiner) End() error {
	if j.open {
		return fmt.Errorf("the stream ended within row %d", j.row.Ordinal)
	}
	return nil
}

// DocumentJoiner reassembles the documents of a stream.
type DocumentJoiner struct {
	document protocol.Document
	text     parts[byte]
	open     bool
}

// Join calls emit with each document that messages complete.
func (j *DocumentJoiner) Join(messages []*pluginpb.Document, emit func(protocol.Document) error) error {
	for _, m := range messages {
		if !j.open {
			j.document = protocol.Document{
				Index: m.GetIndex(), Dataset: m.GetDataset(), Shard: m.GetShard(), Row: m.GetRow(),
				ScoreStart: m.GetScoreStart(), ScoreEnd: m.GetScoreEnd(), ParseSpecial: m.GetParseSpecial(),
			}
		}
		if j.text.add(m.GetText()); j.text.n > protocol.MaxTextBytes {
			return fmt.Errorf("document %d has more than %d bytes, the maximum for a document",
				j.document.Index, protocol.MaxTextBytes)
		}
		if j.open = m.GetContinued(); j.open {
			continue
		}
		j.document.Text = text(&j.text)
		if err := emit(j.document); err != nil {
			return err
		}
	}
	return nil
}

// text returns the text of the pieces, and clears them.
func text(p *parts[byte]) string {
	var b strings.Builder
	b.Grow(p.n)
	for _, part := range p.all {
		b.Write(part)
	}
	*p = parts[byte]{}
	return b.String()
}

// End reports whether the stream may end here.
func (j *DocumentJoiner) End() error {
	if j.open {
		return fmt.Errorf("the stream ended within document %d", j.document.Index)
	}
	return nil
}

// AnswerJoiner reassembles the scored documents of a stream.
type AnswerJoiner struct {
	begin func(index int64) (tokens int, err error)

	answer            protocol.ScoredDocument
	ids, starts, ends parts[int32]
	nll               parts[float64]
	tops, ranks       parts[int32]
	topNLL, entropies parts[float64]
	topKMass          parts[float64]
	unscored          parts[protocol.Unscored]
	tokens            int
	open              bool
}

// NewAnswerJoiner returns a joiner that calls begin at the first message of each answer for the maximum number of
// tokens and unscored ranges of the answer.
func NewAnswerJoiner(begin func(index int64) (tokens int, err error)) *AnswerJoiner {
	return &AnswerJoiner{begin: begin}
}

// Join calls emit with each scored document that messages complete. emit may keep it.
func (j *AnswerJoiner) Join(messages []*pluginpb.ScoredDocument, emit func(protocol.ScoredDocument) error) error {
	for _, m := range messages {
		if !j.open {
			j.answer = protocol.ScoredDocument{
				Index: m.GetIndex(), EOSNLL: m.GetEosNll(), TotalNLL: m.GetTotalNll(), Activations: toActivations(m.GetActivations()),
				SharedTokens: m.GetSharedTokens(),
			}
			var err error
			if j.tokens, err = j.begin(j.answer.Index); err != nil {
				return err
			}
		}
		j.take(m)
		n := max(j.ids.n, j.starts.n, j.ends.n, j.nll.n, j.unscored.n, j.tops.n, j.topNLL.n, j.ranks.n, j.entropies.n, j.topKMass.n)
		if n > j.tokens {
			return fmt.Errorf("the answer for document %d has more than %d tokens or unscored ranges, far more than its text has bytes",
				j.answer.Index, j.tokens)
		}
		if j.open = m.GetContinued(); j.open {
			continue
		}
		a := &j.answer
		a.TokenIDs = j.ids.join()
		a.TokenStarts, a.TokenEnds = joinSpans(&j.starts, &j.ends)
		a.TokenNLL, a.Unscored = j.nll.join(), j.unscored.join()
		a.Confidence = protocol.Confidence{
			Top: j.tops.join(), TopNLL: j.topNLL.join(), Ranks: j.ranks.join(), Entropies: j.entropies.join(),
			TopKMass: j.topKMass.join(),
		}
		if err := emit(*a); err != nil {
			return err
		}
	}
	return nil
}

func (j *AnswerJoiner) take(m *pluginpb.ScoredDocument) {
	j.ids.add(m.GetTokenIds())
	j.starts.add(m.GetTokenStarts())
	j.ends.add(m.GetTokenEnds())
	j.nll.add(m.GetTokenNll())
	j.tops.add(m.GetTopIds())
	j.topNLL.add(m.GetTopNll())
	j.ranks.add(m.GetRanks())
	j.entropies.add(m.GetEntropies())
	j.topKMass.add(m.GetTopKMass())
	if len(m.GetUnscored()) == 0 {
		return
	}
	unscored := make([]protocol.Unscored, len(m.GetUnscored()))
	for i, u := range m.GetUnscored() {
		unscored[i] = protocol.Unscored{Start: u.GetStart(), End: u.GetEnd(), Reason: u.GetReason()}
	}
	j.unscored.add(unscored)
}

// End reports whether the stream may end here.
func (j *AnswerJoiner) End() error {
	if j.open {
		return fmt.Errorf("the stream ended within the answer for document %d", j.answer.Index)
	}
	return nil
}

// joinSpans returns the starts and the ends of tokens, and clears the pieces. Where each token starts at the end of the
// one before, as usual, those of a large document share their memory.
func joinSpans(starts, ends *parts[int32]) (from, to []int32) {
	if len(ends.all) < 2 || starts.n != ends.n {
		return starts.join(), ends.join()
	}
	all := make([]int32, 1, 1+ends.n)
	all[0] = starts.all[0][0]
	for _, part := range ends.all {
		all = append(all, part...)
	}
	rest := all
	for _, part := range starts.all {
		if !slices.Equal(part, rest[:len(part)]) {
			*ends = parts[int32]{}
			return starts.join(), all[1:]
		}
		rest = rest[len(part):]
	}
	*starts, *ends = parts[int32]{}, parts[int32]{}
	return all[: len(all)-1 : len(all)-1], all[1:]
}

// parts are the pieces of a slice. They are copied once, when all have arrived.
type parts[T any] struct {
	all [][]T
	n   int
}

func (p *parts[T]) add(part []T) {
	if len(part) > 0 {
		p.all = append(p.all, part)
		p.n += len(part)
	}
}

// join returns the slice and clears the pieces. A single piece is not copied, which is the usual case.
func (p *parts[T]) join() []T {
	all := p.all
	*p = parts[T]{}
	if len(all) == 1 {
		return all[0]
	}
	return slices.Concat(all...)
}
