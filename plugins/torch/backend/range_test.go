//go:build torch

package backend

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/torch/tensor"
)

// TestRange compares the losses of ranges with those of documents that are only the tokens that the range reads, whose
// tokens are their bytes. Batches are full of windows of several documents.
func TestRange(t *testing.T) {
	m := opened(t, tiny(t))
	text := strings.Repeat("Sphinx of black quartz, judge my vow. ", 5)
	limit := m.Describe().ContextLimit
	for _, prefix := range []string{protocol.PrefixBOS, protocol.PrefixFirst, protocol.PrefixNone} {
		for _, r := range []protocol.TokenRange{
			{From: 0, Score: 0, To: 1}, {From: 0, Score: 30, To: 60}, {From: 7, Score: 7, To: 50}, {From: 7, Score: 8, To: 50},
			{From: 3, Score: 3 + limit - 1, To: 3 + limit}, {From: 40, Score: 60, To: 160},
		} {
			t.Run(fmt.Sprintf("%s/%+v", prefix, r), func(t *testing.T) {
				s := protocol.Settings{Prefix: prefix, Range: r, Confidence: true}
				testRange(t, s, text, score(t, m, s, text, text[:r.Score], text[:r.Score+1], "x", text, ""), func(text string) protocol.ScoredDocument {
					one := protocol.Settings{Prefix: prefix, Context: limit, Stride: limit / 2}
					return score(t, m, one, text)[0]
				})
			})
		}
	}
}

// testRange compares the answers for six documents; whole scores a text in one window.
func testRange(t *testing.T, s protocol.Settings, text string, got []protocol.ScoredDocument, whole func(string) protocol.ScoredDocument) {
	t.Helper()
	r := s.Range
	want := whole(text[r.From:r.To])
	for i, n := range []int64{r.To, r.Score, r.Score + 1, min(r.To, 1), r.To, 0} {
		a := got[i]
		if int64(len(a.TokenIDs)) != n || len(a.Confidence.Top) != len(a.TokenIDs) {
			t.Fatalf("document %d has %d tokens, want %d", i, len(a.TokenIDs), n)
		}
		if err := s.CheckRequest(a, protocol.LoadedModel{}); err != nil {
			t.Errorf("document %d: %v", i, err)
		}
		for j, loss := range a.TokenNLL {
			expected := 0.0
			if int64(j) >= r.Score && (i != 3 || r.Score == 0) {
				expected = want.TokenNLL[int64(j)-r.From]
			}
			if i == 3 && j == 0 && r.Score == 0 {
				expected = whole("x").TokenNLL[0]
			}
			if d := math.Abs(loss - expected); d > batchTolerance("float32") || d > 0 && tensor.IndependentRows() {
				t.Errorf("document %d: token %d has the loss %v, want %v", i, j, loss, expected)
			}
		}
	}
	if !slices.Equal(got[0].TokenNLL, got[4].TokenNLL) && tensor.IndependentRows() {
		t.Error("the same document has other losses in the same batch")
	}
}

// TestRangeLimit checks that a range as long as the model's context is scored, and that a longer one is refused.
func TestRangeLimit(t *testing.T) {
	m := opened(t, tiny(t))
	limit := m.Describe().ContextLimit
	s := protocol.Settings{Range: protocol.TokenRange{From: 5, Score: 5, To: 5 + limit}}
	score(t, m, s, strings.Repeat("x", int(limit)+5))
	s.Range.To++
	err := m.Score(t.Context(), s, always(documents("x")), func(protocol.ScoredDocument) error { return nil })
	if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), "lower its number of tokens to 128") {
		t.Errorf("a range of %d tokens: %v", limit+1, err)
	}
}
