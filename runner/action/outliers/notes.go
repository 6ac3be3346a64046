package outliers

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"surprisal.dev/runner/action/activations"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/fit"
	"surprisal.dev/runner/terminal"
)

// note adds notes on the sequences and the models.
func (s *Summary) note(passes [][]activations.Summary) {
	add := func(format string, args ...any) { s.Notes = append(s.Notes, fmt.Sprintf(format, args...)) }
	for j, dataset := range s.Datasets {
		if n := passes[0][j].Documents; n < s.Definition.Sequences {
			add("dataset %q has %s, fewer than the %d of sequences", dataset, terminal.Count(n, "document"), s.Definition.Sequences)
		}
	}
	var without []string
	for i := range s.Rows {
		r, first := &s.Rows[i], &s.Rows[0]
		switch {
		case r.Problem != "":
			add("model %q has no outliers here: %s", r.Model, r.Problem)
		case r.Perplexity == nil:
			add("model %q is not in the plots: it has no finite perplexity", r.Model)
		case r.Occurrences == 0:
			without = append(without, strconv.Quote(r.Model))
		}
		if r.Protocol.Dtype != first.Protocol.Dtype || r.Protocol.Arithmetic != first.Protocol.Arithmetic {
			add("models %q and %q differ in dtype or arithmetic: %s and %s", first.Model, r.Model, arithmetic(first), arithmetic(r))
		}
	}
	if len(without) > 0 {
		add("no dimension is systematic in %s: percentages are not defined there, and only the plot of their number has them", strings.Join(without, ", "))
	}
	if n := s.tokens().Note(); n != "" {
		s.Notes = append(s.Notes, n)
	}
}

// tokens are the predicted tokens of the models. Models with different tokenizers may read different parts of documents.
func (s *Summary) tokens() (counts score.TokenCounts) {
	for _, r := range s.Rows {
		counts = append(counts, score.TokenCount{Model: r.Model, Tokens: r.Predicted, Bytes: r.ScoredBytes})
	}
	return counts
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
			s.Notes = append(s.Notes, fmt.Sprintf("no curve is fitted to %s: %s", called, tooFew(n, "")))
			continue
		}
		var reasons []string
		of := map[string][]string{}
		for _, m := range measures() {
			if reason := s.fitMeasure(f, m); reason != "" {
				if of[reason] == nil {
					reasons = append(reasons, reason)
				}
				of[reason] = append(of[reason], m.name)
			}
		}
		for _, reason := range reasons {
			s.Notes = append(s.Notes, fmt.Sprintf("no curve of %s is fitted to %s: %s", strings.Join(of[reason], ", "), called, reason))
		}
	}
}

// tooFew says that n different perplexities of a kind are too few.
func tooFew(n int, kind string) string {
	are := "are"
	if n == 1 {
		are = "is"
	}
	return fmt.Sprintf("a curve needs %d different perplexities%s, and there %s %d; add models", fewestPerplexities, kind, are, n)
}

// fitMeasure fits a curve to a measure of a family, or returns why there is none.
func (s *Summary) fitMeasure(f family, m measure) (reason string) {
	found := Fit{Family: f.name, Of: m.name}
	var x, y []float64
	for _, i := range f.rows {
		if v := m.value(&s.Rows[i]); v != nil {
			found.Models = append(found.Models, s.Rows[i].Model)
			x, y = append(x, *s.Rows[i].Perplexity), append(y, *v)
		}
	}
	if n := fit.Distinct(x); n < fewestPerplexities {
		return tooFew(n, " with a value")
	}
	var err error
	if found.Curve, err = fitExponential(x, y); err != nil {
		if slices.Max(y) == 0 {
			return "all values are 0"
		}
		if errors.Is(err, errTooClose) {
			return err.Error() + " for an exponential curve; add models that differ more"
		}
		return "the values fall to 0 between two perplexities, which does not determine an exponential curve"
	}
	s.Fits = append(s.Fits, found)
	return ""
}
