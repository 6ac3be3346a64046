package score

import (
	"errors"
	"fmt"
	"iter"
	"math"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
)

// Replay checks a score's tables against each other: for every document, the losses of the bytes add up to the ledger's
// accounts, and the accounts to the losses of the tokens, all within protocol.LedgerTolerance. It returns how many
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
	unscored := make([]bool, len(d.PerByteLoss))
	for i, start := range l.UnscoredStarts {
		end := l.UnscoredEnds[i]
		if int(end) > len(unscored) {
			return fmt.Errorf("the unscored range [%d, %d) lies outside the text of %d bytes", start, end, len(unscored))
		}
		for b := start; b < end; b++ {
			unscored[b] = true
		}
	}
	var span, outside float64
	var bytes int32
	for b, nats := range d.PerByteLoss {
		inside := d.ScoreStart <= int32(b) && int32(b) < d.ScoreEnd
		switch {
		case unscored[b] && nats != 0:
			return fmt.Errorf("byte %d is unscored and has a loss of %v nats", b, nats)
		case inside:
			span += nats
			if !unscored[b] {
				bytes++
			}
		default:
			outside += nats
		}
	}
	for _, account := range []struct {
		name        string
		bytes, kept float64
	}{
		{"the scored span", span, l.SpanNats},
		{"the bytes outside of it", outside, l.OutsideNats},
		{"all accounts", l.SpanNats + l.OutsideNats + l.EOSNats + l.NoBytesNats, l.TokenNats},
	} {
		if math.Abs(account.bytes-account.kept) > protocol.LedgerTolerance*max(1, math.Abs(account.kept)) {
			return fmt.Errorf("%s: losses add up to %v nats and the ledger says %v", account.name, account.bytes, account.kept)
		}
	}
	if bytes != l.ScoredBytes {
		return fmt.Errorf("%d bytes are scored and the ledger says %d", bytes, l.ScoredBytes)
	}
	return nil
}
