package ngram

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"surprisal.dev/plugins/protocol"
)

// rangeLosses computes the losses of the tokens of a text without windows; 0 for those without a loss.
func rangeLosses(m model, s protocol.Settings, text string) []float64 {
	ids, _ := m.language.tokenize(text, nil, nil)
	losses := make([]float64, min(int(s.Range.To), len(ids)))
	h := history{}
	if s.Prefix != protocol.PrefixNone {
		h = m.language.begin()
	}
	for i := int(s.Range.From); i < len(losses); i++ {
		var loss float64
		loss, h = m.language.step(h, ids[i])
		if i >= int(s.Range.Score) && (i > int(s.Range.From) || s.Prefix != protocol.PrefixNone) {
			losses[i] = loss
		}
	}
	return losses
}

// TestRange compares the losses of ranges with those of a history that begins at the range, and checks that everything
// else is unscored.
func TestRange(t *testing.T) {
	texts := []string{"the text of the test, and more of the text", "", "x", "and more", "ümläut and moré text of the trainings"}
	for _, config := range benchmarkModels() {
		m := trained(t, config, "the training text, and more text of the training")
		for _, prefix := range []string{protocol.PrefixBOS, protocol.PrefixFirst, protocol.PrefixNone} {
			for _, r := range []protocol.TokenRange{{From: 0, Score: 0, To: 1}, {From: 0, Score: 4, To: 9}, {From: 3, Score: 3, To: 7}, {From: 2, Score: 5, To: 400}, {From: 5, Score: 6, To: 7}} {
				s := protocol.Settings{Prefix: prefix, Range: r, Confidence: true}
				for i, got := range scoreAll(t, m, s, texts...) {
					name := fmt.Sprintf("%s, prefix %s, range %+v, text %q", config, prefix, r, texts[i])
					if want := rangeLosses(m, s, texts[i]); !slices.Equal(got.TokenNLL, want) {
						t.Errorf("%s: losses %v, want %v", name, got.TokenNLL, want)
					}
					d := protocol.Document{Index: int64(i), Text: texts[i], ScoreEnd: int32(len(texts[i]))}
					if _, err := protocol.Account(d, got, m.Describe()); err != nil {
						t.Errorf("%s: %v", name, err)
					}
					if err := s.CheckRequest(got, m.Describe()); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			}
		}
	}
}

// TestRangeOfLongDocument checks that the answer ends with the range.
func TestRangeOfLongDocument(t *testing.T) {
	m := trained(t, benchmarkModels()[0], "some text")
	s := protocol.Settings{Range: protocol.TokenRange{From: 10, Score: 60, To: 110}}
	d := scoreAll(t, m, s, strings.Repeat("text ", 400))[0]
	if len(d.TokenIDs) != 110 || len(d.TokenEnds) != 110 || len(d.Unscored) != 2 || d.Unscored[1] != (protocol.Unscored{Start: 110, End: 2000, Reason: protocol.ReasonNotRequested}) {
		t.Errorf("%d tokens, unscored %v", len(d.TokenIDs), d.Unscored)
	}
}
