package gate

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/spec"
)

// Also are the further checks that a gate asks for.
type Also struct {
	// Best is the name of a series.
	Best string `json:"best,omitempty"`
	// Tokenizer is what another tokenizer does: "pass", "warn" or "fail".
	Tokenizer string `json:"tokenizer,omitempty"`
	// BatchInvariance is the largest noise of scoring in bits per byte.
	BatchInvariance *float64 `json:"batchInvariance,omitempty"`
	// Top and Truth bound by how much calibration errors may be worse.
	Top   *float64 `json:"calibrationTop,omitempty"`
	Truth *float64 `json:"calibrationTruth,omitempty"`
	// Coverage is the largest share of unscored bytes.
	Coverage *float64 `json:"coverage,omitempty"`
	// Tails are in the order of their shares.
	Tails []Tail `json:"tails,omitempty"`
}

// Tail bounds by how many nats a quantile of the losses of tokens may be higher.
type Tail struct {
	Share float64 `json:"share"`
	Bound float64 `json:"boundNats"`
}

// readsScores reports whether a check reads the scores.
func (a Also) readsScores() bool {
	return a.Tokenizer != "" || a.BatchInvariance != nil || a.Top != nil || a.Truth != nil || a.Coverage != nil || len(a.Tails) > 0
}

// readsTokens reports whether a check compares the tokens of the two models.
func (a Also) readsTokens() bool { return a.Tokenizer != "" || len(a.Tails) > 0 }

// Confirm is the second test of slices that fail: of another gap.
type Confirm struct {
	Gap gap.Gap `json:"gap"`
	// Samples has the dataset with other documents for each dataset of the gate; nil for a second candidate.
	Samples map[string]string `json:"samples,omitempty"`
}

func decimal(n spec.Node) *float64 {
	if !n.Set() {
		return nil
	}
	v := n.Decimal()
	return &v
}

// decodeAlso decodes the further checks of a gate between two models.
func decodeAlso(d spec.Decoding, n spec.Node, models ...*spec.Model) Also {
	a := Also{
		Best: n.Field("best").Text(), Tokenizer: n.Field("tokenizer").Text(), BatchInvariance: decimal(n.Field("batchInvariance")),
		Top: decimal(n.Field("calibration").Field("maxTop")), Truth: decimal(n.Field("calibration").Field("maxTruth")),
		Coverage: decimal(n.Field("coverage")),
	}
	if of := n.Field("calibration"); d.Conforms() && of.Set() && a.Top == nil && a.Truth == nil {
		d.Fail(of, "neither maxTop nor maxTruth is set; set one or both")
	}
	for share, bound := range n.Field("tails").Fields() {
		if at, err := strconv.ParseFloat(share, 64); err == nil {
			a.Tails = append(a.Tails, Tail{at, bound.Decimal()})
		}
	}
	slices.SortFunc(a.Tails, func(x, y Tail) int { return cmp.Compare(x.Share, y.Share) })
	for _, m := range models {
		if (m.Scores != nil || m.Baseline != nil && m.Baseline.Imported()) && a.readsScores() {
			d.Fail(n, "the checks need scores by a backend, but those of model %q are imported; keep best only", m.Name)
		}
	}
	if a.Best != "" {
		checkSeries(d, n.Field("best"), a.Best)
	}
	return a
}

// checkSeries reports a series that does not exist.
func checkSeries(d spec.Decoding, n spec.Node, name string) {
	var known []string
	for series := range d.Field("series").Fields() {
		known = append(known, series)
	}
	slices.Sort(known)
	switch {
	case slices.Contains(known, name):
	case len(known) == 0:
		d.Fail(n, "no series %q; the experiment has none: add it to series", name)
	default:
		d.Fail(n, "no series %q; series are %s", name, strings.Join(known, ", "))
	}
}

// decodeConfirm decodes the second test of the gate at a node, or returns nil if there is none.
func decodeConfirm(d spec.Decoding, gate spec.Node, g gap.Gap, candidate, against *spec.Model) *Confirm {
	n := gate.Field("confirm")
	of, samples := n.Field("candidate"), n.Field("samples")
	switch {
	case !n.Set() || !d.Conforms():
		return nil
	case of.Set() == samples.Set():
		d.Fail(n, "confirm needs either candidate, a second candidate, or samples, a dataset with other documents for each dataset of the gate")
		return nil
	case of.Set():
		second := d.Model(of)
		if second == nil {
			return nil
		}
		if second == candidate || second == against {
			d.Fail(of, "%q is the candidate or against of the gate, which confirms nothing; name another model", second.Name)
			return nil
		}
		return &Confirm{Gap: gap.Between(d, gate, second, against)}
	}
	return decodeSamples(d, samples, g)
}

// decodeSamples decodes the second test on other documents.
func decodeSamples(d spec.Decoding, samples spec.Node, g gap.Gap) *Confirm {
	c := &Confirm{Gap: g, Samples: map[string]string{}}
	fresh := map[string]bool{}
	for dataset, n := range samples.Fields() {
		name := n.Text()
		c.Samples[dataset] = name
		switch {
		case !slices.Contains(g.Datasets, dataset):
			d.Fail(n, "%q is not a dataset of the gate; datasets are %s", dataset, strings.Join(g.Datasets, ", "))
		case !slices.Contains(d.Scored(), name):
			d.Fail(n, "no scored dataset %q; scored datasets are %s", name, strings.Join(d.Scored(), ", "))
		case slices.Contains(g.Datasets, name):
			d.Fail(n, "%q is a dataset of the gate; exclude it there with datasets, because its documents cannot confirm themselves", name)
		case fresh[name]:
			d.Fail(n, "%q is the sample of two datasets; each needs its own", name)
		}
		fresh[name] = true
	}
	for _, dataset := range g.Datasets {
		if _, ok := c.Samples[dataset]; !ok {
			d.Fail(samples, "the dataset %q of the gate has no sample; add one, or exclude the dataset with datasets", dataset)
		}
	}
	c.Gap.Datasets = slices.Sorted(maps.Keys(fresh))
	return c
}
