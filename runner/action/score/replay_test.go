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

// documents are two scored documents and their ledger, which balances.
func documents() ([]artifact.ScoredDocument, []artifact.LedgerRow) {
	scored := []artifact.ScoredDocument{
		{
			Shard: "s", Row: 1, Text: "abcd", ScoreStart: 1, ScoreEnd: 4, TokenIDs: make([]int32, 5), TokenEnds: []int32{1, 2, 3, 4, 4},
			TokenNLL: []float64{1, 2, 0, 4, 3}, UnscoredStarts: []int32{2}, UnscoredEnds: []int32{3},
		},
		{Shard: "s", Row: 2, Text: "e", ScoreEnd: 1, PerByteLoss: []float64{0.5}},
		{
			Shard: "s", Row: 3, Text: "fgh", ScoreStart: 2, ScoreEnd: 3, TokenIDs: make([]int32, 3), TokenEnds: []int32{1, 2, 3},
			TokenNLL: []float64{0, 1, 2}, UnscoredStarts: []int32{0}, UnscoredEnds: []int32{1},
		},
	}
	ledger := []artifact.LedgerRow{
		{
			Shard: "s", Row: 1, TokenNats: 17, SpanNats: 6, OutsideNats: 1, EOSNats: 7, NoBytesNats: 3, ScoredBytes: 2,
			UnscoredStarts: []int32{2}, UnscoredEnds: []int32{3}, UnscoredReasons: []string{"no token"},
		},
		{Shard: "s", Row: 2, TokenNats: 0.5, SpanNats: 0.5, ScoredBytes: 1},
		{
			Shard: "s", Row: 3, TokenNats: 3, SpanNats: 2, OutsideNats: 1, ScoredBytes: 1,
			UnscoredStarts: []int32{0}, UnscoredEnds: []int32{1}, UnscoredReasons: []string{"no context"},
		},
	}
	return scored, ledger
}

func replay(t *testing.T, scored []artifact.ScoredDocument, ledger []artifact.LedgerRow) (int64, error) {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for _, name := range []string{"scored", "ledger"} {
		path := filepath.Join(dir, name)
		paths = append(paths, path)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if name == "scored" {
			w := artifact.NewScoredWriter(f)
			for _, d := range scored {
				err = errors.Join(err, w.Write(d))
			}
			err = errors.Join(err, w.Close())
		} else {
			w := artifact.NewLedgerWriter(f)
			for _, l := range ledger {
				err = errors.Join(err, w.Write(l))
			}
			err = errors.Join(err, w.Close())
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return score.Replay(paths[0], paths[1])
}

func TestReplay(t *testing.T) {
	if n, err := replay(t, nil, nil); n != 0 || err != nil {
		t.Errorf("empty tables: got %d, %v", n, err)
	}
	scored, ledger := documents()
	if n, err := replay(t, scored, ledger); n != 3 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	scored = append(scored, artifact.ScoredDocument{Shard: "s", Row: 4})
	ledger = append(ledger, artifact.LedgerRow{
		Shard: "s", Row: 4, UnscoredStarts: []int32{0}, UnscoredEnds: []int32{0}, UnscoredReasons: []string{"no context"},
	})
	if n, err := replay(t, scored, ledger); n != 4 || err != nil {
		t.Errorf("an unscored end of the text: got %d, %v", n, err)
	}
	scored, ledger = documents()
	for _, test := range []struct {
		name  string
		spoil func(d, e *artifact.ScoredDocument, l, m *artifact.LedgerRow)
		want  string
	}{
		{"a loss in the span", func(d, _ *artifact.ScoredDocument, _, _ *artifact.LedgerRow) { d.TokenNLL[1] += 1e-7 }, "row 1: the scored span: losses sum to"},
		{"a loss that moved into the span", func(d, _ *artifact.ScoredDocument, _, _ *artifact.LedgerRow) { d.ScoreStart = 0 }, "row 1: the scored span: losses sum to 7 nats, but the ledger records 6"},
		{"a loss outside", func(d, _ *artifact.ScoredDocument, _, _ *artifact.LedgerRow) { d.TokenNLL[0] = 0 }, "row 1: the bytes outside of it"},
		{"an account", func(_, _ *artifact.ScoredDocument, l, _ *artifact.LedgerRow) { l.EOSNats = 8 }, "row 1: all categories"},
		{"the tokens' total", func(_, _ *artifact.ScoredDocument, _, m *artifact.LedgerRow) { m.TokenNats = 1 }, "row 2: all categories"},
		{"a loss that is not scored", func(d, _ *artifact.ScoredDocument, _, _ *artifact.LedgerRow) { d.TokenNLL[2] = 1 }, "row 1: the tokens: losses sum to 18 nats, but the ledger records 17"},
		{"a loss without bytes", func(d, _ *artifact.ScoredDocument, _, _ *artifact.LedgerRow) { d.TokenNLL[4] = 0 }, "row 1: tokens without bytes: losses sum to 0 nats, but the ledger records 3"},
		{"how many bytes are scored", func(_, _ *artifact.ScoredDocument, l, _ *artifact.LedgerRow) { l.ScoredBytes = 3 }, "row 1: 2 bytes are scored, but the ledger records 3"},
		{"unscored bytes beyond the text", func(_, _ *artifact.ScoredDocument, _, m *artifact.LedgerRow) {
			m.UnscoredStarts, m.UnscoredEnds, m.UnscoredReasons = []int32{1}, []int32{2}, []string{"no token"}
		}, "row 2: unscored ranges start at [] and end at [], but in the ledger they start at [1] and end at [2]"},
		{"a loss of an unscored end of the text", func(_, _ *artifact.ScoredDocument, l, _ *artifact.LedgerRow) {
			l.UnscoredStarts, l.UnscoredEnds, l.UnscoredReasons = append(l.UnscoredStarts, 9), append(l.UnscoredEnds, 9), append(l.UnscoredReasons, "no context")
		}, "row 1: the end-of-text token is unscored, but the ledger records 7 nats for it"},
		{"another document", func(_, _ *artifact.ScoredDocument, _, m *artifact.LedgerRow) { m.Row = 3 }, `row 2: the ledger has shard "s" row 3 in this position`},
	} {
		t.Run(test.name, func(t *testing.T) {
			scored, ledger := documents()
			test.spoil(&scored[0], &scored[1], &ledger[0], &ledger[1])
			if _, err := replay(t, scored, ledger); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %q in it", err, test.want)
			}
		})
	}
	if n, err := replay(t, scored, ledger[:1]); n != 1 || err == nil || !strings.Contains(err.Error(), `shard "s" row 2 has no ledger`) {
		t.Errorf("a ledger too short: got %d, %v", n, err)
	}
	if n, err := replay(t, scored[:1], ledger); n != 1 || err == nil || !strings.Contains(err.Error(), `the ledger has a row for shard "s" row 2`) {
		t.Errorf("a ledger too long: got %d, %v", n, err)
	}
}

func TestReplayDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "damaged")
	if err := os.WriteFile(path, []byte("PAR1 nothing PAR1"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := score.Replay(path, path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got error %v", err)
	}
}
