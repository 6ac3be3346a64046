package gate

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/statistics"
)

// deviation returns the standard error of a calibration error, from which its interval was made.
func deviation(c artifact.Calibration, shards bool) float64 {
	return (c.Of(shards).Interval[1] - c.Error) / statistics.Normal95
}

// leastBeyond is the number of tokens beyond a quantile from which its test says anything.
const leastBeyond = 10

// tails bounds quantiles of the losses of tokens. The quantile of the candidate is above that of the other model by more
// than the bound exactly if too large a share of its tokens have a loss above their sum, and a share of tokens is a ratio
// of sums over documents, or over clusters of them.
func (t Test) tails(all []scored) (Check, error) {
	var of []Measurement
	for _, s := range all {
		limits := make([]float64, len(t.Also.Tails))
		for i, tail := range t.Also.Tails {
			limits[i] = quantile(s.against.TokenLosses, tail.Share) + tail.Bound
		}
		beyond, err := countBeyond(s.losses, s.shards, limits)
		if err != nil {
			return Check{}, err
		}
		for i, tail := range t.Also.Tails {
			of = append(of, t.tail(s, tail, beyond[i]))
		}
	}
	return t.check(checkTails, small(of)), nil
}

func (t Test) tail(s scored, tail Tail, beyond statistics.Sums) Measurement {
	what := fmt.Sprintf("share of tokens above the %v quantile of against by more than %v nats", tail.Share, tail.Bound)
	e, ok := beyond.Estimate()
	switch {
	case !s.sameTokens():
		return unmeasured(s.dataset, what, "losses of different tokens cannot be compared")
	case !ok || beyond.Units < leastUnits || beyond.W*(1-tail.Share) < leastBeyond:
		return unmeasured(s.dataset, what, "too few documents, clusters or tokens")
	}
	m := t.estimated(s.dataset, what, e, 1-tail.Share, 1)
	x, y := quantile(s.candidate.TokenLosses, tail.Share), quantile(s.against.TokenLosses, tail.Share)
	m.Candidate, m.Against = &x, &y
	return m
}

// quantile returns a quantile of losses in nats; 0 without tokens.
func quantile(of *artifact.TokenLosses, share float64) float64 {
	if of == nil {
		return 0
	}
	i := slices.IndexFunc(of.Quantiles, func(q artifact.Quantile) bool { return q.Share == share })
	if i < 0 {
		return 0
	}
	return of.Quantiles[i].Nats
}

// units adds the documents of a dataset.
type units interface {
	Add(cluster string, d, w float64)
	Sums() statistics.Sums
}

// countBeyond counts, by document or cluster, the scored tokens of a table and those with a loss above each limit. If
// shards are clusters, a document is of its shard's.
func countBeyond(path string, shards bool, limits []float64) (sums []statistics.Sums, err error) {
	r, err := artifact.OpenLosses(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	beyond := make([]units, len(limits))
	for j := range beyond {
		if shards {
			beyond[j] = new(statistics.Runs[string])
		} else {
			beyond[j] = new(statistics.Clusters)
		}
	}
	counts := make([]float64, len(limits))
	var d artifact.ScoredDocument
	for {
		if err := r.Read(&d); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		clear(counts)
		tokens := 0.0
		d.EachScored(func(i int, _, _ int32) {
			tokens++
			for j, limit := range limits {
				if d.TokenNLL[i] > limit {
					counts[j]++
				}
			}
		})
		cluster := d.Cluster
		if shards {
			cluster = d.Shard
		}
		for j := range beyond {
			beyond[j].Add(cluster, counts[j], tokens)
		}
	}
	for _, of := range beyond {
		sums = append(sums, of.Sums())
	}
	return sums, nil
}
