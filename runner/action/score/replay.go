package score

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
)

// Replay checks a score's tables against each other. For every document, the losses of the bytes and of the tokens must
// sum to the ledger's categories, and these to their total, all within protocol.LedgerTolerance. It returns the number
// of documents checked.
func Replay(scoredPath, ledgerPath string) (documents int64, err error) {
	scored, err := artifact.OpenLosses(scoredPath)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, scored.Close()) }()
	ledger, err := artifact.OpenLedger(ledgerPath)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, ledger.Close()) }()
	next, stop := iter.Pull2(ledger.All())
	defer stop()
	for d, err := range scored.All() {
		if err != nil {
			return documents, err
		}
		row, err, ok := next()
		if err != nil {
			return documents, err
		}
		if !ok {
			return documents, fmt.Errorf("shard %q row %d has no ledger", d.Shard, d.Row)
		}
		if err := replay(d, row); err != nil {
			return documents, fmt.Errorf("shard %q row %d: %w", d.Shard, d.Row, err)
		}
		documents++
	}
	row, err, ok := next()
	if err != nil {
		return documents, err
	}
	if ok {
		return documents, fmt.Errorf("the ledger has a row for shard %q row %d, but the scores have none", row.Shard, row.Row)
	}
	return documents, nil
}

func replay(d artifact.ScoredDocument, l artifact.LedgerRow) error {
	if d.Shard != l.Shard || d.Row != l.Row {
		return fmt.Errorf("the ledger has shard %q row %d in this position", l.Shard, l.Row)
	}
	starts, ends := l.UnscoredText()
	if len(starts) < len(l.UnscoredStarts) && l.EOSNats != 0 {
		return fmt.Errorf("the end-of-text token is unscored, but the ledger records %v nats for it", l.EOSNats)
	}
	if !slices.Equal(d.UnscoredStarts, starts) || !slices.Equal(d.UnscoredEnds, ends) {
		return fmt.Errorf("unscored ranges start at %d and end at %d, but in the ledger they start at %d and end at %d",
			d.UnscoredStarts, d.UnscoredEnds, l.UnscoredStarts, l.UnscoredEnds)
	}
	scored := d.ScoreEnd - d.ScoreStart
	for i, start := range d.UnscoredStarts {
		scored -= max(0, min(d.UnscoredEnds[i], d.ScoreEnd)-max(start, d.ScoreStart))
	}
	var span, outside float64
	noBytes := d.Spread(func(start, end int32, share float64) {
		inside := max(0, min(end, d.ScoreEnd)-max(start, d.ScoreStart))
		span += share * float64(inside)
		outside += share * float64(end-start-inside)
	})
	type category struct {
		name          string
		sum, recorded float64
	}
	categories := []category{
		{"the scored span", span, l.SpanNats},
		{"the bytes outside of it", outside, l.OutsideNats},
		{"tokens without bytes", noBytes, l.NoBytesNats},
		{"all categories", l.SpanNats + l.OutsideNats + l.EOSNats + l.NoBytesNats, l.TokenNats},
	}
	if len(d.PerByteLoss) == 0 {
		tokens := l.EOSNats
		for _, nll := range d.TokenNLL {
			tokens += nll
		}
		categories = append(categories, category{"the tokens", tokens, l.TokenNats})
	}
	for _, c := range categories {
		if math.Abs(c.sum-c.recorded) > protocol.LedgerTolerance*max(1, math.Abs(c.recorded)) {
			return fmt.Errorf("%s: losses sum to %v nats, but the ledger records %v", c.name, c.sum, c.recorded)
		}
	}
	if scored != l.ScoredBytes {
		return fmt.Errorf("%d bytes are scored, but the ledger records %d", scored, l.ScoredBytes)
	}
	return nil
}
