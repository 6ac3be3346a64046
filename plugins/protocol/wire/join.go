package wire

import (
	"fmt"
	"math"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/pluginpb"
)

// RowJoiner puts the rows of a stream together again.
type RowJoiner struct {
	row   protocol.Row
	bytes int
	open  bool
}

// Join calls emit with each row that parts complete. emit may keep it.
func (j *RowJoiner) Join(parts []*pluginpb.Row, emit func(protocol.Row) error) error {
	for _, part := range parts {
		values := part.GetValues()
		if !j.open {
			j.row = protocol.Row{
				Ordinal: part.GetOrdinal(), Shard: part.GetShard(), Number: part.GetNumber(), Problem: part.GetProblem(),
			}
			j.bytes = 0
		} else if len(values) > 0 {
			if len(j.row.Values) == 0 {
				return fmt.Errorf("row %d continues a value that it has not begun", j.row.Ordinal)
			}
			last := &j.row.Values[len(j.row.Values)-1]
			*last = append(*last, values[0]...)
			j.bytes += len(values[0])
			values = values[1:]
		}
		for _, value := range values {
			j.row.Values = append(j.row.Values, value)
			j.bytes += len(value)
		}
		if j.bytes > math.MaxInt32 {
			return fmt.Errorf("row %d has more than %d bytes", j.row.Ordinal, math.MaxInt32)
		}
		if j.open = part.GetContinued(); j.open {
			continue
		}
		if err := emit(j.row); err != nil {
			return err
		}
	}
	return nil
}

// End says whether the stream may end here.
func (j *RowJoiner) End() error {
	if j.open {
		return fmt.Errorf("the stream ended within row %d", j.row.Ordinal)
	}
	return nil
}

// DocumentJoiner puts the documents of a stream together again.
type DocumentJoiner struct {
	document protocol.Document
	text     strings.Builder
	open     bool
}

// Join calls emit with each document that parts complete.
func (j *DocumentJoiner) Join(parts []*pluginpb.Document, emit func(protocol.Document) error) error {
	for _, part := range parts {
		if !j.open {
			j.document = protocol.Document{
				Index: part.GetIndex(), Dataset: part.GetDataset(), Shard: part.GetShard(), Row: part.GetRow(),
				ScoreStart: part.GetScoreStart(), ScoreEnd: part.GetScoreEnd(), ParseSpecial: part.GetParseSpecial(),
			}
			j.text = strings.Builder{}
		}
		j.text.Write(part.GetText())
		if j.text.Len() > math.MaxInt32 {
			return fmt.Errorf("document %d has more than %d bytes", j.document.Index, math.MaxInt32)
		}
		if j.open = part.GetContinued(); j.open {
			continue
		}
		j.document.Text = j.text.String()
		if err := emit(j.document); err != nil {
			return err
		}
	}
	return nil
}

// End says whether the stream may end here.
func (j *DocumentJoiner) End() error {
	if j.open {
		return fmt.Errorf("the stream ended within document %d", j.document.Index)
	}
	return nil
}

// AnswerJoiner puts the scored documents of a stream together again.
type AnswerJoiner struct {
	answer protocol.ScoredDocument
	open   bool
}

// Join calls emit with each scored document that parts complete. emit may keep it.
func (j *AnswerJoiner) Join(parts []*pluginpb.ScoredDocument, emit func(protocol.ScoredDocument) error) error {
	for _, part := range parts {
		if !j.open {
			j.answer = protocol.ScoredDocument{Index: part.GetIndex(), EOSNLL: part.GetEosNll(), TotalNLL: part.GetTotalNll()}
		}
		a := &j.answer
		a.TokenIDs = extend(a.TokenIDs, part.GetTokenIds())
		a.TokenStarts = extend(a.TokenStarts, part.GetTokenStarts())
		a.TokenEnds = extend(a.TokenEnds, part.GetTokenEnds())
		a.TokenNLL = extend(a.TokenNLL, part.GetTokenNll())
		for _, u := range part.GetUnscored() {
			a.Unscored = append(a.Unscored, protocol.Unscored{Start: u.GetStart(), End: u.GetEnd(), Reason: u.GetReason()})
		}
		if len(a.TokenIDs) > math.MaxInt32 {
			return fmt.Errorf("the answer for document %d has more than %d tokens", a.Index, math.MaxInt32)
		}
		if j.open = part.GetContinued(); j.open {
			continue
		}
		if err := emit(j.answer); err != nil {
			return err
		}
	}
	return nil
}

// End says whether the stream may end here.
func (j *AnswerJoiner) End() error {
	if j.open {
		return fmt.Errorf("the stream ended within the answer for document %d", j.answer.Index)
	}
	return nil
}

// extend takes over tail where there is nothing to extend, which spares most answers a copy.
func extend[T any](s, tail []T) []T {
	if len(s) == 0 {
		return tail
	}
	return append(s, tail...)
}
