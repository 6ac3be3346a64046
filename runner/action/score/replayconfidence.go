package score

import (
	"errors"
	"fmt"
	"iter"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
)

// ReplayConfidence checks the confidence of a score against its tokens: every token with a loss has values that are
// possible for it, and the others have none.
func ReplayConfidence(scoredPath, confidencePath string) (err error) {
	scored, err := artifact.OpenScored(scoredPath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, scored.Close()) }()
	confidence, err := artifact.OpenConfidence(confidencePath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, confidence.Close()) }()
	if scored.Len() != confidence.Len() {
		return fmt.Errorf("there are %d scored documents, but the confidence of %d", scored.Len(), confidence.Len())
	}
	next, stop := iter.Pull2(confidence.All())
	defer stop()
	for d, err := range scored.All() {
		if err != nil {
			return err
		}
		c, err, _ := next()
		if err != nil {
			return err
		}
		if d.Shard != c.Shard || d.Row != c.Row {
			return fmt.Errorf("shard %q row %d: the confidence is that of shard %q row %d", d.Shard, d.Row, c.Shard, c.Row)
		}
		if err := replayConfidence(d, c); err != nil {
			return fmt.Errorf("shard %q row %d: %w", d.Shard, d.Row, err)
		}
	}
	return nil
}

func replayConfidence(d artifact.ScoredDocument, c artifact.Confidence) error {
	if len(d.TokenNLL) != len(d.TokenIDs) {
		return fmt.Errorf("it has a confidence, but %d losses for %d tokens", len(d.TokenNLL), len(d.TokenIDs))
	}
	if len(c.TopIDs) != len(d.TokenIDs) {
		return fmt.Errorf("it has %d tokens, but the confidence of %d", len(d.TokenIDs), len(c.TopIDs))
	}
	answer := protocol.ScoredDocument{
		TokenIDs: d.TokenIDs, TokenStarts: d.Starts(nil), TokenEnds: d.TokenEnds, TokenNLL: d.TokenNLL, Confidence: c.Of(),
	}
	for i, start := range d.UnscoredStarts {
		answer.Unscored = append(answer.Unscored, protocol.Unscored{Start: start, End: d.UnscoredEnds[i]})
	}
	return answer.CheckConfidence(0)
}

// ReplayTopTokens checks that a table counts the tokens that the confidence of a score names.
func ReplayTopTokens(confidencePath, topPath string) (err error) {
	confidence, err := artifact.OpenTopTokens(confidencePath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, confidence.Close()) }()
	counts := map[int32]int64{}
	for c, err := range confidence.All() {
		if err != nil {
			return err
		}
		for i, id := range c.TopIDs {
			if c.Ranks[i] > 0 {
				counts[id]++
			}
		}
	}
	top, err := artifact.OpenTokenCounts(topPath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, top.Close()) }()
	for t, err := range top.All() {
		if err != nil {
			return err
		}
		if t.Count != counts[t.ID] {
			return fmt.Errorf("token %d is the most probable one %d times in the confidence, but %d times in the table of such tokens", t.ID, counts[t.ID], t.Count)
		}
		delete(counts, t.ID)
	}
	if len(counts) > 0 {
		return fmt.Errorf("%d tokens that the confidence names are not in the table of the most probable tokens", len(counts))
	}
	return nil
}
