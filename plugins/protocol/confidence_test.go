package protocol

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// confidence is one of the tokens of answer, over a vocabulary of 10.
func confidence() Confidence {
	return Confidence{
		Top: []int32{1, 2, 0, 9, 9, 6}, TopNLL: []float64{1, 2, 0.5, 0, 1, 3},
		Ranks: []int32{1, 1, 2, 10, 3, 1}, Entropies: []float64{0, math.Log(10), 1, 1, 1, 1},
	}
}

func TestConfidences(t *testing.T) {
	for _, test := range []struct {
		name, want string
		change     func(*ScoredDocument)
	}{
		{"whole", "", func(*ScoredDocument) {}},
		{"none", "", func(s *ScoredDocument) { s.Confidence = Confidence{} }},
		{"rounded", "", func(s *ScoredDocument) { s.Confidence.TopNLL[1] = 2.0001 }},
		{"a token without a loss", "", func(s *ScoredDocument) {
			unscore(s)
			s.Confidence.Top[0], s.Confidence.TopNLL[0], s.Confidence.Ranks[0] = 0, 0, 0
		}},
		{"a confidence without a loss", "has no loss, but the confidence", unscore},
		{"a missing rank", "5 ranks and 6 entropies for 6 tokens", func(s *ScoredDocument) { s.Confidence.Ranks = s.Confidence.Ranks[1:] }},
		{"only ranks", "0 top tokens", func(s *ScoredDocument) { s.Confidence = Confidence{Ranks: s.Confidence.Ranks} }},
		{"a top token below 0", "top token -1 is outside", func(s *ScoredDocument) { s.Confidence.Top[2] = -1 }},
		{"a top token past the end", "top token 10 is outside", func(s *ScoredDocument) { s.Confidence.Top[2] = 10 }},
		{"rank 0", "rank 0 is not in [1, 10]", func(s *ScoredDocument) { s.Confidence.Ranks[2] = 0 }},
		{"a rank past the end", "rank 11 is not in", func(s *ScoredDocument) { s.Confidence.Ranks[3] = 11 }},
		{"rank 1 of another token", "the rank is 1 and the top token is 0", func(s *ScoredDocument) { s.Confidence.Ranks[2] = 1 }},
		{"rank 2 of the top token", "the rank is 2 and the top token is 1", func(s *ScoredDocument) { s.Confidence.Ranks[0] = 2 }},
		{"a top token that is less likely", "between 0 and the token's own", func(s *ScoredDocument) { s.Confidence.TopNLL[2] = 4.1 }},
		{"a top token that is too likely", "the same token has 1", func(s *ScoredDocument) { s.Confidence.TopNLL[0] = 0.9 }},
		{"a probability above 1", "the loss -0.1 nats", func(s *ScoredDocument) { s.Confidence.TopNLL[2] = -0.1 }},
		{"a loss that is not a number", "the loss NaN nats", func(s *ScoredDocument) { s.Confidence.TopNLL[2] = math.NaN() }},
		{"an entropy below 0", "the entropy is -0.1", func(s *ScoredDocument) { s.Confidence.Entropies[2] = -0.1 }},
		{"an entropy above the maximum", "the entropy is 2.4", func(s *ScoredDocument) { s.Confidence.Entropies[2] = 2.4 }},
		{"an entropy that is not a number", "the entropy is NaN", func(s *ScoredDocument) { s.Confidence.Entropies[2] = math.NaN() }},
		{"top tokens", "", withMass(func([]float64) {})},
		{"top tokens of a token without a loss", "", func(s *ScoredDocument) {
			withMass(func(m []float64) { m[0] = 0 })(s)
			unscore(s)
			s.Confidence.Top[0], s.Confidence.TopNLL[0], s.Confidence.Ranks[0] = 0, 0, 0
		}},
		{"a mass without a loss", "has no loss, but the confidence 0, 0, 0, 0, -0.5", func(s *ScoredDocument) {
			withMass(func([]float64) {})(s)
			unscore(s)
			s.Confidence.Top[0], s.Confidence.TopNLL[0], s.Confidence.Ranks[0] = 0, 0, 0
		}},
		{"a missing mass", "the mass of the top tokens for 5 of 6 tokens", func(s *ScoredDocument) {
			withMass(func([]float64) {})(s)
			s.Confidence.TopKMass = s.Confidence.TopKMass[1:]
		}},
		{"a mass above 1", "the top tokens' probability is 1e-05", withMass(func(m []float64) { m[2] = 1e-5 })},
		{"a mass below the top token's", "must be between -2, that of the top token alone, and 0", withMass(func(m []float64) { m[1] = -2.1 })},
		{"a mass rounded below the top token's", "", withMass(func(m []float64) { m[1] = -2.0001 })},
		{"a mass that is not a number", "probability is NaN", withMass(func(m []float64) { m[2] = math.NaN() })},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := answer()
			s.Confidence = confidence()
			test.change(&s)
			err := Check(document(), s, LoadedModel{VocabularySize: 10})
			if test.want == "" && err != nil {
				t.Error(err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

// unscore takes the loss of the first token.
func unscore(s *ScoredDocument) {
	s.TokenNLL, s.TotalNLL = slices.Clone(s.TokenNLL), s.TotalNLL-1
	s.TokenNLL[0] = 0
	s.Unscored = []Unscored{{0, 1, ReasonNoContext}}
}

// withMass adds the mass of the top tokens, after a change.
func withMass(change func([]float64)) func(*ScoredDocument) {
	return func(s *ScoredDocument) {
		s.Confidence.TopKMass = []float64{-0.5, -2, 0, 0, -0.1, -1}
		change(s.Confidence.TopKMass)
	}
}
