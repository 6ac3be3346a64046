package conformance

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"unicode/utf8"

	"surprisal.dev/plugins/protocol"
)

// requests checks what a backend gives in addition to losses, as far as it has the capabilities.
func (s *suite) requests(scored *scoring) {
	for _, of := range []struct {
		capability, name string
		check            func() error
	}{
		{protocol.CapabilityConfidence, "confidence is given on request and does not change the losses", scored.confidence},
		{protocol.CapabilityTopK, "the mass of the top tokens is given on request and does not change the losses", scored.topK},
		{protocol.CapabilityTokenRange, "a range has the losses that its tokens would have alone", scored.ranges},
		{protocol.CapabilityActivations, "activations are given on request and do not change the losses", scored.activations},
		{protocol.CapabilityTokenTexts, "tokens have the texts for which they stand", scored.tokenTexts},
	} {
		if slices.Contains(scored.plugin.Info().Capabilities, of.capability) {
			s.check(of.name, of.check)
		}
	}
}

// confidence checks that every token with a loss has a confidence on request, and the same loss. The host checks the
// values.
func (m *scoring) confidence() error {
	with := m.settings
	with.Confidence = true
	answers, err := m.sameAs(with)
	if err != nil {
		return err
	}
	again, err := scoreAll(m.ctx, m.model, with, documents(texts()))
	if err != nil {
		return err
	}
	for i := range answers {
		if a, b := answers[i].Confidence, again[i].Confidence; !slices.Equal(a.Top, b.Top) || !slices.Equal(a.Ranks, b.Ranks) {
			return fmt.Errorf("document %d has other top tokens or ranks when it is scored again", i)
		}
	}
	return nil
}

// sameAs scores with other settings, and checks that losses are the same as those without them.
func (m *scoring) sameAs(with protocol.Settings) ([]protocol.ScoredDocument, error) {
	answers, err := scoreAll(m.ctx, m.model, with, documents(texts()))
	if err != nil {
		return nil, err
	}
	for i := range answers {
		if err := sameLosses(m.together[i], answers[i], m.tolerance); err != nil {
			return nil, fmt.Errorf("document %d: %w", i, err)
		}
	}
	return answers, nil
}

// topK checks the mass of one token, which is the top token, and that more tokens have no less. The host checks that it
// is there.
func (m *scoring) topK() error {
	with := m.settings
	with.Confidence = true
	var last []protocol.ScoredDocument
	for _, k := range []int64{1, 3, 40} {
		with.TopK = k
		answers, err := m.sameAs(with)
		if err != nil {
			return err
		}
		for i, a := range answers {
			for j, mass := range a.Confidence.TopKMass {
				least := -a.Confidence.TopNLL[j]
				if k > 1 {
					least = last[i].Confidence.TopKMass[j]
				}
				if mass < least-m.tolerance || k == 1 && mass > least+m.tolerance {
					return fmt.Errorf("document %d, token %d: the %d most probable tokens have the mass e^%v, fewer have e^%v", i, j, k, mass, least)
				}
			}
		}
		last = answers
	}
	return nil
}

// ranges checks that a range has the losses of the first window that begins at the range: in the same text for a range
// from the first token on, and otherwise in the text from the range on, if it has the same tokens.
func (m *scoring) ranges() error {
	for _, r := range []protocol.TokenRange{{To: 1}, {Score: 1, To: 5}, {Score: 20, To: 40}, {From: 1, Score: 1, To: 4}, {From: 7, Score: 20, To: 50}} {
		with := m.settings
		with.Range = r
		answers, err := scoreAll(m.ctx, m.model, with, documents(texts()))
		if err != nil {
			return fmt.Errorf("range %+v: %w", r, err)
		}
		for i, a := range answers {
			// The host checks which tokens have a loss.
			if err := m.rangeAlone(with, i, a); err != nil {
				return fmt.Errorf("document %d, range %+v: %w", i, r, err)
			}
		}
	}
	return nil
}

// rangeAlone compares the answer for a range of text i with those for that text alone, and for the text from the range on.
func (m *scoring) rangeAlone(with protocol.Settings, i int, a protocol.ScoredDocument) error {
	r, text := with.Range, texts()[i]
	alone, err := scoreAll(m.ctx, m.model, with, documents([]string{text}))
	if err != nil {
		return err
	}
	if err := sameLosses(a, alone[0], m.tolerance); err != nil {
		return fmt.Errorf("alone: %w", err)
	}
	if int64(len(a.TokenIDs)) <= r.Score {
		return nil
	}
	window := m.together[i]
	if r.From > 0 {
		start := a.TokenStarts[r.From]
		if !utf8.ValidString(text[start:]) {
			return nil
		}
		rest, err := scoreAll(m.ctx, m.model, m.settings, documents([]string{text[start:]}))
		if err != nil {
			return err
		}
		window = rest[0]
	}
	n := len(a.TokenIDs) - int(r.From)
	if len(window.TokenIDs) < n || !slices.Equal(window.TokenIDs[:n], a.TokenIDs[r.From:]) {
		if r.From == 0 {
			return errors.New("it has different tokens")
		}
		return nil // a tokenizer may divide a part of a text otherwise
	}
	for j := int(r.Score - r.From); j < n; j++ {
		got, want := a.TokenNLL[int(r.From)+j], window.TokenNLL[j]
		if math.Abs(got-want) > m.tolerance {
			return fmt.Errorf("token %d has the losses %v in the range and %v alone, which differ by more than %v", int(r.From)+j, got, want, m.tolerance)
		}
	}
	return nil
}

// magnitudeTolerance bounds the difference of magnitudes of a document in different batches, relative to the larger.
const magnitudeTolerance = 1e-3

// activations checks activations for a threshold that some dimensions reach, if the model has sites. Those of a document
// do not depend on other documents. The host checks the values.
func (m *scoring) activations() error {
	with := m.settings
	with.ActivationThreshold = math.SmallestNonzeroFloat32
	all, err := m.sameAs(with)
	if err != nil {
		return err
	}
	if with.ActivationThreshold = middle(all); with.ActivationThreshold == 0 {
		return nil // the model has no sites
	}
	some, err := m.sameAs(with)
	if err != nil {
		return err
	}
	alone, err := scoreEach(m, with, texts())
	if err != nil {
		return err
	}
	for i := range some {
		if err := reduced(all[i].Activations, some[i].Activations, with.ActivationThreshold); err != nil {
			return fmt.Errorf("document %d: %w", i, err)
		}
		if err := sameActivations(some[i].Activations, alone[i].Activations, with.ActivationThreshold); err != nil {
			return fmt.Errorf("document %d alone: %w", i, err)
		}
	}
	return nil
}

// scoreEach scores each text alone.
func scoreEach(m *scoring, s protocol.Settings, texts []string) (all []protocol.ScoredDocument, err error) {
	for _, text := range texts {
		one, err := scoreAll(m.ctx, m.model, s, documents([]string{text}))
		if err != nil {
			return nil, err
		}
		all = append(all, one...)
	}
	return all, nil
}

// middle returns the median of the largest magnitudes of all dimensions and documents; 0 if there are none.
func middle(answers []protocol.ScoredDocument) float64 {
	var largest []float64
	for _, a := range answers {
		for _, d := range a.Activations.Dimensions {
			largest = append(largest, float64(d.Largest))
		}
	}
	if len(largest) == 0 {
		return 0
	}
	slices.Sort(largest)
	return largest[len(largest)/2]
}

// reduced checks that a higher threshold leaves only dimensions that reach it, and does not change sites.
func reduced(all, some protocol.Activations, threshold float64) error {
	above := func(yield func(protocol.DimensionActivations) bool) {
		for _, d := range all.Dimensions {
			if float64(d.Largest) >= threshold && !yield(d) {
				return
			}
		}
	}
	next, stop := iter.Pull(above)
	defer stop()
	for _, d := range some.Dimensions {
		if of, ok := next(); !ok || of.Dimension != d.Dimension || of.Largest != d.Largest || of.Positions < d.Positions {
			return fmt.Errorf("with the threshold %v there is %+v, with a lower one %+v", threshold, d, of)
		}
	}
	if of, ok := next(); ok {
		return fmt.Errorf("with the threshold %v there is no dimension %d, which has the magnitude %v", threshold, of.Dimension, of.Largest)
	}
	if some.Positions != all.Positions || !slices.Equal(some.Sites, all.Sites) {
		return errors.New("sites or positions depend on the threshold")
	}
	return nil
}

// sameActivations compares activations of a document in two batches. Magnitudes may differ by rounding, and dimensions
// whose magnitude is near the threshold may be missing from one.
func sameActivations(a, b protocol.Activations, threshold float64) error {
	differ := func(x, y float32) bool {
		return math.Abs(float64(x)-float64(y)) > magnitudeTolerance*float64(max(x, y))
	}
	if a.Positions != b.Positions || len(a.Sites) != len(b.Sites) {
		return fmt.Errorf("%d and %d positions, %d and %d sites", a.Positions, b.Positions, len(a.Sites), len(b.Sites))
	}
	for i, s := range a.Sites {
		if differ(s.Largest, b.Sites[i].Largest) || differ(s.Median, b.Sites[i].Median) {
			return fmt.Errorf("site %d has the magnitudes %+v and %+v", i, s, b.Sites[i])
		}
	}
	magnitudes := map[int32]float32{}
	for _, d := range a.Dimensions {
		magnitudes[d.Dimension] = d.Largest
	}
	near := float32(threshold * (1 + magnitudeTolerance))
	for _, d := range b.Dimensions {
		if of, ok := magnitudes[d.Dimension]; ok && differ(of, d.Largest) || !ok && d.Largest > near {
			return fmt.Errorf("dimension %d has the magnitudes %v and %v", d.Dimension, of, d.Largest)
		}
		delete(magnitudes, d.Dimension)
	}
	for dimension, largest := range magnitudes {
		if largest > near {
			return fmt.Errorf("dimension %d has the magnitude %v once", dimension, largest)
		}
	}
	return nil
}

// tokenTexts checks the texts of the tokens of the documents. A tokenizer may change text, so that not all tokens have
// the bytes of the document.
func (m *scoring) tokenTexts() error {
	bytes := map[int32]string{}
	for i, text := range texts() {
		answer := m.together[i]
		for k, id := range answer.TokenIDs {
			if start, end := answer.TokenStarts[k], answer.TokenEnds[k]; end > start {
				bytes[id] = text[start:end]
			}
		}
	}
	ids := slices.Sorted(maps.Keys(bytes))
	all, err := m.model.TokenTexts(m.ctx, ids)
	if err != nil {
		return err
	}
	equal := 0
	for i, id := range ids {
		alone, err := m.model.TokenTexts(m.ctx, []int32{id})
		if err != nil {
			return err
		}
		if string(alone[0]) != string(all[i]) {
			return fmt.Errorf("token %d has the text %q, and %q when it is named alone", id, all[i], alone[0])
		}
		if string(all[i]) == bytes[id] {
			equal++
		}
	}
	if 2*equal < len(ids) {
		return fmt.Errorf("%d of %d tokens have the text for which they stand in a document; most of them must", equal, len(ids))
	}
	if _, err := m.model.TokenTexts(m.ctx, []int32{-1}); err == nil {
		return errors.New("token -1 has a text")
	}
	return nil
}
