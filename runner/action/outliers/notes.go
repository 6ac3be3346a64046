package outliers

import (
	"fmt"
	"slices"

	"surprisal.dev/runner/action/activations"
	"surprisal.dev/runner/fit"
)

// note adds notes on the sequences and the models.
func (s *Summary) note(passes [][]activations.Summary) {
	add := func(format string, args ...any) { s.Notes = append(s.Notes, fmt.Sprintf(format, args...)) }
	for j, dataset := range s.Datasets {
		if n := passes[0][j].Documents; n < s.Definition.Sequences {
			add("dataset %q has %d documents, fewer than the %d of sequences", dataset, n, s.Definition.Sequences)
		}
	}
	for i := range s.Rows {
		r, first := &s.Rows[i], &s.Rows[0]
		switch {
		case r.Problem != "":
			add("model %q has no outliers here: %s", r.Model, r.Problem)
		case r.Perplexity == nil:
			add("model %q is not in the plots: it has no finite perplexity", r.Model)
		case r.Occurrences == 0:
			add("model %q has no systematic dimension, so that percentages of it are not defined; it is only in the plot of their number", r.Model)
		}
		if r.Protocol.Dtype != first.Protocol.Dtype || r.Protocol.Arithmetic != first.Protocol.Arithmetic {
			add("models %q and %q differ in dtype or arithmetic: %s and %s", first.Model, r.Model, arithmetic(first), arithmetic(r))
		}
	}
	tokens := func(r Row) bool { return r.Predicted != s.Rows[0].Predicted || r.ScoredBytes != s.Rows[0].ScoredBytes }
	if slices.ContainsFunc(s.Rows, tokens) {
		add("models have different numbers of tokens, or read different parts of documents, so that their perplexities are not " +
			"comparable; compare bits per byte")
	}
}

func arithmetic(r *Row) string {
	if r.Protocol.Arithmetic == "" {
		return r.Protocol.Dtype
	}
	return r.Protocol.Dtype + " on " + r.Protocol.Arithmetic
}

// fit fits the curves of all families with enough perplexities, and notes why others have none.
func (s *Summary) fit() {
	for _, f := range s.families() {
		called := "the models"
		if f.name != "" {
			called = fmt.Sprintf("the family %q", f.name)
		}
		var all []float64
		for _, i := range f.rows {
			all = append(all, *s.Rows[i].Perplexity)
		}
		if n := fit.Distinct(all); n < fewestPerplexities {
			s.Notes = append(s.Notes, fmt.Sprintf("no curve is fitted to %s: %d different perplexities are fewer than %d", called, n, fewestPerplexities))
			continue
		}
		for _, m := range measures() {
			s.fitMeasure(f, called, m)
		}
	}
}

func (s *Summary) fitMeasure(f family, called string, m measure) {
	found := Fit{Family: f.name, Of: m.name}
	var x, y []float64
	for _, i := range f.rows {
		if v := m.value(&s.Rows[i]); v != nil {
			found.Models = append(found.Models, s.Rows[i].Model)
			x, y = append(x, *s.Rows[i].Perplexity), append(y, *v)
		}
	}
	note := func(format string, args ...any) {
		s.Notes = append(s.Notes, fmt.Sprintf("no curve of %s is fitted to %s: ", m.name, called)+fmt.Sprintf(format, args...))
	}
	n := fit.Distinct(x)
	if n < fewestPerplexities {
		note("%d different perplexities with a value are fewer than %d", n, fewestPerplexities)
		return
	}
	var err error
	if found.Curve, err = fitExponential(x, y); err != nil {
		switch {
		case slices.Max(y) == 0:
			note("all values are 0")
		default:
			note("the values fall to 0 between two perplexities, which does not determine an exponential curve")
		}
		return
	}
	s.Fits = append(s.Fits, found)
}
