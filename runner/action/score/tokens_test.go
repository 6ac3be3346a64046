package score

import (
	"testing"

	"surprisal.dev/plugins/protocol"
)

// A token without bytes counts if it is inside the scored span or at its start, but not at its end.
func TestScoredTokens(t *testing.T) {
	resolved, err := protocol.Settings{}.Resolve(0)
	if err != nil {
		t.Fatal(err)
	}
	d := protocol.Document{Text: "abcdef", ScoreStart: 2, ScoreEnd: 4}
	answer := protocol.ScoredDocument{
		TokenIDs: make([]int32, 6), TokenNLL: make([]float64, 6), TokenStarts: []int32{0, 2, 2, 3, 4, 4}, TokenEnds: []int32{2, 2, 3, 4, 4, 6},
	}
	if n := newTally(resolved).add(d, answer); n != 3 {
		t.Errorf("%d tokens, want that without bytes at 2 and the two of the span", n)
	}
	answer.Unscored = []protocol.Unscored{{Start: 3, End: 4}}
	if n := newTally(resolved).add(d, answer); n != 2 {
		t.Errorf("%d tokens with a loss, want 2", n)
	}
}
