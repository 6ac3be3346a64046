package drift

import (
	"math"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/statistics"
)

// The bits per byte of the current model on the current text are N(C), those of the model before on the reference text
// B(R), and so on. The change N(C) - B(R) is the sum of
//
//	text  = ((B(C) - B(R)) + (N(C) - N(R))) / 2
//	model = ((N(R) - B(R)) + (N(C) - B(C))) / 2
//
// which are the Shapley values of the two causes: the means over both orders in which they may change. What the orders
// differ by is the interaction, (N(C) - B(C)) - (N(R) - B(R)), of which each part has one half. The two texts are
// independent samples. On each, the losses of the models are those of the same documents, so that their errors cancel. The
// text's part is therefore the difference of two means of both models, and the model's part half the sum of two gaps.
//
// Without B(C), which a baseline may lack, the text's part is N(C) - N(R), the model's part is N(R) - B(R), and the
// interaction is unknown.
//
// The text's part is the larger one in size exactly if text + model and text - model have the same sign, because their
// product is text^2 - model^2. Text + model is the change, and text - model is B(C) - N(R). Each has an estimate. That both
// have a sign beyond doubt needs no correction (an intersection-union test, Berger, Technometrics 24, 1982).
func (s *Summary) attribute(reference, current *half) {
	s.Parts, s.Orders = []Part{}, []Part{}
	if reference.pairs == nil {
		s.Parts = append(s.Parts, Part{Name: OfText, Change: sum(term{1, current.now().bits}, term{-1, reference.now().bits})})
		s.decideParts(nil)
		return
	}
	before, now := reference.cells[0].bits, current.now().bits
	total := sum(term{1, now}, term{-1, before})
	if current.pairs == nil {
		s.Parts = append(s.Parts, Part{Name: Total, Change: total},
			Part{Name: OfText, Change: sum(term{1, now}, term{-1, reference.now().bits})}, Part{Name: OfModel, Change: sum(term{1, reference.pairs.difference})})
		against := sum(term{1, now}, term{1, reference.pairs.twice})
		s.decideParts(&against)
		return
	}
	r, c := reference.pairs, current.pairs
	s.Parts = append(s.Parts, Part{Name: Total, Change: total},
		Part{Name: OfText, Change: sum(term{1, c.mean}, term{-1, r.mean})},
		Part{Name: OfModel, Change: sum(term{0.5, c.difference}, term{0.5, r.difference})},
		Part{Name: Interaction, Change: sum(term{1, c.difference}, term{-1, r.difference})})
	s.Orders = append(s.Orders,
		Part{Name: OfText, Given: "reference", Change: sum(term{1, current.cells[0].bits}, term{-1, before})},
		Part{Name: OfText, Given: "current", Change: sum(term{1, now}, term{-1, reference.now().bits})},
		Part{Name: OfModel, Given: "reference", Change: sum(term{1, r.difference})},
		Part{Name: OfModel, Given: "current", Change: sum(term{1, c.difference})})
	against := sum(term{1, current.cells[0].bits}, term{-1, reference.now().bits})
	s.decideParts(&against)
}

// now returns the sums by the current model.
func (h *half) now() *cell { return &h.cells[len(h.cells)-1] }

// term is a ratio and its factor.
type term struct {
	factor float64
	statistics.Sums
}

// sum returns the sum of ratios of independent samples.
func sum(terms ...term) Change {
	c := Change{Verdict: Small}
	var of []statistics.Term
	for _, t := range terms {
		c.Value += t.factor * valueOf(t.Sums).Value
		if e, ok := t.Estimate(); ok {
			of = append(of, statistics.Term{Factor: t.factor, Estimate: e})
		}
	}
	if len(of) == len(terms) {
		if e, ok := statistics.Combination(of...); ok {
			c.Estimate = &e
		}
	}
	return c
}

// decideParts sets the verdicts of the parts and what explains the change. against is the text's part less the model's; nil
// with one model.
func (s *Summary) decideParts(against *Change) {
	s.Explains = Small
	if s.small() {
		return
	}
	var p []float64
	for _, list := range [][]Part{s.Parts, s.Orders} {
		for _, of := range list {
			if of.Estimate == nil {
				return
			}
		}
	}
	for _, of := range s.Parts {
		p = append(p, of.P)
	}
	for i, adjusted := range statistics.FamilyWise(p) {
		s.Parts[i].Adjusted = &adjusted
		s.Parts[i].decide(adjusted, s.NoiseBPB, s.sample(len(p)))
	}
	for i := range s.Orders {
		s.Orders[i].decide(s.Orders[i].P, s.NoiseBPB, s.sample(1))
	}
	text, model := s.part(OfText), s.part(OfModel)
	switch {
	case text.certain() && model != nil && model.certain():
		s.Explains = Both
	case text.certain():
		s.Explains = OfText
	case model != nil && model.certain():
		s.Explains = OfModel
	default:
		s.Explains = Neither
	}
	if against == nil || against.Estimate == nil || s.Explains == Neither {
		return
	}
	if total := s.part(Total); max(total.P, against.P) < level && min(math.Abs(total.Value), math.Abs(against.Value)) > s.NoiseBPB {
		s.Larger = map[bool]string{true: OfText, false: OfModel}[(total.Value > 0) == (against.Value > 0)]
	}
}

// part returns a part, or nil.
func (s *Summary) part(name string) *Part {
	for i := range s.Parts {
		if s.Parts[i].Name == name {
			return &s.Parts[i]
		}
	}
	return nil
}

// test tests the change and its parts against the margin of a gate. The interaction is not tested: it is not a change.
func (s *Summary) test(g Gate) {
	v := &Verdict{Gate: g, Answer: action.Pass, Cases: []Case{}}
	var p []float64
	var of []*Case
	for _, part := range s.Parts {
		if part.Name != Interaction {
			v.Cases = append(v.Cases, Case{Part: part.Name, Answer: action.Inconclusive})
		}
	}
	for i := range v.Cases {
		c, part := &v.Cases[i], s.part(v.Cases[i].Part)
		if part.Estimate == nil || s.small() {
			continue
		}
		width := part.Half(g.Confidence)
		low, high, above := part.Value-width, part.Value+width, part.Above(g.Margin)
		c.Low, c.High, c.P = &low, &high, &above
		p, of = append(p, above), append(of, c)
	}
	for i, adjusted := range statistics.FamilyWise(p) {
		c := of[i]
		c.Adjusted = &adjusted
		switch {
		case *c.High < g.Margin:
			c.Answer = action.Pass
		case adjusted < 1-g.Confidence:
			c.Answer = action.Fail
		}
	}
	for _, c := range v.Cases {
		v.Answer = worse(v.Answer, c.Answer)
	}
	s.Gate = v
}

// worse returns the worse of two answers.
func worse(a, b action.Answer) action.Answer {
	severity := map[action.Answer]int{action.Fail: 2, action.Inconclusive: 1}
	if severity[a] > severity[b] {
		return a
	}
	return b
}

// largest returns the part of the text or that of the model, whichever is larger.
func (s *Summary) largest() *Part {
	text, model := s.part(OfText), s.part(OfModel)
	if model != nil && math.Abs(model.Value) > math.Abs(text.Value) {
		return model
	}
	return text
}
