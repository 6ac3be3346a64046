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

// Replay checks a score's tables against each other: for every document, the losses of the bytes and those of the tokens
// add up to the ledger's accounts, and these to each other, all within protocol.LedgerTolerance. It returns how many
// documents it checked.
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
		return documents, fmt.Errorf("the ledger has a row for shard %q row %d and the scores have none", row.Shard, row.Row)
	}
	return documents, nil
}

func replay(d artifact.ScoredDocument, l artifact.LedgerRow) error {
	if d.Shard != l.Shard || d.Row != l.Row {
		return fmt.Errorf("the ledger's row is shard %q row %d", l.Shard, l.Row)
	}
	if !slices.Equal(d.UnscoredStarts, l.UnscoredStarts) || !slices.Equal(d.UnscoredEnds, l.UnscoredEnds) {
		return fmt.Errorf("unscored ranges start at %d and end at %d, and those of the ledger start at %d and end at %d",
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
	type account struct {
		name        string
		found, kept float64
	}
	accounts := []account{
		{"the scored span", span, l.SpanNats},
		{"the bytes outside of it", outside, l.OutsideNats},
		{"tokens without bytes", noBytes, l.NoBytesNats},
		{"all accounts", l.SpanNats + l.OutsideNats + l.EOSNats + l.NoBytesNats, l.TokenNats},
	}
	if len(d.PerByteLoss) == 0 {
		tokens := l.EOSNats
		for _, nll := range d.TokenNLL {
			tokens += nll
		}
		accounts = append(accounts, account{"the tokens", tokens, l.TokenNats})
	}
	for _, account := range accounts {
		if math.Abs(account.found-account.kept) > protocol.LedgerTolerance*max(1, math.Abs(account.kept)) {
			return fmt.Errorf("%s: losses add up to %v nats and the ledger says %v", account.name, account.found, account.kept)
		}
	}
	if scored != l.ScoredBytes {
		return fmt.Errorf("%d bytes are scored and the ledger says %d", scored, l.ScoredBytes)
	}
	return nil
}
