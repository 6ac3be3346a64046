package outliers

import (
	"context"
	"errors"
	"fmt"
	"math"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
)

// verified bounds the difference of two sums of the same numbers, relative to the larger of the sum and 1.
const verified = 1e-9

// Verify implements action.Verifier: it recomputes the counts, the means and the medians of each model from the
// occurrences.
func (Kind) Verify(ctx context.Context, files action.Files) (ledgers int, err error) {
	summary, errSummary := files.Path(ctx, artifact.SummaryFile)
	occurrences, errOccurrences := files.Path(ctx, artifact.OutliersFile)
	if err := errors.Join(errSummary, errOccurrences); err != nil {
		return 0, err
	}
	var s Summary
	if err := artifact.ReadJSON(summary, &s); err != nil {
		return 0, err
	}
	sums := map[string]*tally{}
	for _, r := range s.Rows {
		sums[r.Model] = newTally(s.Definition, nil)
	}
	in, err := artifact.OpenOutliers(occurrences)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	for o, err := range in.All() {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return 0, err
		}
		sum := sums[o.Model]
		if sum == nil {
			return 0, fmt.Errorf("an occurrence is of the model %q, which the summary does not have", o.Model)
		}
		if o.LayerPercentage < 100*s.Definition.LayerShare*(1-verified) || o.SequencePercentage < 100*s.Definition.SequenceShare*(1-verified) {
			return 0, fmt.Errorf("dimension %d of model %q has %v%% of the layers and %v%% of the positions, which is not systematic",
				o.Dimension, o.Model, o.LayerPercentage, o.SequencePercentage)
		}
		sum.systematic(o, nil)
	}
	for i := range s.Rows {
		if err := s.Rows[i].verify(sums[s.Rows[i].Model]); err != nil {
			return 0, fmt.Errorf("model %q: %w", s.Rows[i].Model, err)
		}
	}
	return 0, nil
}

// verify compares a row with the sums of its occurrences.
func (r *Row) verify(sum *tally) error {
	dimensions := sum.finished()
	if sum.layer.n != r.Occurrences || int64(len(dimensions)) != r.Dimensions {
		return fmt.Errorf("there are %d occurrences of %d dimensions; the summary has %d and %d", sum.layer.n, len(dimensions), r.Occurrences, r.Dimensions)
	}
	pairs := []struct {
		name      string
		got, want *float64
	}{
		{"mean of the percentages of layers", r.MeanLayer, sum.layer.mean()}, {"median of the percentages of layers", r.MedianLayer, sum.layer.median()},
		{"mean of the percentages of positions", r.MeanSequence, sum.seq.mean()},
		{"median of the percentages of positions", r.MedianSequence, sum.seq.median()},
		{"perplexity", r.Perplexity, perplexity(r.Nats, r.Predicted)},
	}
	if want := min(len(dimensions), topDimensions); len(r.Top) != want {
		return fmt.Errorf("the summary lists %d dimensions, not %d", len(r.Top), want)
	}
	for i := range r.Top {
		got, want := &r.Top[i], &dimensions[i]
		if got.Dimension != want.Dimension || got.Occurrences != want.Occurrences {
			return fmt.Errorf("dimension %d has %d occurrences; the summary has %d of dimension %d in its place",
				want.Dimension, want.Occurrences, got.Occurrences, got.Dimension)
		}
		name := fmt.Sprintf("of dimension %d", got.Dimension)
		pairs = append(pairs, []struct {
			name      string
			got, want *float64
		}{
			{"mean percentage of layers " + name, &got.MeanLayer, &want.MeanLayer}, {"mean percentage of positions " + name, &got.MeanSequence, &want.MeanSequence},
			{"largest magnitude " + name, &got.Largest, &want.Largest},
		}...)
	}
	for _, p := range pairs {
		if (p.got == nil) != (p.want == nil) || p.got != nil && !(math.Abs(*p.got-*p.want) <= verified*max(1, math.Abs(*p.want))) {
			return fmt.Errorf("the %s is %s; the summary has %s", p.name, short(p.want), short(p.got))
		}
	}
	return nil
}
