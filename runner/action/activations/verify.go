package activations

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
)

// Verify implements action.Verifier: it checks the rows of the tables, and that they add up to the summary.
func (Kind) Verify(ctx context.Context, files action.Files) (ledgers int, err error) {
	var paths [3]string
	for i, name := range []string{artifact.SequencesFile, artifact.DimensionsFile, artifact.SummaryFile} {
		if paths[i], err = files.Path(ctx, name); err != nil {
			return 0, err
		}
	}
	var s Summary
	if err := artifact.ReadJSON(paths[2], &s); err != nil {
		return 0, err
	}
	r, err := Open(paths[0], paths[1], &s)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var sums Sums
	documents := int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		documents++
		sums.Add(&r.Sequence)
		sums.Hits += int64(len(r.Dimensions))
	}
	nats := sums.Nats
	sums.Nats = s.Nats
	if sums != s.Sums || documents != s.Documents || !(math.Abs(nats-s.Nats) <= protocol.LedgerTolerance*max(1, math.Abs(s.Nats))) {
		return 0, fmt.Errorf("the rows add up to %d documents, %+v and %v nats; the summary has %d, %+v", documents, sums, nats, s.Documents, s.Sums)
	}
	return 0, nil
}
