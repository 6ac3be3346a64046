package protocol

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ranged is the answer of document for the range [1, 2) to 4: the token "h" is not requested, half an é is read, the
// other half and the token without bytes are scored, and the others are missing.
func ranged() (Settings, ScoredDocument) {
	return Settings{Prefix: PrefixBOS, Range: TokenRange{1, 2, 4}}, ScoredDocument{
		Index: 3, TokenIDs: []int32{1, 2, 3, 4}, TokenStarts: []int32{0, 1, 2, 3}, TokenEnds: []int32{1, 2, 3, 3},
		TokenNLL: []float64{0, 0, 4, 8}, TotalNLL: 12,
		Unscored: []Unscored{{0, 2, ReasonNotRequested}, {3, 9, ReasonNotRequested}},
	}
}

// checkTest compares the error of a check with a part of it, or with none.
func checkTest(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" && err != nil {
		t.Error(err)
	}
	if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("got %v, want %q in it", err, want)
	}
}

func TestRangeOfAnswers(t *testing.T) {
	for _, test := range []struct {
		name, want string
		change     func(*Settings, *ScoredDocument)
	}{
		{"whole", "", func(*Settings, *ScoredDocument) {}},
		{"all tokens answered", "", func(_ *Settings, s *ScoredDocument) {
			s.TokenIDs, s.TokenNLL = []int32{1, 2, 3, 4, 5, 6}, []float64{0, 0, 4, 8, 0, 0}
			s.TokenStarts, s.TokenEnds = []int32{0, 1, 2, 3, 3, 6}, []int32{1, 2, 3, 3, 6, 9}
		}},
		{"a short document", "", func(_ *Settings, s *ScoredDocument) {
			s.TokenIDs, s.TokenNLL, s.TotalNLL = s.TokenIDs[:3], s.TokenNLL[:3], 4
			s.TokenStarts, s.TokenEnds = []int32{0, 1, 2}, []int32{1, 2, 9}
			s.Unscored = s.Unscored[:1]
		}},
		{"bytes without a token", "", func(_ *Settings, s *ScoredDocument) {
			s.TokenStarts[2] = 3
			s.Unscored = []Unscored{{0, 2, ReasonNotRequested}, {2, 3, ReasonNoToken}, {3, 9, ReasonNotRequested}}
		}},
		{"a token without context", "", func(q *Settings, s *ScoredDocument) {
			q.Prefix, q.Range = PrefixNone, TokenRange{2, 2, 4}
			s.TokenNLL[2], s.TotalNLL = 0, 8
			s.Unscored = []Unscored{{0, 2, ReasonNotRequested}, {2, 3, ReasonNoContext}, {3, 9, ReasonNotRequested}}
		}},
		{"no range", `token 0, [0, 1), is marked "not requested"; the requested tokens are all`, func(q *Settings, _ *ScoredDocument) { q.Range = TokenRange{} }},
		{"a missing end", `bytes [3, 9) after 4 tokens are marked "not requested"; the requested tokens are [2, 5)`, func(q *Settings, _ *ScoredDocument) { q.Range.To = 5 }},
		{"a token too early", `token 1, [1, 2), is not marked "not requested"; the requested tokens are [2, 4)`, func(_ *Settings, s *ScoredDocument) {
			s.Unscored[0].End, s.TokenNLL[1], s.TotalNLL = 1, 1, 13
		}},
		{"a token without bytes too early", "token 3 at byte 3 has a loss of 8 nats; the requested tokens are [2, 3)", func(q *Settings, _ *ScoredDocument) { q.Range.To = 3 }},
		{"a token too late", `token 2, [2, 3), is marked "not requested"`, func(_ *Settings, s *ScoredDocument) {
			s.Unscored[0].End, s.TokenNLL[2], s.TotalNLL = 3, 0, 8
		}},
		{"a token in the middle is missing", `bytes [1, 2) before token 1, which are marked "not requested"; only tokens from 4 on may be missing`, func(_ *Settings, s *ScoredDocument) {
			s.TokenIDs, s.TokenNLL = []int32{1, 3, 4}, []float64{0, 4, 8}
			s.TokenStarts, s.TokenEnds = []int32{0, 2, 3}, []int32{1, 3, 3}
			s.Unscored = []Unscored{{0, 1, ReasonNotRequested}, {1, 2, ReasonNotRequested}, {3, 9, ReasonNotRequested}}
		}},
		{"no loss inside", "token 2, [2, 3), has no loss (no context)", func(_ *Settings, s *ScoredDocument) {
			s.TokenNLL[2], s.TotalNLL = 0, 8
			s.Unscored = []Unscored{{0, 2, ReasonNotRequested}, {2, 3, ReasonNoContext}, {3, 9, ReasonNotRequested}}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			q, s := ranged()
			test.change(&q, &s)
			m := LoadedModel{VocabularySize: 10}
			if err := Check(document(), s, m); err != nil {
				t.Fatal(err)
			}
			checkTest(t, q.CheckRequest(s, m), test.want)
		})
	}
}

// observed is an answer with activations of a model with 9 sites.
func observed() (LoadedModel, ScoredDocument) {
	s := answer()
	s.EOSNLL, s.TotalNLL = 0, 28
	s.Activations = Activations{Positions: 6, Sites: make([]SiteActivations, 9), Dimensions: []DimensionActivations{
		{Dimension: 2, Sites: []byte{1, 0}, Positions: 1, Largest: 6},
		{Dimension: 7, Sites: []byte{128, 1}, Positions: 6, Largest: 60},
	}}
	for i := range s.Activations.Sites {
		s.Activations.Sites[i] = SiteActivations{Largest: 60, Median: 0.5}
	}
	return LoadedModel{VocabularySize: 10, Sites: make([]string, 9), HiddenSize: 8}, s
}

func TestActivations(t *testing.T) {
	nan, infinite := float32(math.NaN()), float32(math.Inf(1))
	for _, test := range []struct {
		name, want string
		change     func(*Activations)
	}{
		{"whole", "", func(*Activations) {}},
		{"none", "", func(a *Activations) { *a = Activations{Sites: make([]SiteActivations, 9)} }},
		{"a site is missing", "activations at 8 sites, and the model has 9", func(a *Activations) { a.Sites = a.Sites[1:] }},
		{"positions below 0", "at -1 positions", func(a *Activations) { a.Positions, a.Dimensions = -1, nil }},
		{"a median that is not a number", "median magnitude NaN", func(a *Activations) { a.Sites[3].Median = nan }},
		{"a median above the largest", "median magnitude 61", func(a *Activations) { a.Sites[3].Median = 61 }},
		{"a magnitude below 0", "median magnitude -1", func(a *Activations) { a.Sites[3].Median = -1 }},
		{"a site without bounds", "the largest +Inf", func(a *Activations) { a.Sites[3].Largest = infinite }},
		{"an order of dimensions", "dimension 2 follow those of dimension 2", func(a *Activations) { a.Dimensions[1].Dimension = 2 }},
		{"a dimension below 0", "dimension -1 follow", func(a *Activations) { a.Dimensions[0].Dimension = -1 }},
		{"a dimension past the last", "must ascend and be below 8", func(a *Activations) { a.Dimensions[1].Dimension = 8 }},
		{"a small magnitude", "the largest magnitude is 5.9; it must be finite and reach the threshold of 6", func(a *Activations) { a.Dimensions[0].Largest = 5.9 }},
		{"an infinite magnitude", "the largest magnitude is +Inf", func(a *Activations) { a.Dimensions[0].Largest = infinite }},
		{"a magnitude of no site", "exceeds that of all sites, 60", func(a *Activations) { a.Dimensions[0].Largest = 61 }},
		{"no positions", "at 0 positions; these must be between 1 and 6", func(a *Activations) { a.Dimensions[0].Positions = 0 }},
		{"too many positions", "at 7 positions", func(a *Activations) { a.Dimensions[0].Positions = 7 }},
		{"a short list of sites", "its sites have 1 bytes; 9 sites have 2", func(a *Activations) { a.Dimensions[0].Sites = []byte{1} }},
		{"no site", "at no site", func(a *Activations) { a.Dimensions[0].Sites = []byte{0, 0} }},
		{"a site past the last", "past the last of 9", func(a *Activations) { a.Dimensions[0].Sites = []byte{1, 2} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, s := observed()
			test.change(&s.Activations)
			checkTest(t, Settings{ActivationThreshold: 6}.CheckRequest(s, m), test.want)
		})
	}
	m, s := observed()
	checkTest(t, Settings{}.CheckRequest(s, m), "activations at 9 sites, which were not asked for")
}

func TestRequests(t *testing.T) {
	s := answer()
	s.Confidence = confidence()
	checkTest(t, Settings{EOS: true, Confidence: true}.CheckRequest(s, LoadedModel{}), "")
	checkTest(t, Settings{Confidence: true}.CheckRequest(s, LoadedModel{}), "a loss of 0.5 nats for an end-of-text token that was not asked for")
	checkTest(t, Settings{EOS: true}.CheckRequest(s, LoadedModel{}), "confidence of 6 tokens, which was not asked for")
	checkTest(t, Settings{EOS: true, Confidence: true, TopK: 2}.CheckRequest(s, LoadedModel{}), "mass of the top tokens for 0 tokens, asked for all 6")
	withMass(func([]float64) {})(&s)
	checkTest(t, Settings{EOS: true, Confidence: true, TopK: 2}.CheckRequest(s, LoadedModel{}), "")
	checkTest(t, Settings{EOS: true, Confidence: true}.CheckRequest(s, LoadedModel{}), "mass of the top tokens for 6 tokens, which was not asked for")
}

// TestAddActivations checks that activations of windows are added by dimension.
func TestAddActivations(t *testing.T) {
	window := func(median float32, dimensions ...DimensionActivations) Activations {
		return Activations{Positions: 5, Sites: []SiteActivations{{Largest: 9 - median, Median: median}}, Dimensions: dimensions}
	}
	a := Activations{Sites: make([]SiteActivations, 1)}
	first := window(1, DimensionActivations{1, []byte{1}, 2, 6}, DimensionActivations{4, []byte{2}, 1, 7})
	a.Add(first)
	a.Add(window(2, DimensionActivations{0, []byte{1}, 1, 8}, DimensionActivations{4, []byte{1}, 3, 6}, DimensionActivations{5, []byte{1}, 1, 6}))
	a.Add(window(0.5))
	want := Activations{Positions: 15, Sites: []SiteActivations{{Largest: 8.5, Median: 2}}, Dimensions: []DimensionActivations{
		{0, []byte{1}, 1, 8}, {1, []byte{1}, 2, 6}, {4, []byte{3}, 4, 7}, {5, []byte{1}, 1, 6},
	}}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if first.Dimensions[1].Sites[0] != 2 {
		t.Error("adding changes what was added")
	}
}
