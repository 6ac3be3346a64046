package score_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
)

// confidences are those of tokens that documents returns, of the two documents that have tokens with losses.
func confidences() ([]artifact.ScoredDocument, []artifact.Confidence) {
	scored, _ := documents()
	return []artifact.ScoredDocument{scored[0], scored[2]}, []artifact.Confidence{
		{
			Shard: "s", Row: 1, TopIDs: []int32{0, 3, 0, 0, 9}, TopNLL: []float64{1, 1.5, 0, 4, 0.1}, Ranks: []int32{1, 2, 0, 1, 7},
			Entropies: []float64{1, 1, 0, 2, 3},
		},
		{Shard: "s", Row: 3, TopIDs: []int32{0, 0, 5}, TopNLL: []float64{0, 1, 1}, Ranks: []int32{0, 1, 4}, Entropies: []float64{0, 1, 1}},
	}
}

func TestReplayConfidence(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*[]artifact.ScoredDocument, *[]artifact.Confidence)
		want   string
	}{
		"as it is":      {func(*[]artifact.ScoredDocument, *[]artifact.Confidence) {}, ""},
		"a row less":    {func(_ *[]artifact.ScoredDocument, c *[]artifact.Confidence) { *c = (*c)[:1] }, "2 scored documents, but the confidence of 1"},
		"another row":   {func(_ *[]artifact.ScoredDocument, c *[]artifact.Confidence) { (*c)[1].Row = 4 }, `row 3: the confidence is that of shard "s" row 4`},
		"another order": {func(_ *[]artifact.ScoredDocument, c *[]artifact.Confidence) { (*c)[1], (*c)[0] = (*c)[0], (*c)[1] }, "row 1: the confidence is that of"},
		"no tokens": {func(_ *[]artifact.ScoredDocument, c *[]artifact.Confidence) {
			(*c)[1] = artifact.Confidence{Shard: "s", Row: 3}
		}, "it has 3 tokens, but the confidence of 0"},
		"another rank": {func(_ *[]artifact.ScoredDocument, c *[]artifact.Confidence) { (*c)[0].Ranks[1] = 1 }, "the rank is 1 and the top token is 3"},
		"no loss":      {func(_ *[]artifact.ScoredDocument, c *[]artifact.Confidence) { (*c)[0].Ranks[2] = 1 }, "token 2 at byte 2 has no loss"},
		"another loss": {func(_ *[]artifact.ScoredDocument, c *[]artifact.Confidence) { (*c)[1].TopNLL[2] = 2.5 }, "the top token has the loss 2.5"},
		"losses of bytes": {func(d *[]artifact.ScoredDocument, _ *[]artifact.Confidence) {
			(*d)[1].TokenNLL, (*d)[1].PerByteLoss = nil, make([]float64, 3)
		}, "0 losses for 3 tokens"},
	} {
		t.Run(name, func(t *testing.T) {
			scored, confidence := confidences()
			test.change(&scored, &confidence)
			dir := t.TempDir()
			at := [2]string{filepath.Join(dir, "scored"), filepath.Join(dir, "confidence")}
			f, err := os.Create(at[0])
			if err != nil {
				t.Fatal(err)
			}
			w := artifact.NewScoredWriter(f)
			for _, d := range scored {
				err = errors.Join(err, w.Write(d))
			}
			g, failed := os.Create(at[1])
			err = errors.Join(err, failed, w.Close(), f.Close())
			of := artifact.NewConfidenceWriter(g)
			for _, c := range confidence {
				err = errors.Join(err, of.Write(c))
			}
			if err := errors.Join(err, of.Close(), g.Close()); err != nil {
				t.Fatal(err)
			}
			err = score.ReplayConfidence(at[0], at[1])
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestReplayTopTokens(t *testing.T) {
	_, confidence := confidences()
	dir := t.TempDir()
	at := filepath.Join(dir, "confidence")
	f, err := os.Create(at)
	if err != nil {
		t.Fatal(err)
	}
	w := artifact.NewConfidenceWriter(f)
	for _, c := range confidence {
		err = errors.Join(err, w.Write(c))
	}
	if err := errors.Join(err, w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	for name, of := range map[string]struct {
		top  []artifact.TokenCount
		want string
	}{
		"as it is":      {[]artifact.TokenCount{{ID: 0, Count: 3}, {ID: 3, Count: 1}, {ID: 5, Count: 1}, {ID: 9, Count: 1}}, ""},
		"a token less":  {[]artifact.TokenCount{{ID: 0, Count: 3}, {ID: 3, Count: 1}, {ID: 9, Count: 1}}, "1 tokens that the confidence names"},
		"another count": {[]artifact.TokenCount{{ID: 0, Count: 4}}, "token 0 is the most probable one 3 times in the confidence, but 4 times"},
		"another token": {[]artifact.TokenCount{{ID: 1, Count: 2}}, "token 1 is the most probable one 0 times"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "top")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			w := artifact.NewTokenCountWriter(f)
			for _, c := range of.top {
				err = errors.Join(err, w.Write(c))
			}
			if err := errors.Join(err, w.Close(), f.Close()); err != nil {
				t.Fatal(err)
			}
			err = score.ReplayTopTokens(at, path)
			if of.want == "" && err != nil || of.want != "" && (err == nil || !strings.Contains(err.Error(), of.want)) {
				t.Errorf("got %v, want %q", err, of.want)
			}
		})
	}
}
